#include "admin/health_news.h"

namespace fetcher {
namespace {

using Severity = HealthReason::Severity;

std::string name_of(const std::string& code, const std::string& processor_id) {
    return processor_id.empty() ? code : code + ", processor " + processor_id;
}

}  // namespace

std::vector<HealthNews::Line> HealthNews::since(const std::vector<HealthReason>& reasons, Time now) {
    std::vector<Line> lines;
    for (const auto& reason : reasons) {
        if (reason.severity == Severity::noted) continue;
        auto& known = known_.try_emplace({reason.code, reason.processor_id}, Known{now, now}).first->second;
        known.last_seen = now;
        if (known.told || now - known.first_seen < kStandsFor) continue;
        known.told = true;
        lines.push_back({reason.severity != Severity::waiting, name_of(reason.code, reason.processor_id) + ": " + reason.detail});
    }
    for (auto at = known_.begin(); at != known_.end();) {
        const auto& [key, known] = *at;
        if (now - known.last_seen < kStandsFor) {
            ++at;
            continue;
        }
        const auto stood = std::chrono::round<std::chrono::seconds>(known.last_seen - known.first_seen);
        if (known.told) lines.push_back({false, name_of(key.first, key.second) + " is over after " + std::to_string(stood.count()) + " s"});
        at = known_.erase(at);
    }
    return lines;
}

}  // namespace fetcher

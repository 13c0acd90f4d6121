#include "engine/health_board.h"

namespace fetcher {

void HealthBoard::set(HealthReason::Severity severity, const std::string& code, std::string detail, const std::string& processor_id,
                      std::optional<std::chrono::system_clock::time_point> next_try) {
    auto& reason = reasons_[{code, processor_id}];
    if (reason.code.empty() || severity == HealthReason::Severity::noted) reason.since = std::chrono::system_clock::now();
    reason.severity = severity;
    reason.code = code;
    reason.detail = std::move(detail);
    reason.processor_id = processor_id;
    reason.next_try = next_try;
}

void HealthBoard::clear(const std::string& code, const std::string& processor_id) { reasons_.erase({code, processor_id}); }

void HealthBoard::clear_processor(const std::string& processor_id) {
    std::erase_if(reasons_, [&](const auto& entry) { return entry.first.second == processor_id; });
}

std::vector<HealthReason> HealthBoard::reasons(std::chrono::system_clock::time_point now) const {
    std::vector<HealthReason> all;
    for (const auto& [key, reason] : reasons_) {
        if (reason.severity == HealthReason::Severity::noted && now - reason.since >= kNotedFor) continue;
        all.push_back(reason);
    }
    return all;
}

}  // namespace fetcher

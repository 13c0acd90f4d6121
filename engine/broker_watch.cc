#include "engine/broker_watch.h"

namespace fetcher {

using Kind = SourceTrouble::Kind;

void BrokerWatch::asked(Time now) {
    if (!silent_since_) silent_since_ = now;
    questions_++;
}

void BrokerWatch::answered() {
    silent_since_.reset();
    questions_ = 0;
    words_.clear();
}

std::optional<SourceTrouble> BrokerWatch::log_ends(const std::string& refused, Time now) {
    if (refused.empty()) {
        refused_since_.reset();
        return std::nullopt;
    }
    if (!refused_since_) refused_since_ = now;
    if (now - *refused_since_ < kPatience || is_silent(now)) return std::nullopt;
    return SourceTrouble{Kind::broker_unreachable, "the log's end cannot be read: " + refused};
}

std::optional<SourceTrouble> BrokerWatch::silence(Time now) {
    if (!is_silent(now) || now < next_) return std::nullopt;
    next_ = now + kToldEvery;
    const std::string why = words_.empty() ? "" : ": " + words_;
    if (now - *silent_since_ > kGivesUpAfter && questions_ >= kGivesUpAfterQuestions)
        return SourceTrouble{Kind::outdated, "the broker does not answer; it is looked for anew" + why};
    return SourceTrouble{Kind::broker_unreachable, "the broker does not answer" + why};
}

}  // namespace fetcher

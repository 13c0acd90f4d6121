// BrokerWatch: whether the brokers answer, by the questions that a client asks them. librdkafka tells of a request that it could not send only when that times
// out, half a minute later, of a broker that refuses connections in words alone, and makes up refusals from what it remembers of the cluster.
// Thread: its owner's
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "engine/source.h"

namespace fetcher {

class BrokerWatch {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::seconds kPatience{4};   // with one question, and with what may be over at once
    static constexpr std::chrono::seconds kToldEvery{1};
    // For so long questions may go unanswered, and so many of them, for this process may have slept itself; then a new client is of more use than this one,
    // which looks for the brokers where they were.
    static constexpr std::chrono::seconds kGivesUpAfter{15};
    static constexpr int kGivesUpAfterQuestions = 4;

    void asked(Time now);
    // A broker has.
    void answered();
    // A connection broke, which says why nobody answers, if nobody does.
    void broke(std::string words) { words_ = std::move(words); }
    // The answer about the log ends: "", or why one of them is not known. Trouble where that stays so while brokers do answer: leaders move.
    std::optional<SourceTrouble> log_ends(const std::string& refused, Time now);
    // Trouble where nobody answers, every kToldEvery.
    std::optional<SourceTrouble> silence(Time now);

  private:
    bool is_silent(Time now) const { return silent_since_ && now - *silent_since_ >= kPatience; }

    std::optional<Time> silent_since_;  // the first question that is without an answer
    int questions_ = 0;                 // from that one on
    std::string words_;                 // since the last answer
    std::optional<Time> refused_since_;
    Time next_{};
};

}  // namespace fetcher

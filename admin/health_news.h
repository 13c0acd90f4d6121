// HealthNews: what of a consumer's health is worth a line in the log: a reason that has stood for kStandsFor, and that it is over. What comes and
// goes in between is in the API alone; what is only noted has had its line where it happened.
// Thread: its owner's
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/pipeline_snapshot.h"

namespace fetcher {

class HealthNews {
  public:
    using Time = std::chrono::steady_clock::time_point;
    struct Line {
        bool bad = false;  // else it is over, or only waited for
        std::string text;
    };
    static constexpr std::chrono::seconds kStandsFor{2};

    // The reasons as they are now; to be called every second or so. A reason that comes and goes faster stands all the time.
    std::vector<Line> since(const std::vector<HealthReason>& reasons, Time now);
    // The consumer was stopped: nothing more is said of why it was not well.
    void forget() { known_.clear(); }

  private:
    struct Known {
        Time first_seen, last_seen;
        bool told = false;
    };
    std::map<std::pair<std::string, std::string>, Known> known_;  // by code and processor
};

}  // namespace fetcher

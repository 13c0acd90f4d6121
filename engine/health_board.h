// HealthBoard: the reasons why a consumer is not simply healthy, each under its code and processor, since when. What is only noted goes
// by itself after kNotedFor.
// Thread: poll
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/pipeline_snapshot.h"

namespace fetcher {

class HealthBoard {
  public:
    static constexpr std::chrono::hours kNotedFor{1};

    // Adds the reason, or renews detail and next_try of one that stands; `since` stays.
    void set(HealthReason::Severity severity, const std::string& code, std::string detail, const std::string& processor_id = {},
             std::optional<std::chrono::system_clock::time_point> next_try = std::nullopt);
    void clear(const std::string& code, const std::string& processor_id = {});
    void clear_processor(const std::string& processor_id);  // all its reasons
    std::vector<HealthReason> reasons(std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) const;

  private:
    std::map<std::pair<std::string, std::string>, HealthReason> reasons_;
};

}  // namespace fetcher

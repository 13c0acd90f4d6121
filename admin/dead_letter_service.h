// DeadLetterService: looks at a consumer's dead letters and delivers them anew. What has been delivered anew is noted in the store, so it is
// not delivered twice, whoever asks and wherever.
//
// Each call is bounded in time and goes on where its cursor says; so no job is kept, and a process that dies in the middle leaves nothing
// half done: a letter whose delivery could not be noted any more is tried again, and a sink that keeps positions has it once.
// Thread: any
#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "admin/config_store.h"
#include "admin/problem.h"
#include "engine/dead_letter.h"
#include "engine/dead_letters.h"
#include "engine/redelivery.h"
#include "processors/registry.h"

namespace fetcher {

struct ListedLetter {
    DeadLetter letter;
    bool replayed = false;
};
struct LetterPage {
    std::vector<ListedLetter> items;
    std::string next_cursor;  // empty: the end
};

// Which letters a replay is for; all that have not been delivered anew yet, unless told.
struct LetterFilter {
    std::set<std::string> ids;        // empty: any
    std::string processor_id;         // empty: any
    std::optional<int32_t> partition;
    std::string error;                // a part of its text; empty: any

    bool matches(const DeadLetter& letter) const;
};
struct ReplayReport {
    uint64_t delivered = 0;
    uint64_t refused_again = 0;  // each is a dead letter again, with one replay more
    uint64_t already_replayed = 0;
    uint64_t without_processor = 0;  // its processor is no longer one of the consumer's
    uint64_t newer = 0;              // kept since this replay began, by the clock of whoever kept them; not for it, unless named by id
    std::string next_cursor;         // empty: the end
    std::string stopped_because;     // why it did not go on, for a person; empty: the time was over, or all is done
};

struct ReplayLimits {
    std::chrono::milliseconds letter{5'000};    // for the delivery of one
    std::chrono::milliseconds break_off{3'000};  // and for its sink to let go of it then
};

class DeadLetterService {
  public:
    DeadLetterService(ConfigStore& store, const ProcessorRegistry& registry, const ProcessorEnvironment& environment, ReplayLimits limits = {})
        : store_(store), registry_(registry), environment_(environment), limits_(limits) {}

    // Oldest first within a partition of the topic. cursor: empty, or an earlier page's.
    Answer<LetterPage> list(const std::string& consumer_id, size_t limit, const std::string& cursor);
    // Letters that a replay makes are not for the same replay: it ends. Both: 503 while too many are under way. A delivery that its sink does not
    // let go of (a system call that does not return) is left behind; replays of its consumer are refused until it is over.
    Answer<ReplayReport> replay(const std::string& consumer_id, const LetterFilter& filter, const std::string& cursor);
    // Whether some is left behind: the destructor waits for it.
    bool held_up();

  private:
    struct Opened {
        StoredConsumer consumer;
        std::unique_ptr<DeadLetterReader> reader;
        std::shared_ptr<DeadLetters> letters;
    };
    Answer<Opened> open(const std::string& consumer_id);
    const ProcessorSpec* processor_of(const StoredConsumer& consumer, const DeadLetter& letter) const;
    // False: not now, the report says why.
    bool deliver(const Opened& opened, const ProcessorSpec& spec, const DeadLetter& letter, ReplayReport& report);
    bool settle_left_behind(const std::string& consumer_id);  // false: it is not over

    ConfigStore& store_;
    const ProcessorRegistry& registry_;
    const ProcessorEnvironment& environment_;
    const ReplayLimits limits_;
    std::atomic<int> asked_{0};  // that are under way
    std::mutex mutex_;
    std::set<std::string> replaying_;  // consumers
    struct LeftBehind {
        std::string letter_id;
        std::future<Redelivery> done;
    };
    std::map<std::string, LeftBehind> left_behind_;  // by consumer
};

}  // namespace fetcher

// DeadLetter: a record that a sink refused, as it is read back from where it was kept; DeadLetterReader: reads a consumer's.
// Thread: values any; a reader its owner's
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/result.h"

namespace fetcher {

// Where a dead letter lies: partition and offset in a topic, or 0 and the byte in a file. Ordered: readers go upwards.
struct DeadLetterPlace {
    int32_t partition = 0;
    int64_t offset = 0;

    auto operator<=>(const DeadLetterPlace&) const = default;
};

struct DeadLetter {
    DeadLetterPlace place;
    std::string failed_at;  // ISO-8601
    std::string consumer_id;
    std::string group;
    std::string processor_id;
    std::string processor_type;
    std::string error;
    uint32_t replays = 0;  // how often it had been delivered anew when it was refused
    // The record.
    std::string topic;
    int32_t partition = 0;
    int64_t offset = 0;
    int64_t timestamp_ms = -1;
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::vector<std::pair<std::string, std::optional<std::string>>> headers;

    // The same refusal of the same record has the same one, should it have been kept twice.
    std::string id() const { return processor_id + ":" + topic + former_id().substr(processor_id.size()); }
    // What id() was in earlier builds, which have noted replays under it.
    std::string former_id() const {
        return processor_id + ":" + std::to_string(partition) + ":" + std::to_string(offset) + ":" + std::to_string(timestamp_ms) + ":" +
               std::to_string(replays);
    }
    size_t payload_bytes() const {
        size_t bytes = value.value_or("").size() + key.value_or("").size();
        for (const auto& [name, text] : headers) bytes += name.size() + text.value_or("").size();
        return bytes;
    }
};

struct DeadLetterPage {
    std::vector<DeadLetter> items;
    std::optional<DeadLetterPlace> next;  // where the next page begins; nullopt: this is the end
};

class DeadLetterReader {
  public:
    static constexpr size_t kPageBytes = 4 << 20;  // of payload; one letter always fits

    virtual ~DeadLetterReader() = default;
    // Those of the consumer from a place on, until there are `limit`, the page is full or the time is over.
    virtual Result<DeadLetterPage> read(const std::string& consumer_id, DeadLetterPlace from, size_t limit,
                                        std::chrono::steady_clock::time_point until) = 0;
};

}  // namespace fetcher

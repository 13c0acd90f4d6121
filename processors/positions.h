// Positions: where a file stands, by consumer group, topic, topic id and partition.
//
// A partition of a topic has one position, kept under the id that the topic had when it was written: after a topic was deleted and made
// anew, partitions not yet written keep the old id, so that the engine sees that their offsets mean nothing any more.
// Thread: its owner's
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "engine/processor.h"

namespace fetcher {

class Positions {
  public:
    static constexpr int64_t kNone = -1;  // no record yet

    std::optional<Position> find(const std::string& group, const std::string& topic, int32_t partition) const;

    struct Entry {
        int64_t next_offset = kNone;
        LeaderEpoch last{};  // of the last record below
        friend bool operator==(const Entry&, const Entry&) = default;
    };

    // The partition's entry under this topic id, moved there from another id, made if it is missing (with kNone). The reference is
    // valid until the entry moves to another id.
    Entry& entry(const std::string& group, const std::string& topic, const std::string& topic_id, int32_t partition);

    size_t size() const;  // entries, also those of kNone

    // {"group": {"topic": {"topic id": {"0": 17}}}}; entries of kNone are left out unless asked for.
    nlohmann::json to_json(bool with_none = false) const;
    // Likewise, of each entry whose last record's leader epoch is known: [number, end]. Apart from the offsets, so that a version of the program
    // that knows no epochs reads those, and leaves out the epochs when it moves them.
    nlohmann::json epochs_to_json(bool with_unknown = false) const;
    // nullopt: not of this shape. `epochs`: an object.
    static std::optional<Positions> from_json(const nlohmann::json& json, const nlohmann::json& epochs);

    friend bool operator==(const Positions&, const Positions&) = default;

  private:
    using Partitions = std::map<int32_t, Entry>;
    template <class Value>
    nlohmann::json json_of(Value&& value) const;  // null: left out
    std::map<std::string, std::map<std::string, std::map<std::string, Partitions>>> groups_;
};

}  // namespace fetcher

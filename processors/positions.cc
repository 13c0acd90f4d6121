#include "processors/positions.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace fetcher {
namespace {

std::optional<int32_t> parse_partition(const std::string& text) {
    int32_t partition = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), partition);
    if (error != std::errc{} || end != text.data() + text.size() || partition < 0) return std::nullopt;
    return partition;
}

bool read_partitions(const nlohmann::json& json, std::map<int32_t, int64_t>& into) {
    if (!json.is_object()) return false;
    for (const auto& [text, offset] : json.items()) {
        const auto partition = parse_partition(text);
        if (!partition || !offset.is_number_integer()) return false;
        const auto next_offset = offset.get<int64_t>();  // what is larger than an offset can be comes out negative
        if (next_offset < 0) return false;
        into[*partition] = next_offset;
    }
    return true;
}

}  // namespace

std::optional<Position> Positions::find(const std::string& group, const std::string& topic, int32_t partition) const {
    const auto in_group = groups_.find(group);
    if (in_group == groups_.end()) return std::nullopt;
    const auto in_topic = in_group->second.find(topic);
    if (in_topic == in_group->second.end()) return std::nullopt;
    for (const auto& [topic_id, partitions] : in_topic->second) {
        const auto found = partitions.find(partition);
        if (found != partitions.end() && found->second != kNone) return Position{found->second, topic_id};
    }
    return std::nullopt;
}

int64_t& Positions::entry(const std::string& group, const std::string& topic, const std::string& topic_id, int32_t partition) {
    auto& ids = groups_[group][topic];
    int64_t next_offset = kNone;
    for (auto it = ids.begin(); it != ids.end();) {
        if (it->first != topic_id) {
            if (const auto found = it->second.find(partition); found != it->second.end()) {
                next_offset = found->second;
                it->second.erase(found);
            }
        }
        it = it->second.empty() ? ids.erase(it) : std::next(it);
    }
    return ids[topic_id].emplace(partition, next_offset).first->second;
}

size_t Positions::size() const {
    size_t total = 0;
    for (const auto& [group, topics] : groups_) {
        for (const auto& [topic, ids] : topics) {
            for (const auto& [topic_id, partitions] : ids) total += partitions.size();
        }
    }
    return total;
}

nlohmann::json Positions::to_json(bool with_none) const {
    auto json = nlohmann::json::object();
    for (const auto& [group, topics] : groups_) {
        for (const auto& [topic, ids] : topics) {
            for (const auto& [topic_id, partitions] : ids) {
                for (const auto& [partition, next_offset] : partitions) {
                    if (next_offset != kNone || with_none) json[group][topic][topic_id][std::to_string(partition)] = next_offset;
                }
            }
        }
    }
    return json;
}

std::optional<Positions> Positions::from_json(const nlohmann::json& json) {
    Positions positions;
    if (!json.is_object()) return std::nullopt;
    for (const auto& [group, topics] : json.items()) {
        if (!topics.is_object()) return std::nullopt;
        for (const auto& [topic, ids] : topics.items()) {
            if (!ids.is_object()) return std::nullopt;
            for (const auto& [topic_id, partitions] : ids.items()) {
                if (!read_partitions(partitions, positions.groups_[group][topic][topic_id])) return std::nullopt;
            }
        }
    }
    return positions;
}

}  // namespace fetcher

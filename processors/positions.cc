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

// Visits {"group": {"topic": {"topic id": {"partition": …}}}}. False: it is not of this shape, or visit() says no.
template <class Visit>
bool visit_partitions(const nlohmann::json& json, Visit&& visit) {
    if (!json.is_object()) return false;
    for (const auto& [group, topics] : json.items()) {
        if (!topics.is_object()) return false;
        for (const auto& [topic, ids] : topics.items()) {
            if (!ids.is_object()) return false;
            for (const auto& [topic_id, partitions] : ids.items()) {
                if (!partitions.is_object()) return false;
                for (const auto& [text, value] : partitions.items()) {
                    const auto partition = parse_partition(text);
                    if (!partition || !visit(group, topic, topic_id, *partition, value)) return false;
                }
            }
        }
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
        if (found != partitions.end() && found->second.next_offset != kNone) {
            return Position{found->second.next_offset, topic_id, false, found->second.last};
        }
    }
    return std::nullopt;
}

Positions::Entry& Positions::entry(const std::string& group, const std::string& topic, const std::string& topic_id, int32_t partition) {
    auto& ids = groups_[group][topic];
    Entry moved;
    for (auto it = ids.begin(); it != ids.end();) {
        if (it->first != topic_id) {
            if (const auto found = it->second.find(partition); found != it->second.end()) {
                moved = found->second;
                it->second.erase(found);
            }
        }
        it = it->second.empty() ? ids.erase(it) : std::next(it);
    }
    return ids[topic_id].emplace(partition, moved).first->second;
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

template <class Value>
nlohmann::json Positions::json_of(Value&& value) const {
    auto json = nlohmann::json::object();
    for (const auto& [group, topics] : groups_) {
        for (const auto& [topic, ids] : topics) {
            for (const auto& [topic_id, partitions] : ids) {
                for (const auto& [partition, entry] : partitions) {
                    if (auto told = value(entry); !told.is_null()) json[group][topic][topic_id][std::to_string(partition)] = std::move(told);
                }
            }
        }
    }
    return json;
}

nlohmann::json Positions::to_json(bool with_none) const {
    return json_of([&](const Entry& entry) { return entry.next_offset != kNone || with_none ? nlohmann::json(entry.next_offset) : nlohmann::json(); });
}

nlohmann::json Positions::epochs_to_json(bool with_unknown) const {
    return json_of([&](const Entry& entry) {
        const bool told = with_unknown || (entry.next_offset != kNone && entry.last.is_known());
        return told ? nlohmann::json::array({entry.last.number, entry.last.end}) : nlohmann::json();
    });
}

std::optional<Positions> Positions::from_json(const nlohmann::json& json, const nlohmann::json& epochs) {
    Positions positions;
    const auto read_offset = [&](const auto& group, const auto& topic, const auto& topic_id, int32_t partition, const nlohmann::json& offset) {
        if (!offset.is_number_integer()) return false;
        const auto next_offset = offset.template get<int64_t>();  // what is larger than an offset can be comes out negative
        if (next_offset < 0) return false;
        positions.groups_[group][topic][topic_id][partition].next_offset = next_offset;
        return true;
    };
    const auto read_epoch = [&](const auto& group, const auto& topic, const auto& topic_id, int32_t partition, const nlohmann::json& last) {
        if (!last.is_array() || last.size() != 2 || !last[0].is_number_integer() || !last[1].is_number_integer()) return false;
        positions.groups_[group][topic][topic_id][partition].last = {last[0].template get<int32_t>(), last[1].template get<int64_t>()};
        return true;
    };
    if (!visit_partitions(json, read_offset) || !visit_partitions(epochs, read_epoch)) return std::nullopt;
    return positions;
}

}  // namespace fetcher

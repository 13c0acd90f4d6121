#include "processors/checkpoint_state.h"

#include <nlohmann/json.hpp>

#include "processors/crc32c.h"

namespace fetcher {
namespace {

constexpr uint64_t kVersion = 1;
constexpr std::string_view kBegin = "{\"crc32c\":\"";
constexpr std::string_view kNoCrc = "00000000";
constexpr std::string_view kAfterCrc = "\",";
// Room for numbers that grow: an offset may gain 18 digits, a leader epoch 28 with its end, the fixed fields together less than 256, a rotation's name 300.
constexpr size_t kGrowthPerPosition = 48;
constexpr size_t kGrowthFixed = 1024;

std::string body_of(const CheckpointState& state, bool with_none = false) {
    nlohmann::ordered_json json;
    json["version"] = kVersion;
    json["sequence"] = state.sequence;
    json["file"] = state.file;
    json["inode"] = state.inode;
    json["length_bytes"] = state.length_bytes;
    json["tail"] = {{"bytes", state.tail.bytes}, {"crc32c", state.tail.crc}};
    json["content"] = state.content;
    json["begun_ms"] = state.begun_ms;
    json["rotations"] = state.rotations;
    json["rotating_to"] = state.rotating_to;
    json["positions"] = state.positions.to_json(with_none);
    json["leader_epochs"] = state.positions.epochs_to_json(with_none);
    return json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

// The slot with its CRC field set to zeros, which is what the CRC is taken of.
std::string without_crc(std::string_view slot) {
    std::string text(slot);
    text.replace(kBegin.size(), kNoCrc.size(), kNoCrc);
    return text;
}

bool is_intact(std::string_view slot) {
    if (slot.size() < kBegin.size() + kNoCrc.size()) return false;
    return slot.substr(kBegin.size(), kNoCrc.size()) == hex32(crc32c(without_crc(slot)));
}

// Reads fields of an object; ok() tells whether all were there and of their type.
class Reader {
  public:
    explicit Reader(const nlohmann::json& json) : json_(json) {}

    template <class Number>
    void number(const char* name, Number& into) {
        const auto field = json_.find(name);
        ok_ = ok_ && field != json_.end() && field->is_number_integer();
        if (ok_) into = field->get<Number>();
    }
    void text(const char* name, std::string& into) {
        const auto field = json_.find(name);
        ok_ = ok_ && field != json_.end() && field->is_string();
        if (ok_) into = field->get<std::string>();
    }
    bool ok() const { return ok_; }

  private:
    const nlohmann::json& json_;
    bool ok_ = true;
};

std::optional<CheckpointState> read_state(const nlohmann::json& json) {
    CheckpointState state;
    Reader reader(json);
    reader.number("sequence", state.sequence);
    reader.text("file", state.file);
    reader.number("inode", state.inode);
    reader.number("length_bytes", state.length_bytes);
    reader.text("content", state.content);
    reader.number("begun_ms", state.begun_ms);
    reader.number("rotations", state.rotations);
    reader.text("rotating_to", state.rotating_to);
    if (!reader.ok() || !json.contains("tail") || !json.contains("positions")) return std::nullopt;
    Reader tail(json["tail"]);
    tail.number("bytes", state.tail.bytes);
    tail.number("crc32c", state.tail.crc);
    auto positions = Positions::from_json(json["positions"], json.value("leader_epochs", nlohmann::json::object()));  // earlier versions have none
    if (!tail.ok() || !positions) return std::nullopt;
    state.positions = std::move(*positions);
    return state;
}

}  // namespace

size_t slot_bytes_for(const CheckpointState& state) {
    const size_t wanted = body_of(state, true).size() + kGrowthFixed + kGrowthPerPosition * state.positions.size();
    size_t bytes = kSlotUnitBytes;
    while (bytes < wanted) bytes *= 2;
    return bytes;
}

std::string encode_slot(const CheckpointState& state, size_t slot_bytes) {
    std::string slot;
    slot.reserve(slot_bytes);
    slot.append(kBegin).append(kNoCrc).append(kAfterCrc);
    slot.append(body_of(state).substr(1));  // without its brace: ours is open already
    FETCHER_INVARIANT(slot.size() < slot_bytes, "a checkpoint's slot has room for its state");
    slot.resize(slot_bytes - 1, ' ');
    slot.push_back('\n');
    slot.replace(kBegin.size(), kNoCrc.size(), hex32(crc32c(slot)));
    return slot;
}

Result<std::optional<CheckpointState>> decode_slot(std::string_view slot) {
    if (!is_intact(slot)) return std::nullopt;
    const auto json = nlohmann::json::parse(slot, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    uint64_t version = 0;
    Reader reader(json);
    reader.number("version", version);
    if (!reader.ok()) return std::nullopt;
    if (version != kVersion) return fatal("it is of version " + std::to_string(version) + "; this program knows version 1");
    return read_state(json);
}

}  // namespace fetcher

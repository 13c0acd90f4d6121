#include "processors/file_dead_letter_reader.h"

#include <fcntl.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "processors/file_errors.h"

namespace fetcher {
namespace {

using nlohmann::json;

constexpr size_t kChunkBytes = 256 << 10;

std::string from_base64(const std::string& text) {
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const auto digit = kAlphabet.find(c);
        if (digit == std::string_view::npos) break;  // the padding
        bits = bits << 6 | static_cast<uint32_t>(digit);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes.push_back(static_cast<char>(bits >> count & 0xFF));
    }
    return bytes;
}

std::optional<std::string> bytes_of(const json& field) {
    if (field.is_null()) return std::nullopt;
    if (field.is_object()) return from_base64(field.at("base64").get<std::string>());
    return field.get<std::string>();
}

std::optional<DeadLetter> letter_of(std::string_view line, DeadLetterPlace place) {
    const auto from = json::parse(line, nullptr, false);
    if (!from.is_object()) return std::nullopt;
    try {
        DeadLetter letter;
        letter.place = place;
        letter.failed_at = from.at("failed_at");
        letter.consumer_id = from.at("consumer_id");
        letter.group = from.at("consumer_group");
        letter.processor_id = from.at("processor_id");
        letter.processor_type = from.at("processor_type");
        letter.error = bytes_of(from.at("error")).value_or("");
        letter.replays = from.at("replays");
        letter.topic = from.at("topic");
        letter.partition = from.at("partition");
        letter.offset = from.at("offset");
        letter.timestamp_ms = from.at("timestamp");
        letter.key = bytes_of(from.at("key"));
        letter.value = bytes_of(from.at("value"));
        for (const auto& header : from.at("headers")) letter.headers.emplace_back(bytes_of(header.at("name")).value_or(""), bytes_of(header.at("value")));
        return letter;
    } catch (const json::exception&) {
        return std::nullopt;
    }
}

class FileDeadLetterReader final : public DeadLetterReader {
  public:
    FileDeadLetterReader(RootedPath path, SystemCalls& calls) : path_(std::move(path)), calls_(calls) {}

    Result<DeadLetterPage> read(const std::string& consumer_id, DeadLetterPlace from, size_t limit,
                                std::chrono::steady_clock::time_point until) override {
        const auto fail = [&](int error_number) { return tl::unexpected(file_error(error_number, "read " + path_.absolute())); };
        const FileHandle root(calls_, calls_.open_root(path_.root));
        if (!root.is_open()) return fail(-root.fd());
        const FileHandle file(calls_, calls_.open_beneath(root.fd(), path_.relative(), O_RDONLY | O_CLOEXEC, 0));
        if (file.fd() == -ENOENT) return DeadLetterPage{};
        if (!file.is_open()) return fail(-file.fd());

        DeadLetterPage page;
        size_t bytes = 0;
        auto at = static_cast<uint64_t>(from.offset);  // of the first byte in `text`
        std::string text;
        std::string chunk(kChunkBytes, '\0');
        for (;;) {
            const auto got = calls_.read_at(file.fd(), chunk.data(), chunk.size(), at + text.size());
            if (got < 0) return fail(static_cast<int>(-got));
            if (got == 0) return page;  // a line that is not ended is being written, or will be passed over
            text.append(chunk, 0, static_cast<size_t>(got));
            size_t begin = 0;
            for (size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
                const DeadLetterPlace place{0, static_cast<int64_t>(at + begin)};
                if (page.items.size() >= limit || bytes >= kPageBytes || std::chrono::steady_clock::now() >= until) {
                    page.next = place;
                    return page;
                }
                auto letter = letter_of(std::string_view(text).substr(begin, end - begin), place);
                if (!letter || letter->consumer_id != consumer_id) continue;
                bytes += letter->payload_bytes();
                page.items.push_back(std::move(*letter));
            }
            at += begin;
            text.erase(0, begin);
        }
    }

  private:
    const RootedPath path_;
    SystemCalls& calls_;
};

}  // namespace

std::unique_ptr<DeadLetterReader> make_file_dead_letter_reader(RootedPath path, SystemCalls& calls) {
    return std::make_unique<FileDeadLetterReader>(std::move(path), calls);
}

}  // namespace fetcher

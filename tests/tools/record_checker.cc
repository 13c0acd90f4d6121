// Proves of sinks' files that every record of record_producer is there once, in order per partition, byte for byte, or that what is there
// is an exact prefix of each partition. Prints one line of JSON; exit code 0: proven, 1: not, 2: could not look.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/tools/record_ledger.h"

namespace {

using fetcher::testing::RecordLedger;

struct Options {
    std::vector<std::string> files;
    std::string run;
    std::vector<std::string> expected;
    bool prefix = false;
    bool embedded = false;
    bool partial_tail = false;
    bool order_per_file = false;
    uint64_t length = std::numeric_limits<uint64_t>::max();
};

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "record_checker: %s\n", why.c_str());
    std::exit(2);
}

// Feeds whole lines to the ledger; a rest without a newline is kept until more comes.
class Reader {
  public:
    Reader(RecordLedger& ledger, const Options& options) : ledger_(ledger), options_(options), buffer_(kBufferBytes) {}

    void read_file(const std::string& path, uint64_t length) {
        const int fd = path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) die(path + ": " + std::strerror(errno));
        uint64_t offset = 0;
        size_t rest = 0;
        while (offset + rest < length) {
            if (rest == buffer_.size()) buffer_.resize(buffer_.size() * 2);  // one line longer than the buffer
            const auto wanted = static_cast<size_t>(std::min<uint64_t>(buffer_.size() - rest, length - offset - rest));
            const ssize_t n = read(fd, buffer_.data() + rest, wanted);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) die(path + ": " + std::strerror(errno));
            if (n == 0) break;
            const size_t used = lines({buffer_.data(), rest + static_cast<size_t>(n)}, path, offset);
            rest = rest + static_cast<size_t>(n) - used;
            offset += used;
            std::memmove(buffer_.data(), buffer_.data() + used, rest);
        }
        if (length != std::numeric_limits<uint64_t>::max() && offset + rest < length) {
            die(path + " is shorter than the " + std::to_string(length) + " bytes to read");
        }
        tail_bytes_ += rest;
        if (rest > 0 && !options_.partial_tail) ledger_.add({buffer_.data(), rest}, options_.embedded, path + " (no newline)", offset);
        if (fd != STDIN_FILENO) close(fd);
    }

    uint64_t tail_bytes() const { return tail_bytes_; }

  private:
    static constexpr size_t kBufferBytes = 1 << 20;

    size_t lines(std::string_view text, const std::string& path, uint64_t offset) {
        size_t at = 0;
        while (const auto* newline = static_cast<const char*>(std::memchr(text.data() + at, '\n', text.size() - at))) {
            const auto bytes = static_cast<size_t>(newline - text.data()) - at;
            ledger_.add(text.substr(at, bytes), options_.embedded, path, offset + at);
            at += bytes + 1;
        }
        return at;
    }

    RecordLedger& ledger_;
    const Options& options_;
    std::vector<char> buffer_;
    uint64_t tail_bytes_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Checks files for numbered records: loss, duplicates, order, damage."};
    app.add_option("files", options.files, "in the order in which they were written; - reads standard input")->required();
    app.add_option("--run", options.run, "the 8 hexadecimal digits that every record must carry");
    auto* expected = app.add_option("--expect", options.expected, "PARTITION=COUNT: exactly 0..COUNT-1 must be there; may repeat");
    auto* prefix = app.add_flag("--prefix", options.prefix, "what is there must be an exact prefix of each partition");
    prefix->excludes(expected);
    app.add_option("--length", options.length, "bytes of the last file to look at; more must be there");
    app.add_flag("--embedded", options.embedded, "the record is a JSON string somewhere in its line");
    app.add_flag("--partial-tail", options.partial_tail, "a last line without a newline is no damage: somebody is writing");
    app.add_flag("--order-per-file", options.order_per_file, "the files are of different writers: order holds within each");
    CLI11_PARSE(app, argc, argv);
    if (!options.prefix && options.expected.empty()) die("one of --expect and --prefix is needed");

    std::optional<uint32_t> run;
    if (!options.run.empty()) run = static_cast<uint32_t>(std::stoul(options.run, nullptr, 16));
    RecordLedger ledger(run);
    for (const auto& text : options.expected) {
        const size_t equals = text.find('=');
        if (equals == std::string::npos) die("--expect wants PARTITION=COUNT: " + text);
        ledger.expect(static_cast<uint32_t>(std::stoul(text)), std::stoull(text.substr(equals + 1)));
    }
    Reader reader(ledger, options);
    for (size_t i = 0; i < options.files.size(); i++) {
        const bool last = i + 1 == options.files.size();
        reader.read_file(options.files[i], last ? options.length : std::numeric_limits<uint64_t>::max());
        if (options.order_per_file) ledger.forget_order();
    }
    std::string json = ledger.json();
    json.insert(json.size() - 1, ", \"tail_bytes\": " + std::to_string(reader.tail_bytes()));
    std::puts(json.c_str());
    return ledger.totals().clean() ? 0 : 1;
}

#include "tests/tools/slow_processor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace fetcher::testing {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

struct Options {
    milliseconds delay_per_batch{0};
    microseconds delay_per_record{0};
    std::string cork_file;
    std::string unavailable_file;
    std::string output_file;
};

bool exists(const std::string& path) { return !path.empty() && access(path.c_str(), F_OK) == 0; }

class SlowProcessor : public Processor {
  public:
    explicit SlowProcessor(Options options) : options_(std::move(options)) {}
    ~SlowProcessor() override {
        if (fd_ >= 0) ::close(fd_);
    }
    SlowProcessor(const SlowProcessor&) = delete;
    SlowProcessor& operator=(const SlowProcessor&) = delete;

    void bind(Acks&) override {}

    Result<std::optional<Position>> open(const std::shared_ptr<Assignment>&) override {
        if (exists(options_.unavailable_file)) return transient("test_slow: " + options_.unavailable_file + " exists");
        if (!options_.output_file.empty() && fd_ < 0) {
            fd_ = ::open(options_.output_file.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0640);
            if (fd_ < 0) return fatal("test_slow: cannot open " + options_.output_file + ": " + std::strerror(errno));
        }
        return std::nullopt;
    }

    Outcome write(const Batch& batch, size_t first) override {
        const Assignment& assignment = batch.assignment();
        while (exists(options_.cork_file) && !assignment.revoked) std::this_thread::sleep_for(kStep);
        const auto records = static_cast<int64_t>(batch.size() - first);
        const auto until = Clock::now() + options_.delay_per_batch + options_.delay_per_record * records;
        while (Clock::now() < until && !assignment.revoked) {
            std::this_thread::sleep_for(std::min<Clock::duration>(kStep, until - Clock::now()));
        }
        if (assignment.revoked) return Outcome::retry("test_slow: the partition was revoked");
        return note(batch.framed_values(first));
    }

    void close(const Assignment&) override {}

  private:
    static constexpr milliseconds kStep{10};

    Outcome note(std::string_view text) {
        while (fd_ >= 0 && !text.empty()) {
            const ssize_t n = ::write(fd_, text.data(), text.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return Outcome::fatal("test_slow: cannot write " + options_.output_file + ": " + std::strerror(errno));
            text.remove_prefix(static_cast<size_t>(n));
        }
        return Outcome::durable();
    }

    Options options_;
    int fd_ = -1;
};

}  // namespace

nlohmann::json SlowProcessorType::schema() const {
    return nlohmann::json::parse(R"({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "description": "For tests: slow, stuck or unavailable on demand.",
        "additionalProperties": false,
        "properties": {
            "delay_ms": {"type": "integer", "minimum": 0, "maximum": 60000, "default": 0, "description": "sleeps this long for each batch"},
            "delay_us_per_record": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 0, "description": "and this long for each record"},
            "cork_file": {"type": "string", "description": "writes block while this file exists"},
            "unavailable_file": {"type": "string", "description": "opening fails for now while this file exists"},
            "output_file": {"type": "string", "description": "values are appended here, one a line"}
        }
    })");
}

std::vector<ConfigProblem> SlowProcessorType::check(const nlohmann::json&, const ProcessorOwner&, const ProcessorEnvironment&) const {
    return {};
}

Result<std::unique_ptr<Processor>> SlowProcessorType::make(const nlohmann::json& config, const ProcessorOwner&,
                                                           const ProcessorEnvironment&) const {
    Options options;
    options.delay_per_batch = milliseconds(config.value("delay_ms", 0));
    options.delay_per_record = microseconds(config.value("delay_us_per_record", 0));
    options.cork_file = config.value("cork_file", "");
    options.unavailable_file = config.value("unavailable_file", "");
    options.output_file = config.value("output_file", "");
    return std::make_unique<SlowProcessor>(std::move(options));
}

}  // namespace fetcher::testing

#include "admin/dead_letter_service.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>

#include "admin/counted.h"
#include "admin/failure_fields.h"
#include "admin/kafka_properties.h"
#include "admin/store_problem.h"
#include "engine/iso_time.h"
#include "processors/dead_letter_destination.h"

namespace fetcher {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kReadLimit{4'000};
constexpr milliseconds kReplayLimit{5'000};
constexpr int kMostAtOnce = 4;  // a cluster or sink that does not answer holds a thread for seconds; more are asked to come back
constexpr size_t kReplayPage = 100;
constexpr const char* kHeldUp =
    "a record is held up in its sink, by a system call that does not return; see whether its disk or file system answers. It may still be delivered; until it "
    "is let go, or the process is restarted, replays of this consumer are refused.";
constexpr size_t kMostScanned = 1'000;  // letters that one replay call looks at

tl::unexpected<Problem> bad_cursor() {
    return problem(422, "The query is not valid; see errors.", {{"?cursor", "must be the next_cursor of an earlier answer"}});
}

template <class Number>
bool take_number(std::string_view& text, Number& into) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
    if (error != std::errc{} || into < 0) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (text.starts_with('-')) text.remove_prefix(1);
    return true;
}

std::string written(const DeadLetterPlace& place) { return fmt::format("{}-{}", place.partition, place.offset); }

// <partition>-<offset>, and behind it in a replay's cursor -<when it began, milliseconds since 1970>.
struct Cursor {
    DeadLetterPlace place;
    int64_t began_ms = 0;

    static std::optional<Cursor> parse(std::string_view text, bool with_time) {
        Cursor cursor;
        if (text.empty()) return cursor;
        if (!take_number(text, cursor.place.partition) || !take_number(text, cursor.place.offset)) return std::nullopt;
        if (with_time && !take_number(text, cursor.began_ms)) return std::nullopt;
        return text.empty() ? std::optional(cursor) : std::nullopt;
    }
};

std::vector<std::string> ids_of(const std::vector<DeadLetter>& letters) {
    std::vector<std::string> ids;
    for (const auto& letter : letters) {
        ids.push_back(letter.id());
        ids.push_back(letter.former_id());
    }
    return ids;
}

// Also of what an earlier build has noted.
bool is_in(const std::set<std::string>& noted, const DeadLetter& letter) { return noted.contains(letter.id()) || noted.contains(letter.former_id()); }

tl::unexpected<Problem> busy() {
    return tl::unexpected<Problem>(Problem{503, "Too many questions about dead letters are under way.", {}, {{"Retry-After", "1"}}});
}

bool is_over(const std::future<Redelivery>& delivery) { return delivery.wait_for(milliseconds{0}) == std::future_status::ready; }

// In a set for as long as it lives.
class Turn {
  public:
    Turn(std::mutex& mutex, std::set<std::string>& all, const std::string& id) : mutex_(mutex), all_(all), id_(id) {
        const std::lock_guard lock(mutex_);
        mine_ = all_.insert(id_).second;
    }
    ~Turn() {
        if (!mine_) return;
        const std::lock_guard lock(mutex_);
        all_.erase(id_);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    bool mine() const { return mine_; }

  private:
    std::mutex& mutex_;
    std::set<std::string>& all_;
    const std::string id_;
    bool mine_ = false;
};

}  // namespace

bool LetterFilter::matches(const DeadLetter& letter) const {
    return (ids.empty() || ids.contains(letter.id())) && (processor_id.empty() || processor_id == letter.processor_id) &&
           (!partition || *partition == letter.partition) && letter.error.find(error) != std::string::npos;
}

Answer<DeadLetterService::Opened> DeadLetterService::open(const std::string& consumer_id) {
    auto found = store_.find(consumer_id);
    if (!found) return problem_of(found.error());
    if (!*found) return problem(404, "There is no consumer " + consumer_id + ".");
    Opened opened{std::move(**found), nullptr, nullptr};
    const auto& spec = opened.consumer.spec;
    if (!opened.consumer.unreadable.empty()) return problem(409, opened.consumer.unreadable);
    if (spec.dead_letter.is_null()) return problem(409, "Consumer " + consumer_id + " has no dead_letter, so none are kept; PUT one.");
    const auto cluster = kafka_cluster(spec, environment_);
    if (!cluster) return problem(409, cluster.error().reason);
    const ProcessorOwner owner{consumer_id, spec.consumer_group, spec.topic, {}};
    auto letters = make_dead_letters(spec.dead_letter, owner, environment_, *cluster);
    if (!letters) return problem(409, letters.error().reason);
    opened.letters = std::move(*letters);
    opened.reader = make_dead_letter_reader(spec.dead_letter, owner, environment_, *cluster);
    return opened;
}

Answer<LetterPage> DeadLetterService::list(const std::string& consumer_id, size_t limit, const std::string& cursor) {
    const auto from = Cursor::parse(cursor, false);
    if (!from) return bad_cursor();
    const Counted question(asked_);
    if (!question.within(kMostAtOnce)) return busy();
    const auto opened = open(consumer_id);
    if (!opened) return tl::unexpected<Problem>(opened.error());
    auto read = opened->reader->read(consumer_id, from->place, limit, steady_clock::now() + kReadLimit);
    if (!read) return problem(504, "The dead letters cannot be read: " + read.error().reason);
    const auto replayed = store_.replayed(consumer_id, ids_of(read->items));
    if (!replayed) return problem_of(replayed.error());
    LetterPage page;
    for (auto& letter : read->items) {
        const bool done = is_in(*replayed, letter);
        page.items.push_back({std::move(letter), done});
    }
    if (read->next) page.next_cursor = written(*read->next);
    return page;
}

// The one that refused it, or, if that one has been replaced, the only one of its type.
const ProcessorSpec* DeadLetterService::processor_of(const StoredConsumer& consumer, const DeadLetter& letter) const {
    const ProcessorSpec* only = nullptr;
    size_t of_type = 0;
    for (const auto& spec : consumer.spec.processors) {
        if (spec.id == letter.processor_id) return &spec;
        if (spec.type != letter.processor_type) continue;
        only = &spec;
        of_type++;
    }
    return of_type == 1 ? only : nullptr;
}

bool DeadLetterService::held_up() {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(left_behind_, [](const auto& entry) { return !is_over(entry.second.done); });
}

bool DeadLetterService::settle_left_behind(const std::string& consumer_id) {
    LeftBehind former;
    {
        const std::lock_guard lock(mutex_);
        const auto found = left_behind_.find(consumer_id);
        if (found == left_behind_.end()) return true;
        if (!is_over(found->second.done)) return false;
        former = std::move(found->second);
        left_behind_.erase(found);
    }
    // It may have been delivered after all. Where that cannot be noted it is delivered once more.
    if (former.done.get().kind != Redelivery::Kind::not_now) (void)store_.mark_replayed(consumer_id, former.letter_id, iso_now());
    return true;
}

bool DeadLetterService::deliver(const Opened& opened, const ProcessorSpec& spec, const DeadLetter& letter, ReplayReport& report) {
    const auto* type = registry_.find(spec.type);
    if (!type) {
        report.stopped_because = "this build does not know the processor type " + spec.type;
        return false;
    }
    const auto& consumer = opened.consumer;
    const RetryPolicy retry = retry_policy(consumer.spec.retry);
    // A group of its own: a position for each letter, and none of the consumer's is touched.
    const std::string group = consumer.spec.consumer_group + " dead letter " + letter.id();
    auto environment = environment_;
    environment.data_dir.clear();  // there is nothing to be remembered of a single record
    auto processor = type->make(spec.config, {consumer.consumer_id, group, letter.topic, retry}, environment);
    if (!processor) {
        report.stopped_because = processor.error().reason;
        return false;
    }
    const FailurePolicy policy{retry, opened.letters, {spec.id, spec.type, letter.replays + 1}};
    // On a thread of its own, which has all that it needs: a sink that hangs in a system call is left to itself.
    auto delivery = std::async(std::launch::async, [letter, group, made = std::move(*processor), policy, until = steady_clock::now() + limits_.letter]() mutable {
        return redeliver(letter, group, std::move(made), policy, until);
    });
    if (delivery.wait_for(limits_.letter + limits_.break_off) != std::future_status::ready) {
        report.stopped_because = kHeldUp;
        const std::lock_guard lock(mutex_);
        left_behind_[consumer.consumer_id] = {letter.id(), std::move(delivery)};
        return false;
    }
    const auto done = delivery.get();
    if (done.kind == Redelivery::Kind::not_now) {
        report.stopped_because = done.reason;
        return false;
    }
    (done.kind == Redelivery::Kind::delivered ? report.delivered : report.refused_again)++;
    if (const auto noted = store_.mark_replayed(consumer.consumer_id, letter.id(), iso_now()); !noted) {
        report.stopped_because = noted.error().reason;
        return false;
    }
    return true;
}

Answer<ReplayReport> DeadLetterService::replay(const std::string& consumer_id, const LetterFilter& filter, const std::string& text) {
    const auto cursor = Cursor::parse(text, true);
    if (!cursor) return bad_cursor();
    const Counted question(asked_);
    if (!question.within(kMostAtOnce)) return busy();
    const Turn turn(mutex_, replaying_, consumer_id);
    if (!turn.mine()) return problem(409, "A replay for consumer " + consumer_id + " is under way; wait for its answer.");
    if (!settle_left_behind(consumer_id)) return problem(409, std::string("Of an earlier replay ") + kHeldUp);
    const auto opened = open(consumer_id);
    if (!opened) return tl::unexpected<Problem>(opened.error());

    const auto until = steady_clock::now() + kReplayLimit;
    const auto now_ms = std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    const int64_t began_ms = cursor->began_ms > 0 ? cursor->began_ms : now_ms;
    const auto began = iso_time(std::chrono::system_clock::time_point(milliseconds(began_ms)));
    ReplayReport report;
    auto from = cursor->place;
    const auto stop_at = [&](const DeadLetterPlace& place) {
        report.next_cursor = written(place) + "-" + std::to_string(began_ms);
        return report;
    };
    for (size_t scanned = 0; scanned < kMostScanned;) {
        const auto page = opened->reader->read(consumer_id, from, kReplayPage, until);
        if (!page) return problem(504, "The dead letters cannot be read: " + page.error().reason);
        auto replayed = store_.replayed(consumer_id, ids_of(page->items));
        if (!replayed) return problem_of(replayed.error());
        for (const auto& letter : page->items) {
            scanned++;
            if (!filter.matches(letter)) continue;
            if (filter.ids.empty() && letter.failed_at >= began) {
                report.newer++;
                continue;
            }
            if (is_in(*replayed, letter)) {
                report.already_replayed++;
                continue;
            }
            const auto* spec = processor_of(opened->consumer, letter);
            if (!spec) {
                report.without_processor++;
                continue;
            }
            if (steady_clock::now() >= until || !deliver(*opened, *spec, letter, report)) return stop_at(letter.place);
            replayed->insert(letter.id());
        }
        if (!page->next) {
            spdlog::info("consumer {}: replayed dead letters: {} delivered, {} refused again", consumer_id, report.delivered, report.refused_again);
            return report;
        }
        from = *page->next;
        if (steady_clock::now() >= until) break;
    }
    return stop_at(from);
}

}  // namespace fetcher

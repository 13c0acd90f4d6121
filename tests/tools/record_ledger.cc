#include "tests/tools/record_ledger.h"

#include <algorithm>
#include <bit>

namespace fetcher::testing {

namespace {

constexpr size_t kMaxExamples = 12;

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 60)) out += (c < ' ' || c > '~' || c == '"' || c == '\\') ? '.' : c;
    return out;
}

std::string_view embedded_record(std::string_view line) {
    const size_t begin = line.find(kRecordMagic);
    if (begin == std::string_view::npos) return {};
    return line.substr(begin, line.find('"', begin) - begin);
}

std::string name(uint32_t partition, uint64_t sequence) {
    return "partition " + std::to_string(partition) + " sequence " + std::to_string(sequence);
}

}  // namespace

void RecordLedger::example(std::string what) const {
    if (examples_.size() < kMaxExamples) examples_.push_back(std::move(what));
}

void RecordLedger::add(std::string_view line, bool embedded, const std::string& file, uint64_t at) {
    const std::string_view text = embedded ? embedded_record(line) : line;
    const auto record = decode_record(text);
    if (!record) {
        counts_.corrupt++;
        if (examples_.size() < kMaxExamples) example("corrupt: " + file + " at " + std::to_string(at) + ": " + printable(line));
        return;
    }
    if (run_ && record->run != *run_) {
        counts_.foreign++;
        if (examples_.size() < kMaxExamples) example("foreign run: " + name(record->partition, record->sequence) + ", " + file);
        return;
    }
    account(*record, file, at);
}

void RecordLedger::account(const RecordHeader& record, const std::string& file, uint64_t at) {
    if (recent_ == nullptr || recent_number_ != record.partition) {
        recent_ = &partitions_[record.partition];
        recent_number_ = record.partition;
    }
    Partition& partition = *recent_;
    const uint64_t sequence = record.sequence;
    const auto where = [&] { return name(record.partition, sequence) + ", " + file + " at " + std::to_string(at); };
    counts_.records++;
    partition.records++;
    if (partition.expected_end && sequence >= *partition.expected_end) {
        counts_.unexpected++;
        example("unexpected: " + where());
        return;  // keeps a wild number from growing the bitmap
    }
    const size_t word = sequence / 64;
    const uint64_t bit = uint64_t{1} << sequence % 64;
    if (word >= partition.seen.size()) partition.seen.resize(std::max(word + 1, partition.seen.size() * 2));
    if ((partition.seen[word] & bit) != 0) {
        counts_.duplicates++;
        if (examples_.size() < kMaxExamples) example("duplicate: " + where());
    } else if (sequence < partition.next) {
        counts_.out_of_order++;
        if (examples_.size() < kMaxExamples) example("out of order: " + where() + ", after " + std::to_string(partition.next - 1));
    }
    partition.seen[word] |= bit;
    partition.next = sequence + 1;
    partition.end = std::max(partition.end, sequence + 1);
}

void RecordLedger::forget_order() {
    for (auto& [number, partition] : partitions_) partition.next = 0;
}

uint64_t RecordLedger::missing(uint32_t number, const Partition& partition) const {
    const uint64_t end = partition.expected_end.value_or(partition.end);
    uint64_t found = 0;
    std::optional<uint64_t> first;
    for (uint64_t word = 0; word * 64 < end; word++) {
        const uint64_t rest = end - word * 64;
        const uint64_t wanted = rest >= 64 ? ~uint64_t{0} : (uint64_t{1} << rest) - 1;
        const uint64_t lost = wanted & ~(word < partition.seen.size() ? partition.seen[word] : 0);
        if (lost != 0 && !first) first = word * 64 + static_cast<uint64_t>(std::countr_zero(lost));
        found += static_cast<uint64_t>(std::popcount(lost));
    }
    if (first) example("missing: " + std::to_string(found) + " in all, first " + name(number, *first));
    return found;
}

RecordLedger::Totals RecordLedger::totals() const {
    Totals totals = counts_;
    for (const auto& [number, partition] : partitions_) totals.missing += missing(number, partition);
    return totals;
}

std::string RecordLedger::json() const {
    const Totals t = totals();
    std::string out = "{\"records\": " + std::to_string(t.records) + ", \"missing\": " + std::to_string(t.missing) +
                      ", \"duplicates\": " + std::to_string(t.duplicates) + ", \"out_of_order\": " + std::to_string(t.out_of_order) +
                      ", \"corrupt\": " + std::to_string(t.corrupt) + ", \"foreign\": " + std::to_string(t.foreign) +
                      ", \"unexpected\": " + std::to_string(t.unexpected) + ", \"next\": {";
    bool first = true;
    for (const auto& [number, partition] : partitions_) {
        out += (first ? "\"" : ", \"") + std::to_string(number) + "\": " + std::to_string(partition.end);
        first = false;
    }
    out += "}, \"examples\": [";
    for (size_t i = 0; i < examples_.size(); i++) out += (i > 0 ? ", \"" : "\"") + examples_[i] + "\"";
    return out + "]}";
}

}  // namespace fetcher::testing

// The checker is only worth what it catches: each test plants one fault in a sound sequence of records.
#include "tests/tools/record_ledger.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fetcher::testing {
namespace {

constexpr uint32_t kRun = 0xabc123;

std::string make_record(uint32_t partition, uint64_t sequence, size_t bytes = 200, uint32_t run = kRun) {
    std::string record(bytes, 'x');
    encode_record(record.data(), bytes, {run, partition, sequence, 1'700'000'000'000'000'000});
    return record;
}

// 300 records of each of two partitions, interleaved.
std::vector<std::string> sound_records() {
    std::vector<std::string> records;
    for (uint64_t sequence = 0; sequence < 300; sequence++) {
        for (uint32_t partition : {0U, 1U}) records.push_back(make_record(partition, sequence));
    }
    return records;
}

RecordLedger::Totals check(const std::vector<std::string>& records, bool complete = true) {
    RecordLedger ledger(kRun);
    if (complete) {
        ledger.expect(0, 300);
        ledger.expect(1, 300);
    }
    for (const auto& record : records) ledger.add(record, false, "file", 0);
    return ledger.totals();
}

TEST(RecordFormat, ComesBackAsItWasWritten) {
    const std::string record = make_record(7, 123'456'789'012, kMinRecordBytes + 3);
    const auto header = decode_record(record);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->run, kRun);
    EXPECT_EQ(header->partition, 7U);
    EXPECT_EQ(header->sequence, 123'456'789'012U);
    EXPECT_EQ(header->produced_ns, 1'700'000'000'000'000'000U);
}

TEST(RecordFormat, NoticesEveryFlippedBit) {
    const std::string record = make_record(1, 42, 100);
    for (size_t bit = 0; bit < record.size() * 8; bit++) {
        std::string damaged = record;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
        EXPECT_FALSE(decode_record(damaged)) << "bit " << bit;
    }
}

TEST(RecordFormat, NoticesEveryTruncation) {
    const std::string record = make_record(1, 42, 100);
    for (size_t bytes = 0; bytes < record.size(); bytes++) EXPECT_FALSE(decode_record(record.substr(0, bytes))) << bytes;
}

TEST(RecordLedger, FindsNothingWrongWithASoundFile) { EXPECT_TRUE(check(sound_records()).clean()); }

TEST(RecordLedger, FindsALostRecord) {
    auto records = sound_records();
    records.erase(records.begin() + 311);
    EXPECT_EQ(check(records).missing, 1U);
    EXPECT_EQ(check(records, false).missing, 1U) << "a hole is no prefix either";
}

TEST(RecordLedger, FindsALostFirstAndLastRecord) {
    auto records = sound_records();
    records.erase(records.begin());
    records.pop_back();
    EXPECT_EQ(check(records).missing, 2U);
    EXPECT_EQ(check(records, false).missing, 1U) << "a prefix may lack its end, not its beginning";
}

TEST(RecordLedger, FindsADoubledRecord) {
    auto records = sound_records();
    records.push_back(records[17]);
    const auto totals = check(records);
    EXPECT_EQ(totals.duplicates, 1U);
    EXPECT_EQ(totals.missing, 0U);
}

TEST(RecordLedger, FindsADoubledRecordBesideItself) {
    auto records = sound_records();
    records.insert(records.begin() + 17, records[17]);
    EXPECT_EQ(check(records).duplicates, 1U);
}

TEST(RecordLedger, FindsTwoSwappedRecords) {
    auto records = sound_records();
    std::swap(records[100], records[102]);  // the same partition
    const auto totals = check(records);
    EXPECT_EQ(totals.out_of_order, 1U);
    EXPECT_EQ(totals.missing + totals.duplicates, 0U);
}

TEST(RecordLedger, AllowsPartitionsToBeInterleavedAnyhow) {
    auto records = sound_records();
    std::swap(records[100], records[101]);
    EXPECT_TRUE(check(records).clean());
}

TEST(RecordLedger, FindsACorruptRecord) {
    auto records = sound_records();
    records[55][150] = '!';
    const auto totals = check(records);
    EXPECT_EQ(totals.corrupt, 1U);
    EXPECT_EQ(totals.missing, 1U);
}

TEST(RecordLedger, FindsAForeignRun) {
    auto records = sound_records();
    records.push_back(make_record(0, 300, 200, kRun + 1));
    EXPECT_EQ(check(records).foreign, 1U);
}

TEST(RecordLedger, FindsARecordBeyondTheEnd) {
    auto records = sound_records();
    records.push_back(make_record(0, kMaxSequence));
    EXPECT_EQ(check(records).unexpected, 1U);
}

TEST(RecordLedger, FindsAPartitionThatNeverCame) {
    RecordLedger ledger(kRun);
    ledger.expect(3, 10);
    EXPECT_EQ(ledger.totals().missing, 10U);
}

TEST(RecordLedger, FindsTheRecordInAJsonLine) {
    RecordLedger ledger(kRun);
    ledger.add("{\"offset\":0,\"value\":\"" + make_record(0, 0) + "\",\"key\":null}", true, "file", 0);
    ledger.add("{\"offset\":1,\"value\":null}", true, "file", 0);
    EXPECT_EQ(ledger.totals().records, 1U);
    EXPECT_EQ(ledger.totals().corrupt, 1U);
}

TEST(RecordLedger, StartsOrderAnewInAnotherWritersFile) {
    RecordLedger ledger(kRun);
    ledger.add(make_record(0, 1), false, "a", 0);
    ledger.forget_order();
    ledger.add(make_record(0, 0), false, "b", 0);
    EXPECT_TRUE(ledger.totals().clean());
}

}  // namespace
}  // namespace fetcher::testing

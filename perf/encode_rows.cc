// How long does it take to make a row of a record, without Kafka and without PostgreSQL? The JSON and the columns of run_database.py.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/assignment.h"
#include "engine/batch.h"
#include "processors/row_block.h"
#include "processors/row_encoder.h"

namespace {

constexpr int kRecords = 1'000;  // a batch as the engine fills it
constexpr int kBatches = 500;
constexpr int kBatchesABlock = 50;
constexpr int kRuns = 7;

std::string document(int i) {
    std::vector<char> text(200);
    std::snprintf(text.data(), text.size(),
                  "{\"id\":%d,\"customer\":\"customer-%d\",\"amount\":%d.%02d,\"paid\":%s,\"at\":\"2025-01-31T12:00:%02d.5Z\",\"note\":\"", 900'000 + i,
                  i % 1'000, i * 97 % 100'000, i % 100, i % 3 ? "true" : "false", i % 60);
    std::string value(text.data());
    return value + std::string(198 - value.size(), 'x') + "\"}";
}

fetcher::ColumnPlan column(const char* name, fetcher::PgType type) {
    return {name, *fetcher::ColumnSource::parse(std::string("/") + name), type, false};
}

}  // namespace

int main() {
    using fetcher::PgType;
    const auto assignment = std::make_shared<fetcher::Assignment>();
    fetcher::Batch batch;
    batch.begin(assignment, 0);
    for (int i = 0; i < kRecords; i++) batch.add(i, 0, document(i));
    fetcher::RowShape shape;
    shape.columns = {column("id", PgType::int8), column("customer", PgType::text), column("amount", PgType::numeric),
                     column("paid", PgType::boolean), column("at", PgType::timestamptz)};
    fetcher::RowEncoder encoder(shape);
    fetcher::RowBlock block;
    std::vector<double> nanoseconds;
    for (int run = 0; run < kRuns; run++) {
        const auto began = std::chrono::steady_clock::now();
        for (int n = 0; n < kBatches; n++) {
            if (n % kBatchesABlock == 0) block.clear(size_t{64} << 20);
            for (size_t i = 0; i < batch.size(); i++)
                if (encoder.append(batch.record(i), *assignment, 0, block)) return 1;
        }
        const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
        nanoseconds.push_back(took.count() / kBatches / kRecords);
    }
    std::ranges::sort(nanoseconds);
    std::printf("%.0f ns a row (%.0f-%.0f), median of %d\n", nanoseconds[kRuns / 2], nanoseconds.front(), nanoseconds.back(), kRuns);
}

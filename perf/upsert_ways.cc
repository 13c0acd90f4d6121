// Which way to upsert is the fastest, on one connection, in transactions of as many rows: COPY into a temporary table and one INSERT … ON
// CONFLICT from it (what database_sync does), or libpqxx's pipeline of INSERT … ON CONFLICT statements, of one row or of many. Both are given rows
// that lie in memory as text; COPY is libpqxx's own, in text, so that only the way differs. In turn; half of the keys exist already.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <pqxx/pqxx>
#include <string>
#include <tuple>
#include <vector>

namespace {

constexpr const char* kColumns = "id bigint, customer text, amount numeric, paid boolean, at timestamptz";
constexpr const char* kUpdate =
    " ON CONFLICT (id) DO UPDATE SET customer = EXCLUDED.customer, amount = EXCLUDED.amount, paid = EXCLUDED.paid, at = EXCLUDED.at";

struct Row {
    long id;
    std::string customer, amount;
    bool paid;
    std::string at;
};

std::vector<Row> make_rows(long count) {
    std::vector<Row> rows;
    for (long i = 0; i < count; i++)
        rows.push_back({i * 2, "customer-" + std::to_string(i % 1000), std::to_string(i % 100000) + ".25", i % 3 != 0, "2025-01-31 12:00:30.5+00"});
    return rows;
}

void append_values(const Row& row, std::string& to) {
    to += '(' + std::to_string(row.id) + ",'" + row.customer + "'," + row.amount + (row.paid ? ",true,'" : ",false,'") + row.at + "')";
}

void by_copy(pqxx::work& work, const Row* begin, const Row* end) {
    {
        pqxx::stream_to stream(work, "stage");
        for (const Row* row = begin; row != end; row++) stream << std::make_tuple(row->id, row->customer, row->amount, row->paid, row->at);
        stream.complete();
    }
    work.exec(std::string("INSERT INTO goal SELECT * FROM stage") + kUpdate);
    work.exec("TRUNCATE stage");
}

void by_pipeline(pqxx::work& work, const Row* begin, const Row* end, long rows_each) {
    pqxx::pipeline pipeline(work);
    pipeline.retain(1000);
    for (const Row* row = begin; row < end; row += rows_each) {
        std::string statement = "INSERT INTO goal VALUES ";
        for (const Row* each = row; each < std::min(row + rows_each, end); each++) {
            if (each != row) statement += ',';
            append_values(*each, statement);
        }
        pipeline.insert(statement + kUpdate);
    }
    pipeline.complete();
}

}  // namespace

int main(int argc, char** argv) {
    std::string url;
    long rows = 200'000, transaction = 50'000;
    int runs = 3;
    CLI::App app{"Compares ways to upsert. Everything it makes it drops."};
    app.add_option("--url", url, "of the database; scripts/postgres url")->required();
    app.add_option("--rows", rows);
    app.add_option("--transaction", transaction, "rows in one");
    app.add_option("--runs", runs, "of each, in turn");
    CLI11_PARSE(app, argc, argv);

    using Way = std::function<void(pqxx::work&, const Row*, const Row*)>;
    const std::vector<std::pair<std::string, Way>> ways = {
        {"COPY into a temporary table, one INSERT … ON CONFLICT", by_copy},
        {"pipeline, a row a statement", [](auto& work, auto* begin, auto* end) { by_pipeline(work, begin, end, 1); }},
        {"pipeline, 100 rows a statement", [](auto& work, auto* begin, auto* end) { by_pipeline(work, begin, end, 100); }},
    };
    const auto all = make_rows(rows);
    pqxx::connection connection(url);
    std::map<std::string, std::vector<double>> rates;
    for (int run = 0; run < runs; run++) {
        for (const auto& [name, way] : ways) {
            {
                pqxx::work work(connection);
                work.exec(std::string("CREATE TEMPORARY TABLE IF NOT EXISTS stage (") + kColumns + ")");
                work.exec(std::string("DROP TABLE IF EXISTS goal; CREATE TABLE goal (") + kColumns + ", PRIMARY KEY (id))");
                work.exec("INSERT INTO goal SELECT i * 4, 'before', 0, false, now() FROM generate_series(0, " + std::to_string(rows / 2) + ") i");
                work.commit();
            }
            const auto begin = std::chrono::steady_clock::now();
            for (long at = 0; at < rows; at += transaction) {
                pqxx::work work(connection);
                way(work, all.data() + at, all.data() + std::min(at + transaction, rows));
                work.commit();
            }
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
            rates[name].push_back(static_cast<double>(rows) / took.count());
        }
    }
    pqxx::work work(connection);
    work.exec("DROP TABLE goal");
    work.commit();
    std::printf("| way | rows/s, median of %d |\n|---|---|\n", runs);
    for (const auto& [name, way] : ways) {
        auto& seen = rates[name];
        std::sort(seen.begin(), seen.end());
        std::printf("| %s | %.0f |\n", name.c_str(), seen[seen.size() / 2]);
    }
    return 0;
}

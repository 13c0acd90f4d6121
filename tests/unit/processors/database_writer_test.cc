// What DatabaseWriter does where PostgreSQL works in part, slowly, or not at all for a while.
#include "processors/database_writer.h"

#include <chrono>
#include <functional>
#include <thread>

#include "database_world.h"
#include "processors/database_table.h"

namespace fetcher {
namespace {

using Kind = Outcome::Kind;
using DbKind = DatabaseFailure::Kind;
using Lines = std::vector<std::string>;

class DatabaseWriterTest : public DatabaseWorld {
  protected:
    static constexpr const char* kX = R"({"columns": {"x": "/x"}, "workers": 1})";

    static void wait_for(const std::function<bool()>& done) {
        for (int i = 0; i < 3000 && !done(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        EXPECT_TRUE(done());
    }
    static std::vector<TestRecord> numbers(int count) {
        std::vector<TestRecord> records;
        for (int x = 0; x < count; x++) records.push_back({"{\"x\":" + std::to_string(x) + "}"});
        return records;
    }
    std::shared_ptr<Assignment> four_ = make_assignment(4);
};

TEST(DatabaseFailures, OfWhatATriggerRaisesAreOfTheRow) {
    for (const char* of_row : {"P0001", "P0004", "U0001", "45000", "99999", "38000", "39000", "39P01", "22012", "23505", "44000", "54000", "08P01", "20000", "27000"})
        EXPECT_EQ(kind_of_statement_error(of_row), DbKind::row) << of_row;
    for (const char* for_a_person : {"0A000", "0LP01", "0P000", "28000", "28P01", "2BP01", "3D000", "3F000", "42501", "42P01", "42883", "F0000", "HV000"})
        EXPECT_EQ(kind_of_statement_error(for_a_person), DbKind::fatal) << for_a_person;
    for (const char* for_now : {"40001", "40P01", "53100", "55P03", "57014", "58030", "72000", "XX000", "XX001"})
        EXPECT_EQ(kind_of_statement_error(for_now), DbKind::transient) << for_now;
    for (const char* gone : {"", "08006", "57P01", "25P03", "25006"}) EXPECT_EQ(kind_of_statement_error(gone), DbKind::connection) << gone;
}

TEST_F(DatabaseWriterTest, AnInternalErrorHoldsUpTheOneRecordAndNamesIt) {
    run("CREATE TABLE " + named("t") + " (x int); CREATE FUNCTION " + named("broken") +
        "() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.x = 5 THEN RAISE EXCEPTION 'something is broken' USING ERRCODE = 'XX000'; END IF; RETURN NEW; "
        "END$$; CREATE TRIGGER broken BEFORE INSERT ON " + named("t") + " FOR EACH ROW EXECUTE FUNCTION " + named("broken") + "()");
    auto sink = make_sink("t", kX);
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 100, numbers(8));
    std::string reason;
    wait_for([&] { return (reason = sink->flush().reason).find("partition 4 offset 105") != std::string::npos; });
    EXPECT_NE(reason.find("something is broken"), std::string::npos) << reason;
    EXPECT_EQ(acks_.durable_below(4), 105);
    EXPECT_EQ(one("SELECT count(*) FROM " + named("t")), "5");
    EXPECT_FALSE(acks_.failure());
    run("DROP TRIGGER broken ON " + named("t"));
    wait_for([&] { return sink->flush().kind == Kind::durable; });
    EXPECT_EQ(one("SELECT count(*), count(DISTINCT x) FROM " + named("t")), "8|8");
}

TEST_F(DatabaseWriterTest, AStepThatSucceedsEndsTheTrouble) {
    // More than two rows at once fail; the first waits for us, and so does the third.
    const std::string first = "hashtext('" + schema_ + "_first')", third = "hashtext('" + schema_ + "_third')";
    run("CREATE TABLE " + named("t") + " (x int); CREATE FUNCTION " + named("slow") +
        "() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF (SELECT count(*) FROM fresh) > 2 THEN RAISE EXCEPTION 'too many' USING ERRCODE = 'XX000'; END IF; IF "
        "EXISTS (SELECT FROM fresh WHERE x = 0) THEN PERFORM pg_advisory_xact_lock(" + first + "); END IF; IF "
        "EXISTS (SELECT FROM fresh WHERE x = 2) THEN PERFORM pg_advisory_xact_lock(" + third + "); END IF; RETURN NULL; END$$; CREATE TRIGGER slow "
        "AFTER INSERT ON " + named("t") + " REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION " + named("slow") + "()");
    auto sink = make_sink("t", kX);
    ASSERT_TRUE(sink->open(four_));
    run("SELECT pg_advisory_lock(" + first + "), pg_advisory_lock(" + third + ")");
    write(*sink, four_, 0, numbers(4));
    wait_for([&] { return sink->on_timer().kind == Kind::retry; });
    run("SELECT pg_advisory_unlock(" + first + ")");
    wait_for([&] { return sink->on_timer().kind == Kind::accepted; });
    EXPECT_EQ(acks_.durable_below(4), 2);
    EXPECT_FALSE(acks_.failure());
    run("SELECT pg_advisory_unlock(" + third + ")");
    wait_for([&] { return sink->flush().kind == Kind::durable; });
    EXPECT_EQ(one("SELECT count(*) FROM " + named("t")), "4");
}

TEST_F(DatabaseWriterTest, WritersTakeTurnsButWaitForNobodyForLong) {
    // The rows of partition 4 wait for us.
    const std::string turn = "hashtext('" + schema_ + "_turn')", waiting =
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid::bigint = (" + turn + "::bigint & 4294967295)";
    run("CREATE TABLE " + named("t") + " (x int, p int); CREATE FUNCTION " + named("slow") + "() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.p = 4 THEN PERFORM "
        "pg_advisory_xact_lock(" + turn + "); END IF; RETURN NEW; END$$; CREATE TRIGGER slow BEFORE INSERT ON " + named("t") + " FOR EACH ROW EXECUTE FUNCTION " + named("slow") + "()");
    const auto five = make_assignment(5);
    auto sink = make_sink("t", R"({"columns": {"x": "/x", "p": "$partition"}, "workers": 2, "max_batch_records": 10})");
    ASSERT_TRUE(sink->open(four_));
    ASSERT_TRUE(sink->open(five));
    int64_t at_four = 0, at_five = 0;
    const auto stall_four = [&] {
        run("SELECT pg_advisory_lock(" + turn + ")");
        write(*sink, four_, at_four++, numbers(1));
        wait_for([&] { return one(waiting + "") != "0"; });
    };
    const auto write_five = [&](int count) {
        write(*sink, five, at_five, numbers(count));
        at_five += count;
    };
    // What comes while another's transaction is open goes in one, however it came; a machine that stands still for long makes it two.
    bool together = false;
    for (int attempt = 0; attempt < 20 && !together; attempt++) {
        stall_four();
        run("DELETE FROM " + named("t"));
        write_five(1);
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        write_five(1);
        run("SELECT pg_advisory_unlock(" + turn + ")");
        ASSERT_EQ(flush(*sink).kind, Kind::durable);
        together = one("SELECT count(DISTINCT xmin::text) || ' ' || count(*) FROM " + named("t") + " WHERE p = 5") == "1 2";
    }
    EXPECT_TRUE(together);
    // But one that takes long is not waited for.
    stall_four();
    for (const int count : {1, 10, 25}) {
        write_five(count);
        wait_for([&] { return acks_.durable_below(5) == at_five; });
    }
    EXPECT_EQ(acks_.durable_below(4), at_four - 1);
    run("SELECT pg_advisory_unlock(" + turn + ")");
    ASSERT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(acks_.durable_below(4), at_four);
}

TEST_F(DatabaseWriterTest, TheServerNoticesWhenTheWriterIsGone) {
    run("CREATE TABLE " + named("t") + " (x int, s text DEFAULT current_setting('tcp_keepalives_idle') || ' ' || current_setting('tcp_keepalives_interval') || ' ' || "
        "current_setting('tcp_keepalives_count') || ' ' || current_setting('client_connection_check_interval', true) || ' ' || "
        "current_setting('idle_in_transaction_session_timeout'))");
    auto sink = make_sink("t", kX);
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 0, numbers(1));
    ASSERT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(one("SELECT s FROM " + named("t")), "30 10 3 5s 30s");
}

TEST_F(DatabaseWriterTest, OneThatIsFrozenWhileItSeesToTheTableHoldsItsLockForAShortTimeOnly) {
    StopSignal never;
    auto connection = DatabaseConnector(url_, "", "").connect(never, std::chrono::seconds(20));
    ASSERT_TRUE(connection) << connection.error().words;
    DatabaseSyncOptions options;
    options.schema = schema_, options.table = "missing", options.create_table = false;
    ASSERT_FALSE(DatabaseTable::prepare(**connection, options));  // and its transaction goes on
    const auto shown = (*connection)->run("SELECT current_setting('idle_in_transaction_session_timeout'), count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()");
    ASSERT_TRUE(shown) << shown.error().words;
    EXPECT_EQ(shown->rows.front()[0], "30s");
    EXPECT_EQ(shown->rows.front()[1], "1");
}

}  // namespace
}  // namespace fetcher

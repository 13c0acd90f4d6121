#include "processors/file_dead_letters.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "processors/dead_letter_destination.h"
#include "processors/file_sink_type.h"
#include "sim_disk.h"
#include "sink_world.h"

namespace fetcher {
namespace {

using nlohmann::json;

class FileDeadLettersTest : public testing::Test {
  protected:
    FileDeadLettersTest() {
        batch_.begin(make_assignment(3), 40);
        batch_.add(40, 1'700'000'000'123, "good");
        batch_.add(41, 1'700'000'000'124, "bad \"one\"\n");
        batch_.add_key("k");
        batch_.add_header("h", std::nullopt);
        batch_.add(42, -1, std::nullopt);
        batch_.add(43, 0, std::string_view("\xff\0", 2));
    }
    Result<void> keep(std::vector<BadRecord> bad) { return letters_.keep(batch_, bad, {"p1", "database_sync", 2}); }
    // The lines that are JSON; a line that is not must be the only one of its kind.
    std::vector<json> lines() const {
        std::vector<json> found;
        std::istringstream text(disk_.content("/root/a/dead.jsonl").value_or(""));
        for (std::string line; std::getline(text, line);)
            if (auto parsed = json::parse(line, nullptr, false); !parsed.is_discarded()) found.push_back(std::move(parsed));
        return found;
    }

    SimDisk disk_;
    Batch batch_;
    FileDeadLetters letters_{{"/root", {"a"}, "dead.jsonl"}, disk_};
};

TEST_F(FileDeadLettersTest, AreLinesWithEverythingThatIsKnown) {
    ASSERT_TRUE(keep({{1, "no such column"}, {2, "null"}, {3, "not UTF-8"}}));
    const auto found = lines();
    ASSERT_EQ(found.size(), 3u);
    EXPECT_EQ(found[0]["error"], "no such column");
    EXPECT_EQ(found[0]["processor_id"], "p1");
    EXPECT_EQ(found[0]["processor_type"], "database_sync");
    EXPECT_EQ(found[0]["replays"], 2);
    EXPECT_EQ(found[0]["partition"], 3);
    EXPECT_EQ(found[0]["offset"], 41);
    EXPECT_EQ(found[0]["timestamp"], 1'700'000'000'124);
    EXPECT_EQ(found[0]["key"], "k");
    EXPECT_EQ(found[0]["headers"], json::parse(R"([{"name":"h","value":null}])"));
    EXPECT_EQ(found[0]["value"], "bad \"one\"\n");
    EXPECT_EQ(found[1]["value"], nullptr);
    EXPECT_EQ(found[1]["key"], nullptr);
    EXPECT_EQ(found[2]["value"]["base64"], "/wA=");
}

// Killed, or without power, at every call: what was confirmed is there, and what comes later can be read.
TEST_F(FileDeadLettersTest, SurviveAPowerCutAtEveryCall) {
    for (uint64_t call = 1;; call++) {
        SimDisk disk;
        FileDeadLetters letters({"/root", {"a"}, "dead.jsonl"}, disk);
        ASSERT_TRUE(letters.keep(batch_, {{0, "first"}}, {"p", "t", 0}));
        disk.die_at_call(call);
        const bool confirmed = letters.keep(batch_, {{1, "second"}}, {"p", "t", 0}).has_value();
        const bool died = disk.is_dead();
        disk.restart_machine(static_cast<uint32_t>(call), call % 2 == 0);
        ASSERT_TRUE(letters.keep(batch_, {{2, "third"}}, {"p", "t", 0})) << call;
        std::vector<std::string> reasons;
        std::istringstream text(disk.content("/root/a/dead.jsonl").value_or(""));
        for (std::string line; std::getline(text, line);)
            if (auto parsed = json::parse(line, nullptr, false); parsed.is_object()) reasons.push_back(parsed["error"]);
        const bool there = std::ranges::find(reasons, "second") != reasons.end();
        EXPECT_TRUE(there || !confirmed) << call;
        ASSERT_GE(reasons.size(), 2u) << call;
        EXPECT_EQ(reasons.front(), "first") << call;
        EXPECT_EQ(reasons.back(), "third") << call;
        if (!died) break;
    }
}

TEST_F(FileDeadLettersTest, AFailingCallIsAnErrorThatCanBeTriedAgainAndLeavesNoHalfLine) {
    ASSERT_TRUE(keep({{0, "first"}}));
    bool failed_once = false;
    for (uint64_t call = 1;; call++) {
        disk_.fail_call(call, EIO);
        const auto kept = keep({{1, "again"}});
        if (kept && disk_.calls_made() < call) break;
        if (kept) continue;  // a call whose failure does not matter
        failed_once = true;
        EXPECT_NE(kept.error().reason.find("dead.jsonl"), std::string::npos) << kept.error().reason;
        EXPECT_EQ(disk_.content("/root/a/dead.jsonl")->back(), '\n');
        ASSERT_TRUE(keep({{1, "again"}}));
    }
    EXPECT_TRUE(failed_once);
    for (const auto& line : lines()) EXPECT_TRUE(line["error"] == "first" || line["error"] == "again");
}

TEST_F(FileDeadLettersTest, AFullDiskIsAnErrorAndNothingIsLost) {
    ASSERT_TRUE(keep({{0, "first"}}));
    disk_.set_capacity(disk_.content("/root/a/dead.jsonl")->size() + 10);
    EXPECT_FALSE(keep({{1, "second"}}));
    disk_.set_capacity(1 << 20);
    ASSERT_TRUE(keep({{1, "second"}}));
    ASSERT_EQ(lines().size(), 2u);
    EXPECT_EQ(lines()[1]["error"], "second");
}

// A sink cuts its file to its checkpoint when it opens it: what others have put behind that is gone.
TEST_F(FileDeadLettersTest, AreNotWrittenIntoASinksFile) {
    ASSERT_TRUE(keep({{0, "first"}}));
    disk_.put("/root/a/dead.jsonl.checkpoint", "of a sink");
    const auto refused = keep({{1, "second"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::transient);
    EXPECT_NE(refused.error().reason.find("file_sink"), std::string::npos) << refused.error().reason;
    EXPECT_EQ(lines().size(), 1u);
    disk_.remove("/root/a/dead.jsonl.checkpoint");
    ASSERT_TRUE(keep({{1, "second"}}));
    EXPECT_EQ(lines().size(), 2u);
}

TEST_F(FileDeadLettersTest, AreNotConfirmedInAFileThatASinkHasBegunMeanwhile) {
    disk_.on_event([&](const std::string& event) {
        if (event == "append dead.jsonl") disk_.put("/root/a/dead.jsonl.checkpoint", "of a sink");
    });
    EXPECT_FALSE(keep({{0, "first"}}));
}

TEST(DeadLetterDestination, ClaimsTheFileAsASinkDoes) {
    const ProcessorOwner owner{"c", "g", "t"};
    const ProcessorEnvironment environment{.instance_id = "i", .file_sink_roots = {"/var/data"}};
    const json file = {{"file_path", "/var/data//{topic}.log"}};
    EXPECT_EQ(dead_letter_claim(file, owner, environment), FileSinkType().claim(file, owner, environment));
    EXPECT_EQ(dead_letter_claim({{"topic", "dead"}}, owner, environment), "");
}

TEST(DeadLetterDestination, SaysWhatItCannotBe) {
    const ProcessorOwner owner{"c", "g", "t"};
    const ProcessorEnvironment environment{.instance_id = "i", .file_sink_roots = {"/var/data"}};
    const auto detail = [&](const char* config) {
        const auto problems = check_dead_letter(json::parse(config), owner, environment);
        return problems.empty() ? std::string() : problems.front().pointer + " " + problems.front().detail;
    };
    EXPECT_EQ(detail(R"({"topic": "dead"})"), "");
    EXPECT_EQ(detail(R"({"file_path": "/var/data/{consumer_id}/{topic}-{instance}.jsonl"})"), "");
    EXPECT_NE(detail(R"({"topic": "t"})").find("another topic"), std::string::npos);
    EXPECT_NE(detail(R"({"file_path": "/etc/dead.jsonl"})").find("FILE_SINK_ROOTS"), std::string::npos);
    EXPECT_NE(detail(R"({"file_path": "/var/data/{partition}.jsonl"})").find("{partition}"), std::string::npos);
    EXPECT_NE(detail(R"({"file_path": "/var/data/kafka-fetcher.db"})").find("kafka-fetcher."), std::string::npos);
    const auto hidden = check_dead_letter(json::parse(R"({"file_path": "/var/data/{topic}"})"), {"c", "g", "a.checkpoint"}, environment);
    ASSERT_EQ(hidden.size(), 1u) << "the positions of the sink beside it";
    EXPECT_NE(hidden.front().detail.find(".checkpoint"), std::string::npos);
}

}  // namespace
}  // namespace fetcher

#include "engine/start_offsets.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

// A log of [100, 200), the group at 150.
StartQuestion question(std::vector<std::optional<Position>> positions) {
    StartQuestion q;
    q.partition = 3;
    q.topic_id = "id-now";
    q.bounds = {150, 100, 200};
    q.positions = std::move(positions);
    return q;
}

Position at(int64_t offset, std::string topic_id = "id-now", bool authoritative = false) { return {offset, std::move(topic_id), authoritative}; }

TEST(StartOffsets, ReadsFromTheLowestAndShowsEachProcessorOnlyWhatIsNew) {
    const auto decision = decide_start(question({at(180), std::nullopt, at(200)}));
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->read_from, 150);
    EXPECT_EQ(decision->begin, (std::vector<int64_t>{180, 150, 200}));
    EXPECT_TRUE(decision->gaps.empty());
}

TEST(StartOffsets, FollowsTheGroupPastAPrivateSinkButNotPastAnAuthoritativeOne) {
    EXPECT_EQ(decide_start(question({at(120)}))->read_from, 150);
    EXPECT_EQ(decide_start(question({at(120, "id-now", true)}))->read_from, 120);
}

TEST(StartOffsets, WithoutPositionAndCommitThePolicyDecides) {
    auto q = question({std::nullopt});
    q.bounds.committed.reset();
    EXPECT_EQ(decide_start(q)->read_from, 100);
    q.latest = true;
    q.first_end = 200;
    EXPECT_EQ(decide_start(q)->read_from, 200);
}

TEST(StartOffsets, LatestIsWhatCameAfterTheAssignmentHoweverLateTheSinkOpens) {
    auto q = question({std::nullopt});
    q.bounds.committed.reset();
    q.latest = true;
    q.first_end = 170;
    EXPECT_EQ(decide_start(q)->read_from, 170);
    q.first_end = 90;
    EXPECT_EQ(decide_start(q)->read_from, 100) << "retention has passed it";
}

TEST(StartOffsets, ACommitOfAFormerTopicIsNotTrustedAndSaidSo) {
    auto q = question({std::nullopt, at(120, "id-before"), at(130)});
    q.bounds.committed.reset();
    q.bounds.committed_elsewhere = true;
    q.latest = true;
    q.first_end = 200;
    const auto decision = decide_start(q);
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->begin, (std::vector<int64_t>{100, 100, 130}));
    ASSERT_EQ(decision->gaps.size(), 1u) << "once, whoever it concerns";
    EXPECT_NE(decision->gaps[0].find("created anew"), std::string::npos) << decision->gaps[0];
}

TEST(StartOffsets, OnesThatLieFarBelowTheHighestBeginBehind) {
    StartQuestion q;
    q.bounds = {std::nullopt, 0, 10 * kFarApart};
    const auto place = [](int64_t offset) { return Position{offset, "", true}; };
    q.positions = {place(5 * kFarApart), place(4 * kFarApart), place(4 * kFarApart - 1), place(7)};
    const auto decision = decide_start(q);
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->read_from, 4 * kFarApart) << "the farthest that is near enough";
    EXPECT_EQ(decision->begin, (std::vector<int64_t>{5 * kFarApart, 4 * kFarApart, 4 * kFarApart - 1, 7}));
    q.positions = {place(7)};
    EXPECT_EQ(decide_start(q)->read_from, 7) << "alone it waits for nobody and nobody for it";
}

TEST(StartOffsets, TellsWhatRetentionRemoved) {
    auto q = question({at(40)});
    q.bounds.committed = 50;
    const auto decision = decide_start(q);
    EXPECT_EQ(decision->read_from, 100);
    ASSERT_EQ(decision->gaps.size(), 1u);
    EXPECT_NE(decision->gaps[0].find("50 to 99"), std::string::npos) << decision->gaps[0];
}

TEST(StartOffsets, ReadsATopicCreatedAnewFromItsFirstRecordAndSaysSo) {
    auto q = question({at(180, "id-before")});
    q.bounds.committed.reset();
    const auto decision = decide_start(q);
    EXPECT_EQ(decision->read_from, 100);
    ASSERT_EQ(decision->gaps.size(), 1u);
    EXPECT_NE(decision->gaps[0].find("created anew"), std::string::npos);
}

TEST(StartOffsets, RefusesAPositionBeyondTheLog) {
    const auto decision = decide_start(question({at(201)}));
    ASSERT_FALSE(decision);
    EXPECT_EQ(decision.error().kind, ErrorKind::fatal);
    EXPECT_NE(decision.error().reason.find("log ends at 200"), std::string::npos);
}

TEST(StartOffsets, ACommitBeyondTheLogIsToldAndThePolicyDecides) {
    auto q = question({std::nullopt});
    q.bounds.committed = 999;
    const auto decision = decide_start(q);
    EXPECT_EQ(decision->read_from, 100);
    EXPECT_EQ(decision->gaps.size(), 1u);
}

// --- the leader epoch of the last record --------------------------------------------------------------------------------------

Position read_to(int64_t offset, LeaderEpoch last, bool authoritative = false) { return {offset, "id-now", authoritative, last}; }

TEST(StartOffsets, TellsWhatToAskTheBrokerAbout) {
    const auto decision = decide_start(question({read_to(180, {4, 179}), at(190)}));
    ASSERT_TRUE(decision);
    EXPECT_EQ(decision->last, (std::vector<LeaderEpoch>{{4, 179}, {}}));
    const auto start = start_behind(3, decision->read_from, decision->last.front());
    EXPECT_EQ(start.offset, 179) << "behind the last record, whatever lies between that and the position";
    EXPECT_EQ(start.leader_epoch, 4);
    EXPECT_EQ(start_behind(3, 180, {}).offset, 180);
    EXPECT_EQ(start_behind(3, 180, {}).leader_epoch, -1);
}

TEST(StartOffsets, TheGroupsEpochCountsWhereItsOffsetDoes) {
    auto q = question({std::nullopt, at(150), read_to(120, {4, 120}), read_to(150, {4, 149})});
    q.bounds.committed_epoch = 5;
    EXPECT_EQ(decide_start(q)->last, (std::vector<LeaderEpoch>{{5, 150}, {5, 150}, {5, 150}, {4, 149}}));
}

TEST(StartOffsets, DoesNotAskAboutWhatTheLogHasNoMore) {
    auto q = question({read_to(150, {4, 99}, true)});
    EXPECT_FALSE(decide_start(q)->last.front().is_known());
    q = question({read_to(90, {4, 90}, true)});
    EXPECT_EQ(decide_start(q)->begin.front(), 100);
    EXPECT_FALSE(decide_start(q)->last.front().is_known());
}

TEST(StartOffsets, WhereTheLogWasCutThoseWhoReadBehindItGoBack) {
    auto q = question({read_to(180, {4, 180}), read_to(115, {3, 115}, true), read_to(190, {6, 190}), read_to(170, {}), read_to(210, {4, 210})});
    q.bounds.committed = 180;
    q.bounds.committed_epoch = 4;
    q.cut = LogCut{120, 4};
    const auto decision = decide_start(q);
    ASSERT_TRUE(decision) << decision.error().reason;
    EXPECT_EQ(decision->begin, (std::vector<int64_t>{120, 115, 190, 120, 120})) << "below it, and under a later leader, nothing is gone";
    EXPECT_EQ(decision->last, (std::vector<LeaderEpoch>{{}, {3, 115}, {6, 190}, {}, {}}));
    q.positions = {std::nullopt};
    EXPECT_EQ(decide_start(q)->begin.front(), 120);
}

TEST(StartOffsets, ACommitOfALogThatWasCutDoesNotTakeASinkOverWhatItHasNotRead) {
    auto q = question({read_to(130, {6, 130})});
    q.bounds.committed = 180;
    q.bounds.committed_epoch = 4;
    EXPECT_EQ(decide_start(q)->read_from, 130);
    q.bounds.committed_epoch = 6;
    EXPECT_EQ(decide_start(q)->read_from, 180);
}

}  // namespace
}  // namespace fetcher

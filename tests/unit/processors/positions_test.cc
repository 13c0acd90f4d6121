#include "processors/positions.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace fetcher {
namespace {

TEST(Positions, KeepsGroupsTopicsAndPartitionsApart) {
    Positions positions;
    positions.entry("g1", "t", "id", 0).next_offset = 10;
    positions.entry("g2", "t", "id", 0).next_offset = 20;
    positions.entry("g1", "u", "id", 0).next_offset = 30;
    positions.entry("g1", "t", "id", 1).next_offset = 40;
    EXPECT_EQ(positions.find("g1", "t", 0)->next_offset, 10);
    EXPECT_EQ(positions.find("g2", "t", 0)->next_offset, 20);
    EXPECT_EQ(positions.find("g1", "u", 0)->next_offset, 30);
    EXPECT_EQ(positions.find("g1", "t", 1)->next_offset, 40);
    EXPECT_FALSE(positions.find("g3", "t", 0));
    EXPECT_FALSE(positions.find("g1", "t", 2));
    EXPECT_EQ(positions.size(), 4U);
}

TEST(Positions, APartitionHasOnePositionWhateverTheTopicsId) {
    Positions positions;
    positions.entry("g", "t", "old", 0).next_offset = 100;
    positions.entry("g", "t", "old", 1).next_offset = 200;
    positions.entry("g", "t", "new", 0).next_offset = 5;
    EXPECT_EQ(positions.find("g", "t", 0)->next_offset, 5);
    EXPECT_EQ(positions.find("g", "t", 0)->topic_id, "new");
    EXPECT_EQ(positions.find("g", "t", 1)->next_offset, 200);
    EXPECT_EQ(positions.find("g", "t", 1)->topic_id, "old");
    EXPECT_EQ(positions.size(), 2U);
}

TEST(Positions, AnEntryWithoutARecordIsNoPosition) {
    Positions positions;
    EXPECT_EQ(positions.entry("g", "t", "id", 0).next_offset, Positions::kNone);
    EXPECT_FALSE(positions.find("g", "t", 0));
    EXPECT_EQ(positions.to_json().dump(), "{}");
}

TEST(Positions, SurvivesTheWayThroughJson) {
    Positions positions;
    positions.entry("grüppe \"1\"", "t", "", 2147483647).next_offset = INT64_MAX;
    positions.entry("g", "t", "id==", 0).next_offset = 0;
    positions.entry("g", "t", "id==", 1) = {9, {3, 8}};
    EXPECT_EQ(Positions::from_json(positions.to_json(), positions.epochs_to_json()), positions);
    EXPECT_EQ(positions.epochs_to_json().dump(), R"({"g":{"t":{"id==":{"1":[3,8]}}}})");
}

TEST(Positions, WithoutEpochsTheyAreNotKnown) {
    const auto positions = Positions::from_json(nlohmann::json::parse(R"({"g":{"t":{"id":{"0":5}}}})"), nlohmann::json::object());
    ASSERT_TRUE(positions);
    EXPECT_EQ(positions->find("g", "t", 0)->next_offset, 5);
    EXPECT_FALSE(positions->find("g", "t", 0)->last.is_known());
}

TEST(Positions, RefusesOtherShapes) {
    for (const char* text :
         {"[]", "1", "null", R"({"g":1})", R"({"g":{"t":1}})", R"({"g":{"t":{"id":1}}})", R"({"g":{"t":{"id":{"x":1}}}})",
          R"({"g":{"t":{"id":{"-1":1}}}})", R"({"g":{"t":{"id":{"1":-1}}}})", R"({"g":{"t":{"id":{"1":1.5}}}})",
          R"({"g":{"t":{"id":{"1":"2"}}}})", R"({"g":{"t":{"id":{"1x":2}}}})", R"({"g":{"t":{"id":{"99999999999":2}}}})",
          R"({"g":{"t":{"id":{"1":18446744073709551615}}}})"}) {
        EXPECT_EQ(Positions::from_json(nlohmann::json::parse(text), nlohmann::json::object()), std::nullopt) << text;
    }
    for (const char* epochs : {"[]", "null", R"({"g":{"t":{"id":{"1":1}}}})", R"({"g":{"t":{"id":{"1":[1]}}}})", R"({"g":{"t":{"id":{"1":[1,"2"]}}}})"}) {
        EXPECT_EQ(Positions::from_json(nlohmann::json::object(), nlohmann::json::parse(epochs)), std::nullopt) << epochs;
    }
}

}  // namespace
}  // namespace fetcher

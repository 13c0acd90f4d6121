#include "processors/path_template.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

TEST(PathTemplate, FillsInEveryPlaceholder) {
    EXPECT_EQ(path_template_problem("/d/{instance}/{consumer_id}/{topic}-{partition}.log"), std::nullopt);
    EXPECT_EQ(expand_path("/d/{instance}/{consumer_id}/{topic}-{partition}.log", {"pay", "node-1", "c1", 7}), "/d/node-1/c1/pay-7.log");
    EXPECT_EQ(expand_path("/d/{partition}.log", {"pay", "", "", std::nullopt}), "/d/{partition}.log");
}

TEST(PathTemplate, NoValueCanAddAComponent) {
    const auto with = [](const char* topic) { return expand_path("/d/{topic}", {topic, "", "", 0}); };
    EXPECT_EQ(with("a/b"), "/d/a%2Fb");
    EXPECT_EQ(with(".."), "/d/%2E.");
    EXPECT_EQ(with("."), "/d/%2E");
    EXPECT_EQ(with("../../etc/passwd"), "/d/%2E.%2F..%2Fetc%2Fpasswd");
    EXPECT_EQ(with("a\nb"), "/d/a%0Ab");
    EXPECT_EQ(with("{partition}"), "/d/%7Bpartition%7D");
    EXPECT_EQ(with("ü"), "/d/%C3%BC");
    EXPECT_EQ(with("a%b"), "/d/a%25b");  // no two values become one
}

TEST(PathTemplate, NamesAnUnknownPlaceholder) {
    const auto problem = path_template_problem("/d/{date}.log");
    ASSERT_TRUE(problem);
    EXPECT_NE(problem->find("{date}"), std::string::npos);
    EXPECT_NE(problem->find("{consumer_id}"), std::string::npos);
    for (const char* path : {"/d/{}.log", "/d/{topic", "/d/topic}", "/d/{{topic}}", "/d/{topic}}"}) EXPECT_TRUE(path_template_problem(path)) << path;
}

TEST(PathTemplate, RefusesWhatIsNoAbsolutePathOfAFile) {
    for (const char* path : {"", "a.log", "./a.log", "~/a.log", "/", "/d/", "//", "/d/../a", "/..", "/d/..", "/d/a\nb", "/d/a.checkpoint",
                             "/d/a.checkpoint.new"}) {
        EXPECT_TRUE(path_template_problem(path)) << path;
    }
    EXPECT_TRUE(path_template_problem("/d/" + std::string(256, 'a')));
    EXPECT_TRUE(path_template_problem("/d/" + std::string(220, 'a')));
    EXPECT_TRUE(path_template_problem(std::string("/d/a\0b", 6)));
}

TEST(PathTemplate, NormalisesSoThatOnePathHasOneName) {
    EXPECT_EQ(expand_path("//d///./a.log", {}), "/d/a.log");
}

TEST(PathTemplate, PlacesBeneathTheDeepestRoot) {
    const auto placed = place_beneath("/data/sub/x/a.log", {"/data", "/data/sub/", "/other"});
    ASSERT_TRUE(placed);
    EXPECT_EQ(placed->root, "/data/sub");
    EXPECT_EQ(placed->folders, std::vector<std::string>{"x"});
    EXPECT_EQ(placed->file, "a.log");
    EXPECT_EQ(placed->relative(), "x/a.log");
    EXPECT_EQ(placed->absolute(), "/data/sub/x/a.log");
}

TEST(PathTemplate, KnowsTheNamesOfTheServersOwnFiles) {
    const auto reserved = [](const char* path, const char* root) { return place_beneath(path, {root})->reserved_name(); };
    EXPECT_EQ(reserved("/data/kafka-fetcher.db", "/data"), "kafka-fetcher.db");
    EXPECT_EQ(reserved("/srv/data/kafka-fetcher.db-wal", "/srv"), "kafka-fetcher.db-wal");
    EXPECT_EQ(reserved("/srv/data/KAFKA-Fetcher.lock", "/"), "KAFKA-Fetcher.lock");
    EXPECT_EQ(reserved("/data/kafka-fetcher.db-journal/a.log", "/data"), "kafka-fetcher.db-journal") << "a folder in a file's place";
    for (const char* path : {"/data/kafka-fetcher", "/data/kafka-fetcher/a.log", "/data/my-kafka-fetcher.db", "/data/kafka-fetcher-a.log"})
        EXPECT_FALSE(reserved(path, "/data")) << path;
    EXPECT_FALSE(reserved("/srv/kafka-fetcher.d/a.log", "/srv/kafka-fetcher.d")) << "the operator chose the root";
}

TEST(PathTemplate, ARootIsAFolderAndNoPrefixOfText) {
    EXPECT_FALSE(place_beneath("/database/a.log", {"/data"}));
    EXPECT_FALSE(place_beneath("/data", {"/data"}));
    EXPECT_FALSE(place_beneath("/data/../etc/passwd", {"/data"}));
    EXPECT_FALSE(place_beneath("/data/a.log", {"data", ""}));
    EXPECT_FALSE(place_beneath("/data/a.log", {}));
    EXPECT_TRUE(place_beneath("/data/a.log", {"/"}));
}

}  // namespace
}  // namespace fetcher

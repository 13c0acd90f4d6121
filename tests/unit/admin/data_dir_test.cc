#include "admin/data_dir.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "admin/sqlite_store.h"
#include "processors/path_template.h"

namespace fetcher {
namespace {

class DataDirTest : public ::testing::Test {
  protected:
    ~DataDirTest() override { std::filesystem::remove_all(path_); }
    const std::string path_ = ::testing::TempDir() + "data_dir_test_" + ::testing::UnitTest::GetInstance()->current_test_info()->name() + "_" +
                              std::to_string(getpid());
};

TEST_F(DataDirTest, RefusesASecondProcess) {
    const auto first = DataDir::open(path_);
    ASSERT_TRUE(first);
    const auto second = DataDir::open(path_);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().reason.find("DATA_DIR"), std::string::npos);
}

TEST_F(DataDirTest, IsFreeAgainAfterwards) {
    EXPECT_TRUE(DataDir::open(path_));
    EXPECT_TRUE(DataDir::open(path_));
}

TEST_F(DataDirTest, KeepsItsInstanceId) {
    std::string id;
    {
        const auto folder = DataDir::open(path_);
        id = *(*folder)->instance_id();
        EXPECT_EQ(*(*folder)->instance_id(), id);
    }
    EXPECT_EQ(*(*DataDir::open(path_))->instance_id(), id);
    EXPECT_EQ(id.size(), 36U);
}

TEST_F(DataDirTest, RefusesADamagedInstanceId) {
    const auto folder = DataDir::open(path_);
    std::ofstream((*folder)->file("instance_id")) << "a b\n";
    EXPECT_FALSE((*folder)->instance_id());
}

TEST_F(DataDirTest, IsPrivate) {
    ASSERT_TRUE(DataDir::open(path_));
    EXPECT_EQ(std::filesystem::status(path_).permissions(), std::filesystem::perms::owner_all);
}

TEST_F(DataDirTest, ClearsAllButTheLock) {
    const auto folder = DataDir::open(path_);
    std::ofstream((*folder)->file("old")) << "old";
    std::filesystem::create_directories((*folder)->file("a/b"));
    ASSERT_TRUE((*folder)->clear());
    EXPECT_FALSE(std::filesystem::exists((*folder)->file("old")));
    EXPECT_FALSE(std::filesystem::exists((*folder)->file("a")));
    EXPECT_FALSE(DataDir::open(path_)) << "still locked";
}

// A sink may write into DATA_DIR, but never into one of these.
TEST_F(DataDirTest, EveryFileOfTheProcessHasANameThatNoSinkMayUse) {
    const auto folder = DataDir::open(path_);
    ASSERT_TRUE((*folder)->instance_id());
    const auto store = SqliteStore::open((*folder)->file("db"));
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->create({.consumer_id = "a", .spec = {}, .created_at = "t", .updated_at = "t"}));
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
        ++files;
        EXPECT_TRUE(place_beneath(entry.path().string(), {path_})->reserved_name()) << entry.path();
    }
    EXPECT_GE(files, 4U) << "lock, id, database and its log";
}

TEST_F(DataDirTest, SaysWhyItCannotBeUsed) {
    std::ofstream{path_} << "a file";
    EXPECT_FALSE(DataDir::open(path_));
    EXPECT_FALSE(DataDir::open("/proc/nowhere/data"));
}

}  // namespace
}  // namespace fetcher

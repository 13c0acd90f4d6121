// FileSink on the machine's own file system: what only a kernel can show.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "processors/file_sink_type.h"
#include "sink_world.h"

namespace fetcher {
namespace {

namespace fs = std::filesystem;

class FileSinkOnKernel : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "file_sink_XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        base_ = pattern;
        root_ = base_ / "root";
        fs::create_directory(root_);
        options_.file_path = (root_ / "a" / "b" / "f.log").string();
    }
    void TearDown() override {
        sink_.reset();
        fs::remove_all(base_);
    }

    std::unique_ptr<FileSink> make(const std::string& consumer = "consumer-1") {
        auto sink = std::make_unique<FileSink>(options_, ProcessorOwner{consumer, "group", "topic"},
                                               ProcessorEnvironment{"instance-1", {root_.string()}}, kernel_calls());
        sink->bind(acks_);
        return sink;
    }
    Result<std::optional<Position>> open() {
        sink_ = make();
        return sink_->open(assignment_);
    }
    Outcome write(int64_t first, const std::vector<std::string>& values) {
        batch_.begin(assignment_, first);
        for (size_t i = 0; i < values.size(); i++) batch_.add(first + static_cast<int64_t>(i), 0, values[i]);
        return sink_->write(batch_, 0);
    }
    static std::string content(const fs::path& path) {
        std::stringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
    }
    static mode_t mode(const fs::path& path) {
        struct stat status {};
        EXPECT_EQ(::stat(path.c_str(), &status), 0);
        return status.st_mode & 07777;
    }

    fs::path base_;
    fs::path root_;
    FileSinkOptions options_;
    RecordingAcks acks_;
    std::unique_ptr<FileSink> sink_;
    std::shared_ptr<Assignment> assignment_ = make_assignment(0);
    Batch batch_;
};

TEST_F(FileSinkOnKernel, MakesFoldersAndFilesThatOthersCannotWrite) {
    ASSERT_TRUE(open());
    write(0, {"a", "b"});
    ASSERT_EQ(sink_->flush().kind, Outcome::Kind::durable);
    EXPECT_EQ(content(options_.file_path), "a\nb\n");
    EXPECT_EQ(mode(options_.file_path) & ~0640U, 0U);
    EXPECT_EQ(mode(options_.file_path + ".checkpoint") & ~0640U, 0U);
    EXPECT_EQ(mode(root_ / "a") & ~0750U, 0U);
    EXPECT_EQ(acks_.durable_below(0), 2);
    EXPECT_EQ((*open())->next_offset, 2);
}

TEST_F(FileSinkOnKernel, AcknowledgesByItselfWithinItsInterval) {
    options_.fsync_interval = std::chrono::milliseconds(0);
    ASSERT_TRUE(open());
    for (int64_t i = 0; i < 200; i++) ASSERT_EQ(write(i, {"x"}).kind, Outcome::Kind::accepted);
    ASSERT_EQ(sink_->flush().kind, Outcome::Kind::durable);
    EXPECT_EQ(acks_.durable_below(0), 200);
    EXPECT_EQ(acks_.failure(), std::nullopt);
}

TEST_F(FileSinkOnKernel, NoSymbolicLinkLeadsOutOfTheRoot) {
    fs::create_directory(base_ / "outside");
    fs::create_directory(root_ / "a");
    const auto expect_refused = [&](const char* what) {
        const auto opened = open();
        ASSERT_FALSE(opened) << what;
        EXPECT_EQ(opened.error().kind, ErrorKind::fatal) << what;
        EXPECT_NE(opened.error().reason.find("FILE_SINK_ROOTS"), std::string::npos) << opened.error().reason;
    };
    fs::create_directory_symlink(base_ / "outside", root_ / "a" / "b");
    expect_refused("a folder");
    fs::remove(root_ / "a" / "b");
    fs::create_directory_symlink("../..", root_ / "a" / "b");
    expect_refused("a relative link upwards");
    fs::remove(root_ / "a" / "b");
    fs::create_directory(root_ / "a" / "b");
    fs::create_symlink(base_ / "outside" / "f.log", root_ / "a" / "b" / "f.log");
    expect_refused("the file");
    fs::remove(root_ / "a" / "b" / "f.log");
    fs::create_symlink(base_ / "outside" / "c", root_ / "a" / "b" / "f.log.checkpoint");
    expect_refused("the checkpoint");
    fs::remove(root_ / "a" / "b" / "f.log.checkpoint");
    fs::create_symlink(base_ / "outside" / "c", root_ / "a" / "b" / "f.log.checkpoint.new");
    expect_refused("the checkpoint in the making");
    EXPECT_TRUE(fs::is_empty(base_ / "outside"));
}

// What is wrong already when the config is given is said then, and not only when the sink is opened.
TEST_F(FileSinkOnKernel, WhatIsInTheWayIsAProblemOfTheConfig) {
    const auto problems = [&] {
        return FileSinkType().check({{"file_path", options_.file_path}}, {"c", "group", "topic"}, {"instance-1", {root_.string()}});
    };
    const auto expect_problem = [&](const char* word) {
        const auto found = problems();
        ASSERT_EQ(found.size(), 1U) << word;
        EXPECT_EQ(found[0].pointer, "/file_path");
        EXPECT_NE(found[0].detail.find(word), std::string::npos) << found[0].detail;
    };
    EXPECT_TRUE(problems().empty());
    EXPECT_TRUE(fs::is_empty(root_)) << "looking makes nothing";
    fs::create_directory(base_ / "outside");
    fs::create_directory_symlink(base_ / "outside", root_ / "a");
    expect_problem("symbolic link");
    fs::remove(root_ / "a");
    std::ofstream(root_ / "a") << "a file";
    expect_problem("Not a directory");
    fs::remove(root_ / "a");
    fs::create_directories(root_ / "a" / "b");
    EXPECT_TRUE(problems().empty());
    fs::create_symlink("elsewhere", options_.file_path);
    expect_problem("symbolic link");
    fs::remove(options_.file_path);
    ASSERT_EQ(::mkfifo(options_.file_path.c_str(), 0600), 0);
    expect_problem("regular file");
    fs::remove(options_.file_path);
    std::ofstream(options_.file_path) << "somebody's\n";
    EXPECT_TRUE(problems().empty());
    fs::remove_all(root_);
    EXPECT_TRUE(problems().empty()) << "a root that is missing is said when the sink is opened";
}

TEST_F(FileSinkOnKernel, OnlyRegularFilesAreWritten) {
    fs::create_directories(root_ / "a" / "b");
    ASSERT_EQ(::mkfifo(options_.file_path.c_str(), 0600), 0);
    const auto fifo = open();  // must not wait for a reader
    ASSERT_FALSE(fifo);
    EXPECT_NE(fifo.error().reason.find("regular file"), std::string::npos) << fifo.error().reason;
    fs::remove(options_.file_path);
    fs::create_directory(options_.file_path);
    EXPECT_FALSE(open());
}

TEST_F(FileSinkOnKernel, TwoSinksOfOneProcessDoNotShareAFile) {
    ASSERT_TRUE(open());
    auto second = make("consumer-2");
    const auto refused = second->open(make_assignment(0, "group-2"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::transient);
    EXPECT_NE(refused.error().reason.find("pid " + std::to_string(::getpid())), std::string::npos) << refused.error().reason;
    sink_.reset();
    EXPECT_TRUE(second->open(make_assignment(0, "group-2")));
}

TEST_F(FileSinkOnKernel, NoticesWhatAPersonDoesToItsFiles) {
    const std::vector<std::pair<const char*, std::function<void()>>> deeds{
        {"deleted", [&] { fs::remove(options_.file_path); }},
        {"moved", [&] { fs::rename(options_.file_path, options_.file_path + ".1"); }},
        {"moved", [&] { fs::rename(root_ / "a", root_ / "z"); }},
        {"deleted", [&] { fs::remove_all(root_ / "a"); }},
        {"truncated", [&] { fs::resize_file(options_.file_path, 0); }},
        {"somebody else", [&] { std::ofstream(options_.file_path, std::ios::app) << "mine\n"; }},
        {"deleted", [&] { fs::remove(options_.file_path + ".checkpoint"); }},
    };
    for (const auto& [word, deed] : deeds) {
        sink_.reset();
        fs::remove_all(root_ / "a");
        ASSERT_TRUE(open());
        write(0, {"one"});
        ASSERT_EQ(sink_->flush().kind, Outcome::Kind::durable);
        deed();
        write(1, {"two"});
        const auto outcome = sink_->flush();
        EXPECT_EQ(outcome.kind, Outcome::Kind::fatal) << word;
        EXPECT_NE(outcome.reason.find(word), std::string::npos) << outcome.reason;
    }
}

TEST_F(FileSinkOnKernel, AMissingRootIsNamed) {
    fs::remove_all(root_);
    const auto opened = open();
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().reason.find("FILE_SINK_ROOTS"), std::string::npos) << opened.error().reason;
}

TEST_F(FileSinkOnKernel, RotatesUnderWritesAndSyncsInTheBackground) {
    options_.fsync_interval = std::chrono::milliseconds(0);
    options_.rotate_bytes = 1000;
    ASSERT_TRUE(open());
    int64_t offset = 0;
    for (int i = 0; i < 100; i++, offset += 10) {
        ASSERT_EQ(write(offset, std::vector<std::string>(10, "0123456789")).kind, Outcome::Kind::accepted);
    }
    ASSERT_EQ(sink_->flush().kind, Outcome::Kind::durable);
    EXPECT_EQ(acks_.durable_below(0), 1000);
    uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(root_ / "a" / "b")) {
        if (entry.path().extension() != ".log") continue;
        EXPECT_LE(entry.file_size(), 1000U);
        bytes += entry.file_size();
    }
    EXPECT_EQ(bytes, 11'000U);
}

}  // namespace
}  // namespace fetcher

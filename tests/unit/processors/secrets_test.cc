#include "processors/secrets.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace fetcher {
namespace {

class Secrets : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "secrets_" + std::to_string(::getpid());
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override {
        std::filesystem::remove_all(folder_);
        ::unsetenv("FETCHER_SECRET_DB_PASSWORD");
    }
    void put(const std::string& name, const std::string& text) { std::ofstream(folder_ + "/" + name) << text; }

    std::string folder_;
};

TEST_F(Secrets, ComeFromAFileWithoutItsNewline) {
    put("db_password", "s3cret\n");
    EXPECT_EQ(*SecretSource(folder_).resolve("a${secret:db_password}b"), "as3cretb");
    put("db_password", "new");
    EXPECT_EQ(*SecretSource(folder_).resolve("${secret:db_password}"), "new");
}

TEST_F(Secrets, ComeFromTheEnvironmentInCapitals) {
    ::setenv("FETCHER_SECRET_DB_PASSWORD", "from-there", 1);
    EXPECT_EQ(*SecretSource("").resolve("${secret:db_password}"), "from-there");
    EXPECT_EQ(*SecretSource(folder_).resolve("${secret:DB_PASSWORD}"), "from-there");
    put("DB_PASSWORD", "the file wins");
    EXPECT_EQ(*SecretSource(folder_).resolve("${secret:DB_PASSWORD}"), "the file wins");
}

TEST_F(Secrets, AnUnknownOneIsNamedWithWhereItWasLookedFor) {
    const auto missing = SecretSource(folder_).resolve("${secret:nope}");
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().reason.find("nope"), std::string::npos);
    EXPECT_NE(missing.error().reason.find(folder_ + "/nope"), std::string::npos);
    EXPECT_NE(missing.error().reason.find("FETCHER_SECRET_NOPE"), std::string::npos);
}

TEST_F(Secrets, NamesNeverLeadOutOfTheFolder) {
    for (const char* text : {"${secret:../etc/passwd}", "${secret:a.b}", "${secret:}", "${secret:a"}) {
        EXPECT_EQ(SecretSource::reference_length(text), 0U) << text;
        EXPECT_FALSE(SecretSource(folder_).resolve(text)) << text;
    }
    EXPECT_TRUE(SecretSource::is_reference("${secret:a_1}"));
    EXPECT_FALSE(SecretSource::is_reference("x${secret:a_1}"));
    EXPECT_TRUE(SecretSource::has_reference("x${secret:a_1}"));
}

TEST_F(Secrets, WhatASecretHoldsIsNotResolvedAgain) {
    put("outer", "${secret:inner}");
    put("inner", "x");
    EXPECT_EQ(*SecretSource(folder_).resolve("${secret:outer}"), "${secret:inner}");
}

}  // namespace
}  // namespace fetcher

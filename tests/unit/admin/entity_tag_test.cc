#include "admin/entity_tag.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

Answer<Precondition> with(std::vector<std::string> values) {
    HttpRequest request;
    for (auto& value : values) request.headers.emplace_back("if-match", std::move(value));
    return if_match(request);
}

TEST(EntityTag, WithoutTheHeaderAnyRevisionWillDo) {
    EXPECT_TRUE(with({})->allows(7));
    EXPECT_TRUE(with({"*"})->allows(7));
}

TEST(EntityTag, NamesTheRevisionsThatWillDo) {
    EXPECT_TRUE(with({"\"7\""})->allows(7));
    EXPECT_FALSE(with({"\"7\""})->allows(8));
    const auto several = *with({"\"7\" ,\t\"9\""});
    EXPECT_TRUE(several.allows(7) && several.allows(9));
    EXPECT_FALSE(several.allows(8));
}

TEST(EntityTag, WeakAndForeignTagsMatchNothing) {
    for (const auto* value : {"W/\"7\"", "\"seven\"", "\"\"", "\"07x\"", "\"-7\""}) {
        const auto condition = with({value});
        ASSERT_TRUE(condition) << value;
        EXPECT_FALSE(condition->allows(7)) << value;
    }
}

TEST(EntityTag, WhatCannotBeReadIsRefused) {
    const std::vector<std::vector<std::string>> wrong = {{""},           {"7"},        {"\"7"},           {"\"7\","},
                                                         {"\"7\" \"8\""}, {"*, \"7\""}, {"\"7\"", "\"7\""}};
    for (const auto& values : wrong) {
        const auto condition = with(values);
        ASSERT_FALSE(condition) << values[0];
        EXPECT_EQ(condition.error().status, 400);
    }
}

}  // namespace
}  // namespace fetcher

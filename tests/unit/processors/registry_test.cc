#include "processors/registry.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

TEST(Registry, KnowsFileSink) {
    const ProcessorRegistry registry;
    ASSERT_NE(registry.find("file_sink"), nullptr);
    EXPECT_EQ(registry.find("file_sink")->name(), "file_sink");
    EXPECT_EQ(registry.find("no_such_type"), nullptr);
}

TEST(Registry, EverySchemaRefusesUnknownOptionsAndDescribesTheKnown) {
    const ProcessorRegistry registry;
    for (const auto& type : registry.types()) {
        const auto schema = type->schema();
        EXPECT_EQ(schema["additionalProperties"], false) << type->name();
        for (const auto& [name, property] : schema["properties"].items()) {
            EXPECT_FALSE(property.value("description", "").empty()) << type->name() << " " << name;
        }
    }
}

}  // namespace
}  // namespace fetcher

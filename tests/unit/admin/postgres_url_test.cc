#include "admin/postgres_url.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

TEST(PostgresUrl, IsTakenApart) {
    const auto url = parse_postgres_url("postgresql://fetcher:s%40%2Fc%25ret@db.example:6543/kafka_fetcher");
    ASSERT_TRUE(url) << url.error();
    ASSERT_EQ(url->places.size(), 1u);
    EXPECT_EQ(url->places[0].host, "db.example");
    EXPECT_EQ(url->places[0].port, 6543);
    EXPECT_EQ(url->user, "fetcher");
    EXPECT_EQ(url->password, "s@/c%ret");
    EXPECT_EQ(url->database, "kafka_fetcher");
}

TEST(PostgresUrl, HasDefaults) {
    const auto url = parse_postgres_url("postgres://u@[::1]/d");
    ASSERT_TRUE(url) << url.error();
    ASSERT_EQ(url->places.size(), 1u);
    EXPECT_EQ(url->places[0].host, "::1");
    EXPECT_EQ(url->places[0].port, 5432);
    EXPECT_EQ(url->password, "");
    EXPECT_EQ(url->sslmode, "prefer");
    EXPECT_EQ(url->connect_timeout.count(), 10);
    EXPECT_EQ(url->without_password(), "u@[::1]:5432/d");
}

TEST(PostgresUrl, MayNameSeveralPlaces) {
    const auto url = parse_postgres_url("postgresql://u:p@one,[::1]:5433,three.example:6000/d");
    ASSERT_TRUE(url) << url.error();
    EXPECT_EQ(url->without_password(), "u@one:5432,[::1]:5433,three.example:6000/d");
}

TEST(PostgresUrl, KnowsAFewParameters) {
    const auto url = parse_postgres_url(
        "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=/etc/ca.pem&application_name=a%20b&connect_timeout=3");
    ASSERT_TRUE(url) << url.error();
    EXPECT_EQ(url->sslmode, "verify-full");
    EXPECT_EQ(url->sslrootcert, "/etc/ca.pem");
    EXPECT_EQ(url->application_name, "a b");
    EXPECT_EQ(url->connect_timeout.count(), 3);
}

TEST(PostgresUrl, AMalformedOneIsRefusedAndNotRepeated) {
    for (const auto* text :
         {"", "hunter2", "host=h password=hunter2", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h", "postgresql://u:hunter2@h/",
          "postgresql://:hunter2@h/d", "postgresql://hunter2/d", "postgresql://u:hunter2@/d", "postgresql://u:hunter2@h:0/d",
          "postgresql://u:hunter2@h:/d", "postgresql://u:hunter2@h:x/d", "postgresql://u:hunter2@h:65536/d", "postgresql://u:hunter2%@h/d",
          "postgresql://u:hunter2%0@h/d", "postgresql://u:hunter2%00@h/d", "postgresql://u:hunter2%0a@h/d", "postgresql://u:hunter2@h1,/d", "postgresql://u:hunter2@,h2/d", "postgresql://u:hunter2@h1,h2:0/d",
          "postgresql://u:hunter2@%2Frun/d", "postgresql://u:hunter2@[::1/d", "postgresql://u:hunter2@[::1]5/d", "postgresql://u:hunter2@h/d/e",
          "postgresql://u:hunter2@h/d#x", "postgresql://u:p@h/d?service=hunter2", "postgresql://u:p@h/d?options=-c%20hunter2",
          "postgresql://u:p@h/d?passfile=/hunter2", "postgresql://u:p@h/d?hostaddr=hunter2", "postgresql://u:p@h/d?sslkey=/hunter2",
          "postgresql://u:p@h/d?host=/hunter2", "postgresql://u:p@h/d?sslmode=hunter2", "postgresql://u:p@h/d?sslmode",
          "postgresql://u:p@h/d?sslrootcert=hunter2",
          "postgresql://u:p@h/d?connect_timeout=0", "postgresql://u:p@h/d?application_name="}) {
        const auto url = parse_postgres_url(text);
        ASSERT_FALSE(url) << text;
        EXPECT_EQ(url.error().find("hunter2"), std::string::npos) << text;
    }
}

}  // namespace
}  // namespace fetcher

#include "processors/database_dsn.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using Keywords = std::map<std::string, std::string>;

Keywords read(const std::string& text) {
    const auto dsn = DatabaseDsn::parse(text);
    EXPECT_TRUE(dsn) << text << ": " << (dsn ? "" : dsn.error().reason);
    return dsn ? dsn->keywords() : Keywords{};
}

// What parse() or check_values() says against it.
std::string refusal(const std::string& text, const std::string& certificates = "/certificates") {
    const auto dsn = DatabaseDsn::parse(text);
    if (!dsn) return dsn.error().reason;
    const auto good = DatabaseDsn::check_values(dsn->keywords(), certificates);
    return good ? "" : good.error().reason;
}

TEST(DatabaseDsn, ReadsUrls) {
    EXPECT_EQ(read("postgresql://user:password@db-host/payments"),
              (Keywords{{"host", "db-host"}, {"user", "user"}, {"password", "password"}, {"dbname", "payments"}}));
    EXPECT_EQ(read("postgres://[::1]:5433/d?sslmode=require&application_name=a%20b"),
              (Keywords{{"host", "::1"}, {"port", "5433"}, {"dbname", "d"}, {"sslmode", "require"}, {"application_name", "a b"}}));
    EXPECT_EQ(read("postgresql://u:p%40%2F%3a@h")["password"], "p@/:");
    EXPECT_EQ(read("postgresql://u:p@w@h")["password"], "p@w");
    EXPECT_EQ(read("postgresql://h?user=u&password=p")["password"], "p");
}

TEST(DatabaseDsn, ReadsKeywords) {
    EXPECT_EQ(read("host=h  port = 5433 dbname='my db' password='it\\'s'"),
              (Keywords{{"host", "h"}, {"port", "5433"}, {"dbname", "my db"}, {"password", "it's"}}));
}

TEST(DatabaseDsn, MayNameSeveralPlaces) {
    const auto places = [](const std::string& text) {
        std::string found;
        for (const auto& [host, port] : DatabaseDsn::places(read(text))) found += host + " " + port + "\n";
        return found;
    };
    EXPECT_EQ(places("postgresql://u:p@one,[::1]:5433,three:6000/d"), "one 5432\n::1 5433\nthree 6000\n");
    EXPECT_EQ(places("postgresql://one,two/d"), "one 5432\ntwo 5432\n");
    EXPECT_EQ(places("host=one,two port=6000"), "one 6000\ntwo 6000\n");
    EXPECT_EQ(places("host=one,two port=,6000"), "one 5432\ntwo 6000\n");
    EXPECT_EQ(refusal("postgresql://one,[::1]:5433,three/d"), "");
    EXPECT_EQ(refusal("host=${secret:H} port=1,2"), "");
    EXPECT_NE(refusal("host=one,two,three port=1,2").find("2 ports for 3 hosts"), std::string::npos);
}

TEST(DatabaseDsn, ReferencesStayAndAreNotTakenApart) {
    EXPECT_EQ(read("postgresql://${secret:U}:${secret:P}@${secret:H}:5432/${secret:D}"),
              (Keywords{{"user", "${secret:U}"}, {"password", "${secret:P}"}, {"host", "${secret:H}"}, {"port", "5432"}, {"dbname", "${secret:D}"}}));
    EXPECT_EQ(refusal("host=${secret:H} port=${secret:N}"), "");
}

TEST(DatabaseDsn, RefusesByNameWhatIsNotAllowed) {
    for (const char* keyword : {"service", "passfile", "options", "sslkey", "sslcert", "sslpassword", "sslcrl", "sslcrldir", "requirepeer",
                                "krbsrvname", "gsslib", "replication", "hostaddr", "target_session_attrs"}) {
        EXPECT_NE(refusal(std::string("host=h ") + keyword + "=x").find(keyword), std::string::npos) << keyword;
        EXPECT_NE(refusal(std::string("postgresql://h/d?") + keyword + "=x").find(keyword), std::string::npos) << keyword;
    }
}

TEST(DatabaseDsn, RefusesWhatWouldNotBeTcpToADatabase) {
    for (const char* text : {"host=/var/run/postgresql", "postgresql://%2Fvar%2Frun/d", "host=@abstract", "host=169.254.169.254", "host=fe80::1",
                             "host=::ffff:169.254.1.1", "host=a,169.254.169.254", "host=169.254.169.254,${secret:H}", "host=a,${secret:H} port=x,1", "host='a, b'", "host=a,", "host=a,/tmp", "host=a,b port=1,2,3", "host=a port=1,2", "host=a,b port=1,x", "dbname=d", "postgresql:///d", "host=h port=0", "host=h port=70000",
                             "host=h connect_timeout=x", "host=h sslmode=off", "mysql://h/d", "h", "host='h", "postgresql://h/%zz",
                             "host=h host=i", "host=h sslmode=verify-full"}) {
        EXPECT_NE(refusal(text), "") << text;
    }
}

TEST(DatabaseDsn, CertificatesLieInTheirFolder) {
    EXPECT_EQ(refusal("host=h sslmode=verify-full sslrootcert=root.pem"), "");
    EXPECT_NE(refusal("host=h sslrootcert=root.pem", "").find("CERTIFICATES_DIR"), std::string::npos);
    for (const char* file : {"../root.pem", "/etc/root.pem", ".pem", "root.crt"}) EXPECT_NE(refusal(std::string("host=h sslrootcert=") + file), "") << file;
}

TEST(DatabaseDsn, MasksPasswordsOnly) {
    EXPECT_EQ(DatabaseDsn::masked("postgresql://user:password@db-host/payments"), "postgresql://user:***@db-host/payments");
    EXPECT_EQ(DatabaseDsn::masked("host=h password='a b' user=u"), "host=h password='***' user=u");
    EXPECT_EQ(DatabaseDsn::masked("postgresql://h/d?password=x&user=u"), "postgresql://h/d?password=***&user=u");
    EXPECT_EQ(DatabaseDsn::masked("postgresql://u:${secret:P}@h"), "postgresql://u:${secret:P}@h");
    EXPECT_EQ(DatabaseDsn::masked("postgresql://u:x${secret:P}@h"), "postgresql://u:***@h");
    EXPECT_EQ(DatabaseDsn::masked("${secret:DSN}"), "${secret:DSN}");
    EXPECT_EQ(DatabaseDsn::masked("not a dsn, perhaps a password"), "***");
}

TEST(DatabaseDsn, AMaskIsNoPassword) {
    EXPECT_NE(refusal("postgresql://user:***@db-host/payments").find("***"), std::string::npos);
    EXPECT_EQ(refusal("postgresql://user:p@h"), "");
}

TEST(DatabaseDsn, ErrorsRepeatNoValue) {
    for (const char* text : {"host=h port=hunter2", "host=h sslmode=hunter2", "postgresql://u:hunter2%@h", "host=h connect_timeout=hunter2", "host=h 'hunter2"})
        EXPECT_EQ(refusal(text).find("hunter2"), std::string::npos) << refusal(text);
}

}  // namespace
}  // namespace fetcher

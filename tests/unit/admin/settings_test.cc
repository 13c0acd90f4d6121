#include "admin/settings.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

namespace fetcher {
namespace {

struct Given {
    std::vector<const char*> flags;
    std::map<std::string, std::string> environment;
    std::optional<std::string> dotenv;
};

tl::expected<Settings, SettingsExit> load(const Given& given) {
    std::vector<const char*> argv = {"kafka-fetcher"};
    argv.insert(argv.end(), given.flags.begin(), given.flags.end());
    const auto environment = [&](const std::string& name) -> std::optional<std::string> {
        const auto found = given.environment.find(name);
        return found == given.environment.end() ? std::nullopt : std::optional<std::string>(found->second);
    };
    return load_settings(static_cast<int>(argv.size()), argv.data(), environment, given.dotenv);
}

std::string refusal(const Given& given) {
    const auto settings = load(given);
    return settings || settings.error().code == 0 ? "" : settings.error().text;
}

TEST(Settings, HasDefaults) {
    const auto settings = load({});
    ASSERT_TRUE(settings);
    EXPECT_EQ(settings->host, "127.0.0.1");
    EXPECT_EQ(settings->port, 8000);
    EXPECT_EQ(settings->kafka_bootstrap_servers, "localhost:9092");
    EXPECT_EQ(settings->memory_budget_bytes, uint64_t{256} << 20);
    EXPECT_TRUE(settings->pin_threads);
    const auto data = std::filesystem::absolute("data").string();
    EXPECT_EQ(settings->file_sink_roots, (std::vector<std::string>{data, "/var/log"}));
}

TEST(Settings, FoldersOfSecretsAndCertificatesAreAbsoluteOrNone) {
    EXPECT_EQ(load({})->secrets_dir, "");
    const auto settings = load({{}, {{"SECRETS_DIR", "secrets/"}, {"CERTIFICATES_DIR", "/etc/../certificates"}}, {}});
    EXPECT_EQ(settings->secrets_dir, std::filesystem::absolute("secrets").string());
    EXPECT_EQ(settings->certificates_dir, "/certificates");
    EXPECT_NE(refusal({{}, {{"SECRETS_DIR", ""}}, {}}).find("SECRETS_DIR"), std::string::npos);
}

TEST(Settings, ForwardAllowIsJudgedAtTheStart) {
    EXPECT_TRUE(load({})->forward_allow.empty());
    EXPECT_EQ(load({{}, {{"FORWARD_ALLOW", "*.example.com, 10.0.0.0/8"}}, {}})->forward_allow,
              (std::vector<std::string>{"*.example.com", "10.0.0.0/8"}));
    EXPECT_NE(refusal({{}, {{"FORWARD_ALLOW", "https://example.com"}}, {}}).find("FORWARD_ALLOW"), std::string::npos);
    EXPECT_NE(refusal({{}, {{"FORWARD_ALLOW", "10.0.0.0/33"}}, {}}).find("10.0.0.0/33"), std::string::npos);
    EXPECT_NE(refusal({{}, {{"FORWARD_ALLOW", ""}}, {}}).find("FORWARD_ALLOW"), std::string::npos);
}

TEST(Settings, AFlagWinsOverTheEnvironmentAndThatOverTheFile) {
    const std::map<std::string, std::string> environment = {{"PORT", "8002"}};
    EXPECT_EQ(load({{}, {}, "PORT=8001\n"})->port, 8001);
    EXPECT_EQ(load({{}, environment, "PORT=8001\n"})->port, 8002);
    EXPECT_EQ(load({{"--port", "8003"}, environment, "PORT=8001\n"})->port, 8003);
}

TEST(Settings, ListensEverywhereOnlyWithAToken) {
    EXPECT_EQ(load({{}, {{"API_TOKEN", "a-long-token"}}, {}})->host, "0.0.0.0");
    EXPECT_EQ(load({{}, {{"API_TOKEN", "a-long-token"}, {"HOST", "127.0.0.1"}}, {}})->host, "127.0.0.1");
    const auto text = refusal({{"--host", "0.0.0.0"}, {}, {}});
    EXPECT_NE(text.find("API_TOKEN"), std::string::npos);
    EXPECT_NE(text.find("ALLOW_UNAUTHENTICATED"), std::string::npos);
    EXPECT_EQ(load({{"--host", "0.0.0.0", "--allow-unauthenticated", "true"}, {}, {}})->host, "0.0.0.0");
    EXPECT_EQ(load({{"--host", "::1"}, {}, {}})->host, "::1");
}

TEST(Settings, NamesTheVariableThatIsWrong) {
    const std::vector<std::pair<std::string, std::string>> wrong = {{"PORT", "0"},
                                                                    {"PORT", "65536"},
                                                                    {"PORT", "80x"},
                                                                    {"PORT", ""},
                                                                    {"LOG_LEVEL", "LOUD"},
                                                                    {"MEMORY_BUDGET", "12 parsecs"},
                                                                    {"MEMORY_BUDGET", "-1"},
                                                                    {"MEMORY_BUDGET", "99999999999GiB"},
                                                                    {"MEMORY_BUDGET", "1"},
                                                                    {"PIN_THREADS", "maybe"},
                                                                    {"ALLOW_UNAUTHENTICATED", "2"},
                                                                    {"KAFKA_BOOTSTRAP_SERVERS", "localhost"},
                                                                    {"KAFKA_BOOTSTRAP_SERVERS", "a:1,b"},
                                                                    {"API_TOKEN", ""},
                                                                    {"API_TOKEN", "has space in it"},
                                                                    {"INSTANCE_ID", "a/b"},
                                                                    {"FILE_SINK_ROOTS", ":"},
                                                                    {"HOST", "a b"},
                                                                    {"ALLOWED_HOSTS", ""},
                                                                    {"ALLOWED_HOSTS", "http://a.example"},
                                                                    {"ALLOWED_HOSTS", "a.example:8000"},
                                                                    {"ALLOWED_HOSTS", "good.example,a.example/x"},
                                                                    {"ALLOWED_HOSTS", "*.example"},
                                                                    {"ALLOWED_HOSTS", "a..example"},
                                                                    {"ALLOWED_HOSTS", "-a.example"},
                                                                    {"ALLOWED_HOSTS", "a b"},
                                                                    {"ALLOWED_HOSTS", "::1:8000:x"},
                                                                    {"DATA_DIR", ""},
                                                                    {"MONITOR_BOOTSTRAP_SERVERS", "nope"},
                                                                    {"DATABASE_URL", "postgresql://user:hunter2@db:x/x"}};
    for (const auto& [name, value] : wrong) {
        const auto text = refusal({{}, {{name, value}}, {}});
        EXPECT_NE(text.find(name), std::string::npos) << name << "=" << value << ": " << text;
        EXPECT_NE(refusal({{}, {}, name + "=" + value + "\n"}).find(name), std::string::npos) << name;
    }
}

TEST(Settings, TakesHostsAsNamesOrAddresses) {
    EXPECT_EQ(load({{}, {{"ALLOWED_HOSTS", "a.example, B_2.example ,10.0.0.7,[fd00::1],::1,pod-7"}}, {}})->allowed_hosts,
              (std::vector<std::string>{"a.example", "B_2.example", "10.0.0.7", "fd00::1", "::1", "pod-7"}));
}

TEST(Settings, NeverRepeatsAValue) {
    EXPECT_EQ(refusal({{}, {{"DATABASE_URL", "postgresql://user:hunter2@db:x/x"}}, {}}).find("hunter2"), std::string::npos);
    EXPECT_EQ(refusal({{"--database-url=postgresql://user:hunter2@db/x?options=y"}, {}, {}}).find("hunter2"), std::string::npos);
    EXPECT_EQ(refusal({{"--help"}, {{"DATABASE_URL", "postgresql://user:hunter2@db/x"}}, {}}).find("hunter2"), std::string::npos);
    EXPECT_EQ(refusal({{}, {{"API_TOKEN", "hunter2"}}, {}}).find("hunter2"), std::string::npos);
}

TEST(Settings, RefusesWhatItDoesNotKnow) {
    EXPECT_NE(refusal({{"--prot", "1"}, {}, {}}).find("--prot"), std::string::npos);
    EXPECT_NE(refusal({{"stray"}, {}, {}}).find("stray"), std::string::npos);
    EXPECT_NE(refusal({{}, {}, "PROT=1\n"}).find("PROT"), std::string::npos);
    EXPECT_NE(refusal({{}, {}, "just words\n"}).find("line 1"), std::string::npos);
    EXPECT_NE(refusal({{}, {}, "PORT=\"8000\n"}).find("PORT"), std::string::npos);
}

TEST(Settings, ReadsTheUsualFormsOfADotenvFile) {
    const auto settings = load({{}, {}, "# comment\n\nexport PORT=8001  # mine\nDATA_DIR=\"/tmp/a b\"\r\nLOG_LEVEL='DEBUG'\n"});
    ASSERT_TRUE(settings) << settings.error().text;
    EXPECT_EQ(settings->port, 8001);
    EXPECT_EQ(settings->data_dir, "/tmp/a b");
    EXPECT_EQ(settings->log_level, "debug");
}

TEST(Settings, UnderstandsUnitsOfBytes) {
    EXPECT_EQ(load({{"--memory-budget", "64MiB"}, {}, {}})->memory_budget_bytes, uint64_t{64} << 20);
    EXPECT_EQ(load({{"--memory-budget", "2GiB"}, {}, {}})->memory_budget_bytes, uint64_t{2} << 30);
    EXPECT_EQ(load({{"--memory-budget", "2097152"}, {}, {}})->memory_budget_bytes, uint64_t{2} << 20);
}

TEST(Settings, HelpAndVersionEndWellAndSayWhatIsAsked) {
    const auto help = load({{"--help"}, {}, {}});
    ASSERT_FALSE(help);
    EXPECT_EQ(help.error().code, 0);
    EXPECT_NE(help.error().text.find("FILE_SINK_ROOTS"), std::string::npos);
    const auto version = load({{"--version"}, {}, {}});
    ASSERT_FALSE(version);
    EXPECT_EQ(version.error().code, 0);
    EXPECT_TRUE(version.error().text.starts_with("kafka-fetcher ")) << version.error().text;
}

TEST(Settings, TheDemoHasAFolderOfItsOwn) {
    const auto settings = load({{"--demo", "--data-dir", "/tmp/x"}, {}, {}});
    EXPECT_EQ(settings->data_dir, "/tmp/x/demo");
    EXPECT_EQ(settings->file_sink_roots.front(), "/tmp/x/demo");
}

TEST(Settings, TheDemoMayWriteToItsFolderWhateverTheRoots) {
    const auto settings = load({{"--demo", "--data-dir", "/tmp/x"}, {{"FILE_SINK_ROOTS", "/srv"}}, {}});
    EXPECT_EQ(settings->file_sink_roots, (std::vector<std::string>{"/srv", "/tmp/x/demo"}));
}

TEST(Settings, AColonInTheDataFolderMakesNoOtherRoot) {
    const auto settings = load({{"--data-dir", "/tmp/x:/etc/"}, {}, {}});
    EXPECT_EQ(settings->file_sink_roots, (std::vector<std::string>{"/tmp/x:/etc", "/var/log"}));
}

TEST(Settings, TheHelpSaysWhatTheDemoDeletes) {
    EXPECT_NE(load({{"--help"}, {}, {}}).error().text.find("DATA_DIR/demo"), std::string::npos);
}

}  // namespace
}  // namespace fetcher

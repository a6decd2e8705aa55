#include "server/config/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace actioncluster {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

const std::vector<std::string> kHome = {"HOME=/home/ann"};

std::vector<std::string> HomeAnd(std::vector<std::string> more) {
  more.push_back("HOME=/home/ann");
  return more;
}

std::string ErrorOf(const std::vector<std::string>& args, const std::vector<std::string>& environment = kHome) {
  const auto settings = LoadSettings(args, environment);
  if (settings.ok()) return "no error";
  EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(settings.status().message()), Not(HasSubstr("\n")));
  return std::string(settings.status().message());
}

TEST(SettingsTest, WithoutAnyEachHasItsDefault) {
  const auto settings = LoadSettings({}, kHome);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->workers, 1);
  EXPECT_EQ(settings->host, "127.0.0.1");
  EXPECT_EQ(settings->port, 7400);
  EXPECT_EQ(settings->data_dir, "/home/ann/.local/state/actioncluster");
  EXPECT_EQ(settings->redis, "");
  EXPECT_EQ(settings->cluster_namespace, "actioncluster");
  EXPECT_EQ(settings->rpc_timeout, absl::Seconds(5));
  EXPECT_EQ(settings->lease, absl::Seconds(5));
  EXPECT_EQ(settings->task_lease, absl::Seconds(10));
  EXPECT_EQ(settings->drain_timeout, absl::Seconds(10));
  EXPECT_EQ(settings->cache_key_bytes, 1024);
  EXPECT_EQ(settings->cache_value_bytes, 4 << 20);
  EXPECT_EQ(settings->cache_batch, 1000);
  EXPECT_EQ(settings->cache_list_length, 10'000'000);
  EXPECT_EQ(settings->near_cache_bytes, 0);
  EXPECT_EQ(settings->restore_bytes, int64_t{16} << 30);
}

TEST(SettingsTest, FlagsTakeTheirValueApartOrAfterAnEqualsSign) {
  const auto settings =
      LoadSettings({"--workers", "3", "--port=7500", "--namespace=blue", "--rpc-timeout", "250ms"}, kHome);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->workers, 3);
  EXPECT_EQ(settings->port, 7500);
  EXPECT_EQ(settings->cluster_namespace, "blue");
  EXPECT_EQ(settings->rpc_timeout, absl::Milliseconds(250));
}

TEST(SettingsTest, AFlagWinsOverTheEnvironment) {
  const auto settings =
      LoadSettings({"--port", "7500"}, HomeAnd({"ACTIONCLUSTER_PORT=7600", "ACTIONCLUSTER_DRAIN_TIMEOUT=1m"}));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->port, 7500);
  EXPECT_EQ(settings->drain_timeout, absl::Minutes(1));
}

TEST(SettingsTest, AnUnusedValueOfTheEnvironmentNeedNotBeGood) {
  EXPECT_TRUE(LoadSettings({"--port", "7500"}, HomeAnd({"ACTIONCLUSTER_PORT=x"})).ok());
}

TEST(SettingsTest, WhatIsOutOfLimitsIsNamedWithItsSourceAndWhatIsAllowed) {
  EXPECT_EQ(ErrorOf({"--port", "70000"}), "port (from the flag --port): takes a whole number, 1 … 65535");
  EXPECT_EQ(ErrorOf({}, HomeAnd({"ACTIONCLUSTER_WORKERS=many"})),
            "workers (from the environment's ACTIONCLUSTER_WORKERS): takes a whole number, 1 … 256");
  EXPECT_THAT(ErrorOf({"--workers", "0"}), HasSubstr("1 … 256"));
  EXPECT_THAT(ErrorOf({"--workers", "257"}), HasSubstr("1 … 256"));
  EXPECT_THAT(ErrorOf({"--lease", "5"}), HasSubstr("1s … 1m"));
  EXPECT_THAT(ErrorOf({"--lease", "999ms"}), HasSubstr("1s … 1m"));
  EXPECT_THAT(ErrorOf({"--task-lease", "999ms"}), HasSubstr("1s … 10m"));
  EXPECT_THAT(ErrorOf({"--task-lease", "11m"}), HasSubstr("1s … 10m"));
  EXPECT_THAT(ErrorOf({"--rpc-timeout", "inf"}), HasSubstr("1ms … 1h"));
  EXPECT_THAT(ErrorOf({"--drain-timeout", "-1s"}), HasSubstr("0 … 1h"));
  EXPECT_THAT(ErrorOf({"--host", "example.org"}), HasSubstr("host (from the flag --host)"));
  EXPECT_THAT(ErrorOf({"--advertise", "http://example.org/"}), HasSubstr("takes a host name"));
  EXPECT_TRUE(LoadSettings({"--advertise", "node-7.example.org"}, kHome).ok());
  EXPECT_THAT(ErrorOf({"--namespace", "a:b"}), HasSubstr("namespace (from the flag --namespace)"));
}

TEST(SettingsTest, SizesAreBytesOrHaveAUnit) {
  const auto settings = LoadSettings({"--cache-value-bytes", "64MiB", "--near-cache-bytes=1GiB"},
                                     HomeAnd({"ACTIONCLUSTER_CACHE_KEY_BYTES=512", "ACTIONCLUSTER_RESTORE_BYTES=1TiB",
                                              "ACTIONCLUSTER_CACHE_BATCH=256", "ACTIONCLUSTER_CACHE_LIST_LENGTH=8"}));
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->cache_value_bytes, 64 << 20);
  EXPECT_EQ(settings->near_cache_bytes, 1 << 30);
  EXPECT_EQ(settings->cache_key_bytes, 512);
  EXPECT_EQ(settings->restore_bytes, int64_t{1} << 40);
  EXPECT_EQ(settings->cache_batch, 256);
  EXPECT_EQ(settings->cache_list_length, 8);
}

TEST(SettingsTest, WhatIsNoSizeIsRefusedAndSoIsOneBeyondTheLimits) {
  for (const char* const text : {"", "MiB", "4 MiB", "4MB", "4mib", "-1", "+4", "0x10", "4.5MiB", "64.0",
                                 "99999999999999999999", "8388608TiB", "9223372036854775807KiB", "1023", "65MiB"}) {
    EXPECT_EQ(ErrorOf({"--cache-value-bytes", text}),
              "cache-value-bytes (from the flag --cache-value-bytes): takes a number of bytes, as 4096, 64KiB, 4MiB or "
              "1GiB; 1KiB … 64MiB")
        << text;
  }
  EXPECT_THAT(ErrorOf({"--cache-key-bytes", "0"}), HasSubstr("1 … 64KiB"));
  EXPECT_THAT(ErrorOf({"--near-cache-bytes", "65GiB"}), HasSubstr("0 … 64GiB"));
  EXPECT_THAT(ErrorOf({"--cache-batch", "100001"}), HasSubstr("256 … 100000"));
  EXPECT_THAT(ErrorOf({"--cache-batch", "255"}), HasSubstr("256 … 100000"));
}

TEST(SettingsTest, SizesGoThroughTheEnvironmentUnchanged) {
  Settings settings;
  settings.cache_key_bytes = 1023;
  settings.cache_value_bytes = 3 << 20;
  settings.near_cache_bytes = 0;
  const auto environment = ToEnvironment(settings);
  EXPECT_EQ(environment.at("ACTIONCLUSTER_CACHE_KEY_BYTES"), "1023");
  EXPECT_EQ(environment.at("ACTIONCLUSTER_CACHE_VALUE_BYTES"), "3MiB");
  EXPECT_EQ(environment.at("ACTIONCLUSTER_NEAR_CACHE_BYTES"), "0");
  EXPECT_EQ(environment.at("ACTIONCLUSTER_RESTORE_BYTES"), "16GiB");
}

TEST(SettingsTest, HowClientsAreTreatedCanBeSet) {
  const auto defaults = LoadSettings({}, kHome);
  ASSERT_TRUE(defaults.ok()) << defaults.status();
  EXPECT_EQ(defaults->resume_window, absl::Minutes(2));
  EXPECT_EQ(defaults->client_methods, "");
  EXPECT_EQ(defaults->connection_outbox_bytes, 1 << 20);
  EXPECT_EQ(defaults->slow_clients, "drop");
  EXPECT_EQ(defaults->max_connections, 100'000);
  const auto settings =
      LoadSettings({"--resume-window", "1h", "--client-methods", "shop.*, ping ,*.read", "--connection-outbox-bytes",
                    "64KiB", "--slow-clients", "close", "--max-connections", "1"},
                   kHome);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->resume_window, absl::Hours(1));
  EXPECT_EQ(settings->client_methods, "shop.*,ping,*.read");
  EXPECT_EQ(settings->connection_outbox_bytes, 64 << 10);
  EXPECT_EQ(settings->slow_clients, "close");
  EXPECT_EQ(settings->max_connections, 1);
  EXPECT_THAT(ErrorOf({"--resume-window", "999ms"}), HasSubstr("1s … 1h"));
  EXPECT_THAT(ErrorOf({"--client-methods", "a,,b"}), HasSubstr("commas"));
  EXPECT_THAT(ErrorOf({"--client-methods", std::string(257, 'x')}), HasSubstr("256"));
  EXPECT_THAT(ErrorOf({"--connection-outbox-bytes", "65MiB"}), HasSubstr("64KiB … 64MiB"));
  EXPECT_THAT(ErrorOf({"--slow-clients", "wait"}), HasSubstr("drop or close"));
  EXPECT_THAT(ErrorOf({"--max-connections", "0"}), HasSubstr("1 … 10000000"));
}

TEST(SettingsTest, TheLimitsThemselvesAreAllowed) {
  EXPECT_TRUE(
      LoadSettings({"--workers", "256", "--lease", "1s", "--drain-timeout", "0", "--rpc-timeout", "1h"}, kHome).ok());
}

TEST(SettingsTest, AnUnknownFlagAnArgumentOrAFlagGivenTwiceIsAnError) {
  EXPECT_THAT(ErrorOf({"--wokers", "3"}), HasSubstr("--wokers"));
  EXPECT_THAT(ErrorOf({"now"}), HasSubstr("now"));
  EXPECT_THAT(ErrorOf({"--port", "1", "--port", "2"}), HasSubstr("--port"));
  EXPECT_THAT(ErrorOf({"--port"}), HasSubstr("--port"));
}

TEST(SettingsTest, AnUnknownVariableOfOursIsAnErrorAndOthersAreNotOurBusiness) {
  EXPECT_THAT(ErrorOf({}, HomeAnd({"ACTIONCLUSTER_PROT=1"})), HasSubstr("ACTIONCLUSTER_PROT"));
  EXPECT_THAT(ErrorOf({}, HomeAnd({"ACTIONCLUSTER_port=1"})), HasSubstr("ACTIONCLUSTER_port"));
  EXPECT_TRUE(LoadSettings({}, HomeAnd({"PORT=x", "XACTIONCLUSTER_PORT=1"})).ok());
}

TEST(SettingsTest, TheVariablesOfTheCommandLineAreNotOurBusinessEither) {
  EXPECT_TRUE(LoadSettings({}, HomeAnd({"ACTIONCLUSTER_ADDRESS=127.0.0.1:7400", "ACTIONCLUSTER_CALL_METHOD=x",
                                        "ACTIONCLUSTER_CALL_DEADLINE=y", "ACTIONCLUSTER_TASK_ID=q/1",
                                        "ACTIONCLUSTER_TASK_LOST_LEASES=0"}))
                  .ok());
  EXPECT_THAT(ErrorOf({}, HomeAnd({"ACTIONCLUSTER_TASK_IDS=x"})), HasSubstr("ACTIONCLUSTER_TASK_IDS"));
  EXPECT_THAT(ErrorOf({}, HomeAnd({"ACTIONCLUSTER_ADDRESSES=x"})), HasSubstr("ACTIONCLUSTER_ADDRESSES"));
  EXPECT_THAT(ErrorOf({}, HomeAnd({"ACTIONCLUSTER_CALL=x"})), HasSubstr("ACTIONCLUSTER_CALL"));
}

TEST(SettingsTest, AllThatCanBeSetIsListed) {
  std::vector<std::string> names;
  for (const SettingSummary& setting : ListSettings()) names.push_back(setting.name);
  EXPECT_THAT(names, AllOf(Contains("port"), Contains("data-dir"), Contains("config")));
  EXPECT_EQ(names.size(), ToEnvironment(Settings()).size() + 1);
}

TEST(SettingsTest, ARedisUrlThatIsWrongIsRefusedWithoutItsPassword) {
  EXPECT_THAT(ErrorOf({"--redis", "http://:hunter2@127.0.0.1"}),
              AllOf(HasSubstr("redis (from the flag --redis)"), Not(HasSubstr("hunter2"))));
}

TEST(SettingsTest, FilesForRedisByTlsAreLookedAtTogetherAndOnlyThen) {
  EXPECT_TRUE(LoadSettings({"--redis", "rediss://localhost"}, kHome).ok()) << "the system's authorities";
  EXPECT_THAT(ErrorOf({"--redis", "redis://localhost", "--redis-ca-file", "/ca.pem"}), HasSubstr("rediss://"));
  EXPECT_THAT(ErrorOf({"--redis-key-file", "/key.pem"}), HasSubstr("rediss://"));
  EXPECT_THAT(ErrorOf({"--redis", "rediss://localhost", "--redis-cert-file", "/cert.pem"}),
              HasSubstr("a certificate takes its key"));
  EXPECT_THAT(ErrorOf({"--redis", "rediss://localhost", "--redis-ca-file", "/none.pem"}),
              AllOf(HasSubstr("redis-ca-file"), HasSubstr("/none.pem: No such file")));
}

TEST(SettingsTest, ReplicasAreWaitedForOnlyWhereTheRedisIsNotOurOwn) {
  EXPECT_EQ(LoadSettings({"--redis", "redis://localhost", "--ack-replicas", "2"}, kHome)->ack_replicas, 2);
  EXPECT_THAT(ErrorOf({"--ack-replicas", "1"}), AllOf(HasSubstr("ack-replicas"), HasSubstr("embedded")));
}

TEST(SettingsTest, EachWorkerNeedsAPortAfterTheSharedOne) {
  EXPECT_TRUE(LoadSettings({"--port", "65533", "--workers", "2"}, kHome).ok());
  EXPECT_THAT(ErrorOf({"--port", "65534", "--workers", "2"}), HasSubstr("65535"));
}

TEST(SettingsTest, BeyondLoopbackBothTokenFilesAreNeeded) {
  EXPECT_THAT(ErrorOf({"--host", "0.0.0.0"}), HasSubstr("server-token-file"));
  for (const char* url : {"redis://10.0.0.1", "rediss://10.0.0.1", "redis+sentinel://127.0.0.1/main"}) {
    EXPECT_THAT(ErrorOf({"--redis", url}), HasSubstr("server-token-file")) << url;
  }
  EXPECT_TRUE(LoadSettings({"--host", "127.0.0.2", "--redis", "redis://localhost:6380/1"}, kHome).ok());
  EXPECT_TRUE(LoadSettings({"--host", "::1", "--redis", "unix:///run/redis.sock"}, kHome).ok());
}

TEST(SettingsTest, TheDataDirectoryFollowsTheXdgVariableThenHome) {
  EXPECT_EQ(LoadSettings({}, HomeAnd({"XDG_STATE_HOME=/state"}))->data_dir, "/state/actioncluster");
  EXPECT_EQ(LoadSettings({}, HomeAnd({"XDG_STATE_HOME=relative"}))->data_dir, "/home/ann/.local/state/actioncluster");
  EXPECT_THAT(ErrorOf({}, {}), HasSubstr("data-dir"));
  EXPECT_EQ(LoadSettings({"--data-dir", "/srv/./ac/"}, {})->data_dir, "/srv/ac");
}

TEST(SettingsTest, ARelativeDataDirectoryBecomesAbsolute) {
  const auto settings = LoadSettings({"--data-dir", "data"}, {});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(settings->data_dir, testing::MatchesRegex("/.*/data"));
}

TEST(SettingsTest, WhatIsPutIntoTheEnvironmentIsReadBackTheSame) {
  const auto settings = LoadSettings({"--workers",       "3",
                                      "--port",          "7777",
                                      "--host",          "::1",
                                      "--data-dir",      "/srv/ac",
                                      "--redis",         "redis://:secret@127.0.0.1:6380/2",
                                      "--namespace",     "n.1",
                                      "--rpc-timeout",   "1500ms",
                                      "--lease",         "2s",
                                      "--task-lease",    "1m",
                                      "--drain-timeout", "0"},
                                     kHome);
  ASSERT_TRUE(settings.ok()) << settings.status();
  std::vector<std::string> environment;
  for (const auto& [name, value] : ToEnvironment(*settings)) environment.push_back(absl::StrCat(name, "=", value));
  const auto again = LoadSettings({}, environment);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ToEnvironment(*again), ToEnvironment(*settings));
  EXPECT_EQ(again->rpc_timeout, absl::Milliseconds(1500));
  EXPECT_EQ(again->task_lease, absl::Minutes(1));
  EXPECT_EQ(again->redis, "redis://:secret@127.0.0.1:6380/2");
}

TEST(SettingsTest, TheHelpNamesEachSettingWithItsVariableLimitsAndDefault) {
  const std::string help = SettingsHelp();
  for (const auto& [name, value] : ToEnvironment(Settings())) EXPECT_THAT(help, HasSubstr(name));
  EXPECT_THAT(help, AllOf(HasSubstr("--port N"), HasSubstr("1 … 65535"), HasSubstr("Default: 7400"),
                          HasSubstr("--config FILE")));
}

}  // namespace
}  // namespace actioncluster

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/redis/subscriber.h"
#include "tests/integration/redis/redis_test_base.h"

namespace actioncluster::redis {
namespace {

using fakes::RedisServer;
using testing::AllOf;
using testing::HasSubstr;

constexpr char kPassword[] = "redis-secret";
constexpr char kSentinelPassword[] = "sentinel-secret";

template <class Condition>
void AwaitThat(Condition condition) {
  for (const absl::Time limit = MonotonicNow() + fakes::kPatience; !condition();
       absl::SleepFor(absl::Milliseconds(5))) {
    ASSERT_LT(MonotonicNow(), limit);
  }
}

RedisServer::Options ServerOptions(std::vector<std::string> args) {
  args.insert(args.end(), {"--masterauth", kPassword, "--repl-diskless-sync-delay", "0"});
  return {.tcp = true, .password = kPassword, .args = args};
}

// A master and its replica.
class SentinelTest : public testing::Test {
 protected:
  SentinelTest() {
    AwaitThat([&] { return absl::StrContains(Replication(master_), "state=online"); });
  }

  // On a connection of its own: sentinels close those of others.
  static std::string Replication(const RedisServer& server) { return Asked(server, {"INFO", "replication"}); }
  static std::string Asked(const RedisServer& server, std::vector<std::string> command) {
    TestClient client(AsAdministrator(server));
    client.AwaitReady();
    return TextOf(client.Execute(Command(std::move(command))));
  }
  // Returns when the client is connected to it.
  static void AwaitClientOf(const RedisServer& server) {
    AwaitThat([&] { return absl::StrContains(Asked(server, {"CLIENT", "LIST"}), " name=test "); });
  }
  static RedisServer::Options Watching(int port) {
    return {.password = kSentinelPassword,
            .sentinel = absl::StrCat("sentinel monitor main 127.0.0.1 ", port, " 1\nsentinel auth-pass main ",
                                     kPassword, "\nsentinel down-after-milliseconds main 2000\n"),
            .args = {}};
  }

  static LinkOptions By(const std::vector<int>& sentinels, const std::string& master = "main") {
    std::string url = absl::StrCat("redis+sentinel://", fakes::kNodesUser, ":", fakes::kNodesPassword, "@");
    for (const int port : sentinels) absl::StrAppend(&url, url.back() == '@' ? "" : ",", "127.0.0.1:", port);
    LinkOptions options;
    options.endpoint = *ParseEndpoint(absl::StrCat(url, "/", master, "?sentinel-password=", kSentinelPassword));
    options.client_name = "test";
    return options;
  }

  RedisServer master_{ServerOptions({})};
  RedisServer replica_{ServerOptions({"--replicaof", "127.0.0.1", absl::StrCat(master_.port())})};
};

TEST_F(SentinelTest, TheMasterIsFoundPastSentinelsThatAreAwayOrStale) {
  // It was told of what is a replica now, and knows no other.
  RedisServer stale(Watching(replica_.port()));
  RedisServer good(Watching(master_.port()));
  TestClient client(By({fakes::FreePort(), stale.port(), good.port()}));
  client.AwaitReady();
  AwaitClientOf(master_);
}

TEST_F(SentinelTest, WhatIsWrongIsSaid) {
  RedisServer stale(Watching(replica_.port()));
  EXPECT_THAT(std::string(TestClient(By({stale.port()})).AwaitLoss().message()),
              AllOf(HasSubstr(absl::StrCat("the master 127.0.0.1:", replica_.port())), HasSubstr("ROLE")));
  const int nobody = fakes::FreePort();
  EXPECT_THAT(std::string(TestClient(By({nobody, stale.port()}, "other")).AwaitLoss().message()),
              AllOf(HasSubstr(absl::StrCat("sentinel 127.0.0.1:", nobody, ": connection refused; sentinel 127.0.0.1:",
                                           stale.port(), ": knows no master other")),
                    HasSubstr("redis+sentinel://actioncluster:***@127.0.0.1")));
  LinkOptions stranger = By({stale.port()});
  stranger.endpoint.sentinels->password.clear();
  EXPECT_THAT(std::string(TestClient(stranger).AwaitLoss().message()), HasSubstr("NOAUTH"));
}

TEST_F(SentinelTest, ASentinelThatIsMuteIsPassedOverInHalfTheTimeForARedis) {
  RedisServer mute(Watching(master_.port()));
  RedisServer good(Watching(master_.port()));
  mute.Pause();
  LinkOptions options = By({mute.port(), good.port()});
  options.connect_timeout = absl::Seconds(1);
  const absl::Time begin = MonotonicNow();
  TestClient client(options);
  client.AwaitReady();
  EXPECT_GE(MonotonicNow() - begin, absl::Milliseconds(400));
  mute.Resume();
}

TEST_F(SentinelTest, CommandsAndSubscriptionsFollowAFailoverThatWasAskedForAndOneAfterAKill) {
  RedisServer sentinel(Watching(master_.port()));
  TestClient client(By({sentinel.port()}));
  client.AwaitReady();
  EXPECT_EQ(TextOf(client.Execute(Command({"SET", KeyOf("key"), "kept"}))), "OK");
  // The replica has it.
  AwaitThat([&] {
    const auto replicas = client.Execute(Command({"WAIT", "1", "1000"}));
    return replicas.ok() && replicas->view().Integer().value_or(0) == 1;
  });
  const fakes::Waiter<int> confirmed;
  const fakes::Waiter<std::string> messages;
  const States states;
  std::unique_ptr<Subscriber> subscriber;
  client.thread().Run([&] {
    LinkOptions options = By({sentinel.port()});
    options.client_name = "subscriber";
    subscriber = std::make_unique<Subscriber>(
        client.thread().loop(), std::move(options),
        [messages](absl::string_view, absl::string_view payload) { messages.Add(std::string(payload)); });
    subscriber->OnState([states](const absl::Status& state) { states.Add(state); });
    subscriber->Subscribe(ChannelOf("one"), [confirmed] { confirmed.Add(1); });
  });
  confirmed.Next();
  AwaitOk(states);

  // Until it knows of the replica, it says that it has no good one. The old master stays open, and a master, for ten
  // seconds more: the loss comes from what the sentinel tells.
  AwaitThat([&] { return !sentinel.Command({"SENTINEL", "FAILOVER", "main"}).view().is_error(); });
  EXPECT_THAT(std::string(client.AwaitLoss().message()), HasSubstr("another master"));
  client.AwaitReady();
  AwaitClientOf(replica_);
  EXPECT_EQ(TextOf(client.Execute(Command({"GET", KeyOf("key")}))), "kept");
  EXPECT_FALSE(AwaitNotOk(states).ok());
  AwaitOk(states);
  EXPECT_EQ(client.Execute(Command({"PUBLISH", ChannelOf("one"), "planned"}))->view().Integer().value(), 1);
  EXPECT_EQ(messages.Next(), "planned");

  // Back again, once the old master has become a replica that the sentinel knows. It would see to that itself, later.
  EXPECT_EQ(TextOf(Result(master_.Command({"REPLICAOF", "127.0.0.1", absl::StrCat(replica_.port())}))), "OK");
  AwaitThat([&] { return absl::StrContains(Replication(replica_), "state=online"); });
  AwaitThat([&] {
    const Reply replicas = sentinel.Command({"SENTINEL", "REPLICAS", "main"});
    for (size_t i = 0; i + 1 < replicas.view()[0].size(); i += 2) {
      if (*replicas.view()[0][i].String() == "master-link-status") return *replicas.view()[0][i + 1].String() == "ok";
    }
    return false;
  });
  replica_.Kill();
  EXPECT_FALSE(client.AwaitLoss().ok());
  client.AwaitReady();
  AwaitClientOf(master_);
  EXPECT_EQ(TextOf(client.Execute(Command({"SET", KeyOf("key"), "new"}))), "OK");
  EXPECT_FALSE(AwaitNotOk(states).ok());
  AwaitOk(states);
  EXPECT_EQ(client.Execute(Command({"PUBLISH", ChannelOf("one"), "killed"}))->view().Integer().value(), 1);
  EXPECT_EQ(messages.Next(), "killed");
  client.thread().Run([&] { subscriber.reset(); });
}

}  // namespace
}  // namespace actioncluster::redis

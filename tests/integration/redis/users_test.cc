#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/subscriber.h"
#include "backplane/redis/tracker.h"
#include "backplane/scripts/scripts.h"
#include "tests/integration/redis/redis_test_base.h"

namespace actioncluster::redis {
namespace {

// What the user of deploy/redis-users.acl may do; the tests are the default user.
class UsersTest : public testing::Test {
 protected:
  // What Redis would say to the node's user.
  std::string Asked(std::vector<std::string> command) {
    command.insert(command.begin(), {"ACL", "DRYRUN", fakes::kNodesUser});
    return TextOf(Result(server_.Command(command)));
  }

  fakes::RedisServer server_;
};

std::vector<std::string> AllKeys(const Keys& keys) {
  std::vector<std::string> all = {keys.MembershipLeases(),   keys.MembershipRecords(), keys.MembershipStats(),
                                  keys.MembershipNames(),    keys.MembershipState(),   keys.Connection("a"),
                                  keys.HeldConnections("a"), keys.HoldingBoots(),      keys.RoomInfo("a"),
                                  keys.RoomMembers("a"),     keys.RoomBoots("a"),      keys.RoomHistory("a"),
                                  keys.RoomNames(),          keys.RoomStamps(),        keys.Queues(),
                                  keys.CacheScratch("a")};
  const auto add = [&all](const std::vector<std::string>& more) { all.insert(all.end(), more.begin(), more.end()); };
  add(keys.Queue("a"));
  using Kind = Keys::CacheKind;
  for (const Kind kind : {Kind::kValue, Kind::kLock, Kind::kList, Kind::kStaged, Kind::kRestore}) {
    all.push_back(keys.Cache(kind, "a"));
    add(keys.CacheLine(kind, "a"));
  }
  for (const int call : {0, 1, 2}) all.push_back(keys.CacheRequest(static_cast<Keys::CacheCall>(call), "a", "id"));
  return all;
}

std::vector<std::string> AllChannels(const Keys& keys) {
  return {keys.ChannelAll(),     keys.ChannelBoot("a"),  keys.ChannelMethod("a"),
          keys.ChannelType("a"), keys.ChannelAllTypes(), keys.ChannelRoom("a")};
}

TEST_F(UsersTest, TheNodesUserReachesEachOfItsKeysAndChannels) {
  for (const Keys& keys : {Keys(fakes::kNamespace), Keys(fakes::kNamespace, 3)}) {
    for (const std::string& key : AllKeys(keys)) EXPECT_EQ(Asked({"SET", key, "x"}), "OK") << key;
    for (const std::string& channel : AllChannels(keys)) {
      EXPECT_EQ(Asked({"PUBLISH", channel, "x"}), "OK") << channel;
      EXPECT_EQ(Asked({"SUBSCRIBE", channel}), "OK") << channel;
    }
  }
}

TEST_F(UsersTest, NothingOfOthersIsReached) {
  const Keys others("other");
  for (const std::string& key : AllKeys(others)) EXPECT_NE(Asked({"GET", key}), "OK") << key;
  for (const std::string& channel : AllChannels(others)) EXPECT_NE(Asked({"SUBSCRIBE", channel}), "OK") << channel;
  EXPECT_NE(Asked({"GET", "key"}), "OK");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{{"FLUSHALL"},
                                                                                       {"CONFIG", "GET", "*"},
                                                                                       {"ACL", "LIST"},
                                                                                       {"KEYS", "*"},
                                                                                       {"SHUTDOWN"},
                                                                                       {"SCRIPT", "FLUSH"},
                                                                                       {"CLIENT", "LIST"},
                                                                                       {"EVAL", "return 1", "0"},
                                                                                       {"PUBSUB", "CHANNELS"},
                                                                                       {"MONITOR"}}) {
    EXPECT_NE(Asked(command), "OK") << absl::StrJoin(command, " ");
  }
}

TEST_F(UsersTest, TheConnectionsOfANodeStandWithEveryScript) {
  TestClient client(OptionsFor(server_), scripts::All());
  client.AwaitReady();
  EXPECT_TRUE(client.Execute(Command({"TIME"})).ok());
  struct Silent final : TrackingListener {
    void Changed(const std::vector<absl::string_view>&) override {}
    void Doubt() override {}
    void Proven(absl::Time) override {}
  } silent;
  const States subscribed;
  const States tracking;
  std::unique_ptr<Subscriber> subscriber;
  std::unique_ptr<Tracker> tracker;
  client.thread().Run([&] {
    Loop& loop = client.thread().loop();
    subscriber = std::make_unique<Subscriber>(loop, OptionsFor(server_), [](absl::string_view, absl::string_view) {});
    subscriber->Subscribe(Keys(fakes::kNamespace).ChannelAll(), nullptr);
    subscriber->OnState([subscribed](const absl::Status& state) { subscribed.Add(state); });
    tracker = std::make_unique<Tracker>(loop, OptionsFor(server_),
                                        std::vector{Keys(fakes::kNamespace).CachePrefix(Keys::CacheKind::kValue)},
                                        absl::Seconds(1), silent);
    tracker->OnState([tracking](const absl::Status& state) { tracking.Add(state); });
  });
  AwaitOk(subscribed);
  AwaitOk(tracking);
  client.thread().Run([&] {
    subscriber.reset();
    tracker.reset();
  });
}

}  // namespace
}  // namespace actioncluster::redis

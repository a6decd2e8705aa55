// What Redis could not be told of connections, or nobody knows whether it was: it is told until it is done.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_proxy.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/host_client.h"
#include "tests/integration/server/local_node.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Welcome = v1::OpenResponse::Welcome;

class ConnectionDebtsTest : public ::testing::Test {
 protected:
  explicit ConnectionDebtsTest(const std::vector<std::string>& args = {})
      : redis_(fakes::RedisServer::Options{.password = "", .args = args}) {}

  // Redis has nothing under way with the node, and is owed nothing.
  bool AwaitSettled() {
    return AwaitThat([this] { return node_.io().Run([this] { return node_.rooms().connections.unsettled() == 0; }); });
  }
  // Who holds the connection; empty: nobody.
  std::string HolderOf(const std::string& id) {
    using Record = std::optional<internal::v1::ConnectionRecord>;
    const fakes::Waiter<absl::StatusOr<Record>> found;
    other_.io().Run([&] { other_.rooms().presence.Lookup(id, found.Callback()); });
    const absl::StatusOr<Record> record = found.Next();
    EXPECT_TRUE(record.ok()) << record.status();
    return record.ok() && record->has_value() ? (*record)->node_id() : "";
  }
  bool IsStored(const std::string& id, const std::string& text) {
    const redis::Reply state = redis_.Command({"HGET", node_.rooms().keys.Connection(id), "state"});
    return absl::StrContains(state.view().String().value_or(""), text);
  }

  fakes::RedisServer redis_;
  fakes::RedisProxy proxy_{redis_.unix_path()};
  LocalNode node_{proxy_.endpoint()};
  LocalNode other_{redis_.endpoint()};
};

TEST_F(ConnectionDebtsTest, AClaimOfWhichNobodyKnowsWhetherItWasDoneIsGivenBack) {
  proxy_.LoseReplyTo("contested");
  const HostClient lost(node_, HelloOf("contested"));
  EXPECT_TRUE(absl::IsUnavailable(lost.AwaitEnd()));
  EXPECT_TRUE(AwaitThat([this] {
    const HostClient next(other_, HelloOf("contested"));
    return next.AwaitWelcomeOrEnd().has_value();
  })) << "the id is nobody's and nobody gets it";
  EXPECT_TRUE(AwaitSettled());
}

TEST_F(ConnectionDebtsTest, AComebackOfWhichNobodyKnowsWhetherItWasDoneMayBeTriedAgain) {
  Welcome welcome;
  {
    HostClient first(other_, HelloOf("c"));
    welcome = first.AwaitWelcome();
    EXPECT_TRUE(first.Verb("paramAdd", R"(["color", "blue"])").has_result());
    EXPECT_TRUE(AwaitThat([this] { return IsStored("c", "blue"); }));
  }
  EXPECT_TRUE(AwaitThat([&] { return HolderOf("c").empty(); }));
  proxy_.LoseReplyTo(node_.rooms().keys.Connection("c"));
  const HostClient lost(node_, Resuming(welcome));
  EXPECT_TRUE(absl::IsUnavailable(lost.AwaitEnd()));
  EXPECT_TRUE(AwaitSettled());
  EXPECT_EQ(HolderOf("c"), "") << "nobody is told that it is there";
  HostClient back(other_, Resuming(welcome));
  EXPECT_TRUE(back.AwaitWelcome().resumed());
  EXPECT_EQ(back.Verb("paramView", R"(["color"])").result().string_value(), "blue");
}

TEST_F(ConnectionDebtsTest, WhoMayHaveComeIntoARoomWithoutHearingOfItIsTakenOut) {
  CreateRoom(other_, "hall");
  HostClient amy(node_, "amy");
  EXPECT_TRUE(amy.Verb("paramsView", "[]").has_result());
  // The next that is told of her is that she comes in.
  proxy_.LoseReplyTo("amy");
  EXPECT_EQ(amy.Verb("roomAdd", R"(["hall"])").error().reason(), "BACKPLANE_UNAVAILABLE");
  EXPECT_TRUE(AwaitSettled());
  EXPECT_THAT(MembersOf(other_, "hall"), IsEmpty());
  EXPECT_TRUE(amy.Verb("roomAdd", R"(["hall"])").has_result());
  EXPECT_THAT(MembersOf(other_, "hall"), ElementsAre("amy"));
}

// Redis refuses what changes something, with the connection as good as ever: nobody says when that is over.
class RefusedTest : public ConnectionDebtsTest, public ::testing::WithParamInterface<const char*> {
 protected:
  RefusedTest() : ConnectionDebtsTest({"--enable-protected-configs", "yes"}) {}

  void Config(const std::string& name, const std::string& value) {
    EXPECT_FALSE(redis_.Command({"CONFIG", "SET", name, value}).view().is_error()) << name;
  }
  void PutIntoRooms(const std::vector<HostClient*>& clients) {
    for (const std::string room : {"hall", "attic"}) {
      CreateRoom(other_, room);
      for (HostClient* client : clients) {
        ASSERT_TRUE(client->Verb("roomAdd", absl::StrCat("[\"", room, "\"]")).has_result());
      }
    }
  }
  void Refuse() {
    const std::string how = GetParam();
    if (how == "NOREPLICAS") return Config("min-replicas-to-write", "1");
    if (how == "READONLY") return static_cast<void>(redis_.Command({"REPLICAOF", "127.0.0.1", "1"}));
    if (how == "OOM") return Config("maxmemory", "1");
    // Nothing can be saved under such a name.
    Config("save", "3600 1000000");
    Config("dbfilename", std::string(300, 'x'));
    redis_.Command({"BGSAVE"});
    EXPECT_TRUE(AwaitThat([this] {
      const redis::Reply info = redis_.Command({"INFO", "persistence"});
      return absl::StrContains(info.view().String().value_or(""), "rdb_last_bgsave_status:err");
    }));
  }
  void Accept() {
    const std::string how = GetParam();
    if (how == "NOREPLICAS") return Config("min-replicas-to-write", "0");
    if (how == "READONLY") return static_cast<void>(redis_.Command({"REPLICAOF", "NO", "ONE"}));
    if (how == "OOM") return Config("maxmemory", "0");
    Config("stop-writes-on-bgsave-error", "no");
  }
  void ExpectRefused() {
    const redis::Reply reply = redis_.Command({"SET", "anything", "x"});
    ASSERT_TRUE(reply.view().is_error());
    EXPECT_THAT(std::string(reply.view().error()), ::testing::StartsWith(GetParam()));
  }
};

INSTANTIATE_TEST_SUITE_P(Redis, RefusedTest, testing::Values("NOREPLICAS", "READONLY", "MISCONF", "OOM"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(RefusedTest, WhoGoesMeanwhileIsGoneFromRoomsAndFreesItsIdOnceRedisTakesIt) {
  HostClient amy(node_, "amy");
  HostClient bob(other_, "bob");
  PutIntoRooms({&amy, &bob});
  Refuse();
  ExpectRefused();
  // Nothing else is told Redis meanwhile, and again.
  amy.Detach(/*finished=*/true);
  AwaitCommands(node_);
  Accept();
  EXPECT_TRUE(AwaitSettled());
  for (const char* room : {"hall", "attic"}) EXPECT_THAT(MembersOf(other_, room), ElementsAre("bob"));
  const HostClient next(other_, HelloOf("amy"));
  EXPECT_FALSE(next.AwaitWelcome().resumed());
}

TEST_P(RefusedTest, WhoLeavesARoomMeanwhileIsGoneFromItOnceRedisTakesIt) {
  HostClient amy(node_, "amy");
  PutIntoRooms({&amy});
  Refuse();
  ExpectRefused();
  amy.Verb("roomLeave", R"(["hall"])");
  AwaitCommands(node_);
  Accept();
  EXPECT_TRUE(AwaitSettled());
  EXPECT_THAT(MembersOf(other_, "hall"), IsEmpty());
  EXPECT_THAT(MembersOf(other_, "attic"), ElementsAre("amy"));
}

TEST_P(RefusedTest, AClaimThatIsGivenBackIsNotTakenFromWhoHasTheIdOnTheNodeByThen) {
  Refuse();
  ExpectRefused();
  const HostClient refused(node_, HelloOf("amy"));
  EXPECT_TRUE(absl::IsUnavailable(refused.AwaitEnd()));
  Accept();
  HostClient amy(node_, HelloOf("amy"));
  amy.AwaitWelcome();
  EXPECT_TRUE(AwaitSettled());
  EXPECT_EQ(HolderOf("amy"), node_.id());
  EXPECT_TRUE(amy.Verb("detailsView", "[]").has_result());
}

TEST_P(RefusedTest, WhatAConnectionTakesAlongIsStoredOnceRedisTakesIt) {
  HostClient amy(node_, "amy");
  Refuse();
  ExpectRefused();
  EXPECT_TRUE(amy.Verb("paramAdd", R"(["color", "blue"])").has_result());
  AwaitCommands(node_);
  EXPECT_FALSE(IsStored("amy", "blue"));
  Accept();
  EXPECT_TRUE(AwaitThat([this] { return IsStored("amy", "blue"); }));
}

}  // namespace
}  // namespace actioncluster

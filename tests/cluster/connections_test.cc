// Connections as all nodes see them, and what their clients can do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"

namespace actioncluster::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Frame = RawClient::Frame;

constexpr char kTwo[] = "actioncluster-worker-2";
constexpr char kThree[] = "actioncluster-worker-3";
constexpr absl::Duration kTimeout = absl::Seconds(5);
constexpr absl::Duration kAtOnce = absl::Milliseconds(500);  // A tenth of it.

class ConnectionsTest : public testing::Test {
 protected:
  // Connections of this id, as each node gives them.
  std::vector<v1::Connection> EverywhereSeen(const std::string& id) {
    std::vector<v1::Connection> seen;
    for (const Node& node : cluster_.nodes()) {
      seen.push_back(Good(Ask(node, &Connections::Apply, ApplyOf(id))).connection());
      seen.push_back(Good(Ask(node, &Connections::Get, GetOf(id))).connection());
    }
    return seen;
  }
  Cluster cluster_{3, {.flags = {"--client-methods", "public.*,both"}, .redis = {}}};
};

TEST_F(ConnectionsTest, WhatIsKnownOfAConnectionIsTheSameOnEveryNodeAndClaimsAreNoAttributes) {
  v1::OpenRequest::Hello hello = HelloOf("amy");
  hello.set_type("web");
  hello.set_fingerprint("browser-1");
  (*hello.mutable_claims()->mutable_fields())["admin"] = Json("true");
  RawClient amy(cluster_.node(2), hello);
  const Frame::Welcome welcome = amy.AwaitWelcome();
  EXPECT_FALSE(welcome.resumed());
  EXPECT_GE(welcome.resume_token().size(), 32U);

  const Node& elsewhere = cluster_.node(1);
  const v1::Connection set =
      Good(Ask(elsewhere, &Connections::Apply, ApplyOf("amy", "set", R"(["role", {"may": ["edit"]}])"))).connection();
  EXPECT_EQ(ToJson(set.attributes().at("role")), R"({"may":["edit"]})");
  for (const v1::Connection& seen : EverywhereSeen("amy")) {
    EXPECT_EQ(seen.id(), "amy");
    EXPECT_EQ(seen.node_id(), kTwo);
    EXPECT_EQ(seen.type(), "web");
    EXPECT_EQ(seen.fingerprint(), "browser-1");
    EXPECT_TRUE(absl::StartsWith(seen.remote_address(), "127.0.0.1:")) << seen.remote_address();
    EXPECT_LT(absl::AbsDuration(ToTime(seen.connected_at()) - absl::Now()), absl::Seconds(20));
    EXPECT_TRUE(seen.can_chat());
    EXPECT_EQ(ToJson(seen.claims()), R"({"admin":true})");
    ASSERT_EQ(seen.attributes_size(), 1);
    EXPECT_EQ(ToJson(seen.attributes().at("role")), R"({"may":["edit"]})");
  }
  const auto own = amy.Done("detailsView").struct_value();
  EXPECT_EQ(ToJson(own.fields().at("attributes")), R"({"role":{"may":["edit"]}})");
  EXPECT_EQ(own.fields().at("node_id").string_value(), kTwo);

  Good(Ask(cluster_.node(3), &Connections::Apply, ApplyOf("amy", "set", R"(["role", null])")));
  for (const v1::Connection& seen : EverywhereSeen("amy")) EXPECT_EQ(seen.attributes_size(), 0);
}

TEST_F(ConnectionsTest, AClientThatNamesNoIdGetsOneOfItsOwn) {
  RawClient one(cluster_.node(1), HelloOf(""));
  RawClient other(cluster_.node(1), HelloOf(""));
  const std::string id = one.AwaitWelcome().connection().id();
  const v1::Connection named = other.AwaitWelcome().connection();
  EXPECT_NE(id, "");
  EXPECT_NE(id, named.id());
  EXPECT_EQ(named.type(), "grpc");
}

TEST_F(ConnectionsTest, ACallWithAConnectionsIdReachesTheApplicationOnItsNodeOnly) {
  const AppHost one(cluster_.node(1), {{"where", Returning("1")}});
  const AppHost two(cluster_.node(2), {{"where", Returning("2")}});
  const AppHost three(cluster_.node(3), {{"where", Returning("3")}});
  const auto amy = Open(cluster_.node(2), "amy");
  AwaitOffers(cluster_.nodes());
  v1::CallRequest request = Request("where");
  request.set_connection_id("amy");
  for (const Node& node : cluster_.nodes()) {
    const Answer answer = Call(node, request);
    EXPECT_EQ(answer.response.node_id(), kTwo) << testing::PrintToString(answer);
    EXPECT_EQ(ToJson(answer.response.result()), "2");
    EXPECT_EQ(two.calls().Next().connection_id(), "amy");
    EXPECT_EQ(CallAll(node, "where").replies.size(), 3U);
    two.calls().Next();
  }
  EXPECT_EQ(one.calls().size(), 3U);
  EXPECT_EQ(three.calls().size(), 3U);
}

TEST_F(ConnectionsTest, WhateverIsAskedOfAConnectionThatIsNowhereFailsAtOnce) {
  const AppHost app(cluster_.node(2), {{"where", Returning("2")}});
  CreateRoom(cluster_.node(1), "hall");
  // One that was there has no other effect than one that never was.
  Open(cluster_.node(2), "gone")->Done("quit");
  const Node& node = cluster_.node(1);
  const std::vector<std::function<grpc::Status(const std::string& id)>> asks = {
      [&](const std::string& id) {
        v1::CallRequest request = Within(kTimeout, Request("where"));
        request.set_connection_id(id);
        return Call(node, request).status;
      },
      [&](const std::string& id) {
        v1::ApplyRequest request = ApplyOf(id, "set", R"(["a", 1])");
        SetDuration(kTimeout, request.mutable_timeout());
        return Ask(node, &Connections::Apply, request).status;
      },
      [&](const std::string& id) { return Ask(node, &Connections::Invoke, InvokeOf(id, "m", "[]", kTimeout)).status; },
      [&](const std::string& id) { return Ask(node, &Connections::Get, GetOf(id)).status; },
      [&](const std::string& id) { return Ask(node, &Rooms::AddMember, AddOf(id, "hall")).status; },
      [&](const std::string& id) { return Ask(node, &Rooms::RemoveMember, RemoveOf(id, "hall")).status; },
      [&](const std::string& id) { return Ask(node, &Rooms::Broadcast, BroadcastOf("hall", "1", id)).status; },
  };
  for (const std::string id : {"never", "gone"}) {
    for (size_t i = 0; i < asks.size(); ++i) {
      const absl::Time begun = absl::Now();
      const grpc::Status status = asks[i](id);
      EXPECT_LT(absl::Now() - begun, kAtOnce) << i;
      EXPECT_EQ(status.error_code(), grpc::NOT_FOUND) << i << ": " << Describe(status);
      EXPECT_EQ(ReasonOf(status), "CONNECTION_NOT_FOUND") << i << ": " << Describe(status);
    }
  }
}

TEST_F(ConnectionsTest, ListsAreOfAllNodesAndCanBeNarrowedAndPaged) {
  CreateRoom(cluster_.node(1), "hall");
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 9; ++i) {
    v1::OpenRequest::Hello hello = HelloOf(absl::StrCat("c", i));
    hello.set_type(i % 2 == 0 ? "even" : "odd");
    clients.push_back(std::make_unique<RawClient>(cluster_.node(1 + i / 3), hello));
    clients.back()->AwaitWelcome();
    if (i % 4 == 0) clients.back()->Done("roomAdd", R"(["hall"])");
  }
  for (const Node& node : cluster_.nodes()) {
    for (const int page : {0, 1, 2, 4}) {
      v1::ConnectionServiceListRequest request;
      request.set_page_size(page);
      EXPECT_THAT(Listed(node, request), ElementsAre("c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"));
      request.set_type("odd");
      EXPECT_THAT(Listed(node, request), ElementsAre("c1", "c3", "c5", "c7"));
      request.set_node_id(kTwo);
      EXPECT_THAT(Listed(node, request), ElementsAre("c3", "c5"));
      request.set_type("");
      EXPECT_THAT(Listed(node, request), ElementsAre("c3", "c4", "c5"));
      request.set_node_id("");
      request.set_room("hall");
      EXPECT_THAT(Listed(node, request), ElementsAre("c0", "c4", "c8"));
    }
  }
  v1::ConnectionServiceListRequest nowhere;
  nowhere.set_node_id("actioncluster-worker-9");
  EXPECT_EQ(ReasonOf(Ask(cluster_.node(1), &Connections::List, nowhere).status), "NODE_NOT_FOUND");
}

TEST_F(ConnectionsTest, MessagesToOneClientReachThatOneAndItCanBeEnded) {
  const auto amy = Open(cluster_.node(2), "amy");
  const auto bob = Open(cluster_.node(2), "bob");
  Good(Ask(cluster_.node(3), &Connections::Apply, ApplyOf("amy", "sendMessage", R"([{"n": 1}])")));
  v1::ApplyRequest bytes;
  bytes.set_connection_id("amy");
  bytes.set_method("sendMessage");
  bytes.set_data("\x01\x02");
  EXPECT_EQ(Good(Ask(cluster_.node(2), &Connections::Apply, bytes)).connection().messages_sent(), 2U);
  const Frame::Direct first = amy->directs().Next();
  EXPECT_EQ(ToJson(first.value()), R"({"n":1})");
  EXPECT_EQ(first.from_node_id(), kThree);
  EXPECT_EQ(amy->directs().Next().data(), "\x01\x02");

  const auto before = Good(Ask(cluster_.node(1), &Connections::Apply, ApplyOf("amy", "destroy", R"(["go away"])")));
  EXPECT_EQ(before.connection().id(), "amy");
  const Frame::Goodbye goodbye = amy->goodbyes().Next();
  EXPECT_EQ(goodbye.reason(), "destroyed");
  EXPECT_EQ(goodbye.message(), "go away");
  EXPECT_TRUE(amy->AwaitEnd().ok());
  EXPECT_THAT(Listed(cluster_.node(1)), ElementsAre("bob"));
  EXPECT_EQ(bob->directs().size(), 0U);
  // Its id is free.
  Open(cluster_.node(3), "amy");
}

TEST_F(ConnectionsTest, WrongFramesAreAnsweredAndTheStreamGoesOn) {
  const auto amy = Open(cluster_.node(1), "amy");
  EXPECT_EQ(ErrorIn(amy->Do("no such verb")), "METHOD_NOT_FOUND");
  EXPECT_EQ(ErrorIn(amy->Do("roomAdd", "[7]")), absl::StrCat(grpc::INVALID_ARGUMENT));
  EXPECT_EQ(ErrorIn(amy->Do("say", R"(["hall"])")), absl::StrCat(grpc::INVALID_ARGUMENT));
  EXPECT_EQ(ErrorIn(amy->Do("roomAdd", R"(["nowhere"])")), "ROOM_NOT_FOUND");
  amy->Send({});
  EXPECT_EQ(amy->errors().Next().code(), grpc::INVALID_ARGUMENT);
  v1::OpenRequest again;
  *again.mutable_hello() = HelloOf("amy");
  amy->Send(again);
  EXPECT_EQ(amy->errors().Next().code(), grpc::INVALID_ARGUMENT);
  // What is no JSON cannot be written as such.
  v1::OpenRequest nan = VerbOf("paramAdd", R"(["k", 0])", "nan");
  nan.mutable_verb()->mutable_args()->mutable_values(1)->set_number_value(std::numeric_limits<double>::quiet_NaN());
  amy->Send(nan);
  const Frame::Reply refused = amy->replies().Next();
  EXPECT_EQ(refused.message_id(), "nan");
  EXPECT_EQ(ErrorIn(refused), absl::StrCat(grpc::INVALID_ARGUMENT));
  amy->Answer("no such call", "1");
  EXPECT_EQ(amy->Done("detailsView").struct_value().fields().at("id").string_value(), "amy");
  EXPECT_EQ(amy->errors().size(), 0U);
}

TEST_F(ConnectionsTest, OnlyAWrongFirstFrameEndsTheStream) {
  const auto refused = [this](const v1::OpenRequest& first) {
    RawClient client(cluster_.node(1).connections(), first, {});
    return client.AwaitEnd();
  };
  EXPECT_EQ(refused(VerbOf("detailsView")).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(refused({}).error_code(), grpc::INVALID_ARGUMENT);
  v1::OpenRequest too_long;
  *too_long.mutable_hello() = HelloOf(std::string(257, 'x'));
  EXPECT_EQ(refused(too_long).error_code(), grpc::INVALID_ARGUMENT);
  v1::OpenRequest boastful;
  *boastful.mutable_hello() = HelloOf("amy");
  (*boastful.mutable_hello()->mutable_claims()->mutable_fields())["c"].set_string_value(std::string(17 << 10, 'x'));
  EXPECT_FALSE(refused(boastful).ok());
  EXPECT_THAT(Listed(cluster_.node(1)), IsEmpty());
}

TEST_F(ConnectionsTest, ParamsAreTheClientsOwn) {
  const auto amy = Open(cluster_.node(1), "amy");
  amy->Done("paramAdd", R"(["color", {"is": "blue"}])");
  amy->Done("paramAdd", R"(["size", 3])");
  EXPECT_EQ(ToJson(amy->Done("paramView", R"(["color"])")), R"({"is":"blue"})");
  EXPECT_EQ(ToJson(amy->Done("paramView", R"(["none"])")), "null");
  amy->Done("paramDelete", R"(["color"])");
  EXPECT_EQ(ToJson(amy->Done("paramsView")), R"({"size":3})");
  const v1::Connection seen = Good(Ask(cluster_.node(3), &Connections::Get, GetOf("amy"))).connection();
  EXPECT_EQ(ToJson(seen.params().at("size")), "3");
  amy->Done("paramsDelete");
  EXPECT_EQ(ToJson(amy->Done("paramsView")), "{}");
}

TEST_F(ConnectionsTest, ClientsCallWhatIsOpenToThemAndNothingElse) {
  const AppHost app(
      cluster_.node(3),
      {{"public.add", Echoing()},
       {"both", [](const AppHost::Frame::Call&) { return ErrorOf(grpc::FAILED_PRECONDITION, "not now"); }},
       {"secret", Returning("1")}});
  const auto amy = Open(cluster_.node(1), "amy");
  EXPECT_EQ(ToJson(amy->Done("call", R"(["public.add", {"n": 5}])")), R"({"n":5})");
  const AppHost::Frame::Call call = app.calls().Next();
  EXPECT_EQ(call.connection_id(), "amy");
  EXPECT_EQ(call.args().values_size(), 1);
  const Frame::Reply failed = amy->Do("call", R"(["both"])");
  EXPECT_EQ(ErrorIn(failed), "HANDLER_FAILED");
  EXPECT_EQ(failed.error().code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(failed.error().message(), "not now");
  for (const char* closed : {R"(["secret"])", R"(["node.ping"])", R"(["public.nobody"])"}) {
    EXPECT_EQ(ErrorIn(amy->Do("call", closed)), "METHOD_NOT_FOUND") << closed;
  }
}

TEST_F(ConnectionsTest, WhoQuitsOrClosesItsHalfIsGoneForGood) {
  CreateRoom(cluster_.node(1), "hall");
  const auto amy = OpenIn(cluster_.node(1), "amy", "hall");
  const auto bob = OpenIn(cluster_.node(2), "bob", "hall");
  EXPECT_EQ(ToJson(amy->Done("quit")), "true");
  EXPECT_EQ(amy->goodbyes().Next().reason(), "quit");
  EXPECT_TRUE(amy->AwaitEnd().ok());
  bob->Close();
  EXPECT_TRUE(bob->AwaitEnd().ok());
  EXPECT_TRUE(Await([&] { return Listed(cluster_.node(3)).empty(); }));
  EXPECT_TRUE(Await([&] { return MembersOf(cluster_.node(3), "hall").empty(); }));
  // Without a token.
  Open(cluster_.node(3), "amy");
  const auto other_bob = Open(cluster_.node(3), "bob");
  EXPECT_THAT(MembersOf(cluster_.node(3), "hall"), IsEmpty());
}

}  // namespace
}  // namespace actioncluster::cluster

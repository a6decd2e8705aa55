// Clients that come back, wherever; and what is asked of clients, and for them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"

namespace actioncluster::cluster {
namespace {

using testing::ElementsAre;
using Frame = RawClient::Frame;

constexpr char kTwo[] = "actioncluster-worker-2";

class ConnectionMovesTest : public testing::Test {
 protected:
  explicit ConnectionMovesTest(const std::string& resume_window = "2m")
      : cluster_(3, {.flags = {"--resume-window", resume_window}, .redis = {}}) {}

  // Amy, with all that she may take along, at this node.
  std::unique_ptr<RawClient> OpenAmy(const Node& node) {
    v1::OpenRequest::Hello hello = HelloOf("amy");
    (*hello.mutable_claims()->mutable_fields())["age"] = Json("7");
    auto amy = std::make_unique<RawClient>(node, hello);
    welcome_ = amy->AwaitWelcome();
    for (const char* room : {"hall", "attic"}) {
      CreateRoom(node, room);
      amy->Done("roomAdd", absl::StrCat("[\"", room, "\"]"));
    }
    amy->Done("paramAdd", R"(["color", "blue"])");
    Good(Ask(cluster_.node(3), &Connections::Apply, ApplyOf("amy", "set", R"(["role", "owner"])")));
    return amy;
  }
  // All of it is there, after a comeback to this node.
  void ExpectAmy(const v1::Connection& amy, const Node& node) {
    EXPECT_EQ(amy.node_id(), node.id());
    EXPECT_THAT(amy.rooms(), ElementsAre("attic", "hall"));
    EXPECT_EQ(ToJson(amy.params().at("color")), "\"blue\"");
    ASSERT_EQ(amy.attributes_size(), 1);
    EXPECT_EQ(ToJson(amy.attributes().at("role")), "\"owner\"");
    for (const Node& asked : cluster_.nodes()) {
      EXPECT_EQ(Good(Ask(asked, &Connections::Get, GetOf("amy"))).connection().node_id(), node.id());
      EXPECT_THAT(Listed(asked), ElementsAre("amy"));
      for (const char* room : {"hall", "attic"}) {
        const v1::RoomServiceStatusResponse status = StatusOf(asked, room);
        EXPECT_EQ(status.members_count(), 1U);
        ASSERT_EQ(status.members_size(), 1);
        EXPECT_EQ(status.members(0).node_id(), node.id());
      }
    }
  }
  // A hello with this id and token is turned away.
  void ExpectTaken(const Node& node, const std::string& token) {
    v1::OpenRequest::Hello hello = HelloOf("amy");
    hello.set_resume_token(token);
    RawClient thief(node, hello);
    const grpc::Status status = thief.AwaitEnd();
    EXPECT_EQ(status.error_code(), grpc::ALREADY_EXISTS) << Describe(status);
    EXPECT_EQ(ReasonOf(status), "CONNECTION_EXISTS") << Describe(status);
  }

  Cluster cluster_;
  Frame::Welcome welcome_;
};

TEST_F(ConnectionMovesTest, WhoeverShowsTheTokenTakesTheConnectionOverWithAllThatItHas) {
  auto amy = OpenAmy(cluster_.node(1));
  for (const int number : {2, 2, 1, 3}) {
    const Node& node = cluster_.node(number);
    auto newer = std::make_unique<RawClient>(node, Resuming(welcome_));
    const Frame::Welcome welcome = newer->AwaitWelcome();
    EXPECT_TRUE(welcome.resumed());
    EXPECT_FALSE(welcome.connection().has_claims());
    EXPECT_EQ(amy->goodbyes().Next().reason(), "taken_over");
    EXPECT_TRUE(amy->AwaitEnd().ok());
    ExpectAmy(welcome.connection(), node);
    Good(Ask(cluster_.node(2), &Connections::Apply, ApplyOf("amy", "sendMessage", "[1]")));
    EXPECT_EQ(ToJson(newer->directs().Next().value()), "1");
    Good(Ask(cluster_.node(1), &Rooms::Broadcast, BroadcastOf("hall", "\"hello\"")));
    EXPECT_EQ(newer->NextText(), "\"hello\"");
    welcome_ = welcome;
    amy = std::move(newer);
  }
}

TEST_F(ConnectionMovesTest, WithoutTheTokenNobodyGetsAnIdThatIsTaken) {
  const auto amy = OpenAmy(cluster_.node(1));
  for (const Node& node : cluster_.nodes()) {
    ExpectTaken(node, "");
    ExpectTaken(node, "wrong");
  }
  EXPECT_EQ(amy->goodbyes().size(), 0U);
  amy->Done("detailsView");
  // Nor while its client is away.
  amy->HangUp();
  EXPECT_TRUE(Await([&] { return Listed(cluster_.node(2)).empty(); }));
  ExpectTaken(cluster_.node(1), "");
  ExpectTaken(cluster_.node(2), "wrong");
  RawClient back(cluster_.node(3), Resuming(welcome_));
  const Frame::Welcome welcome = back.AwaitWelcome();
  EXPECT_TRUE(welcome.resumed());
  ExpectAmy(welcome.connection(), cluster_.node(3));
}

TEST_F(ConnectionMovesTest, OfTwoThatWantOneIdAtOnceOneGetsIt) {
  for (int round = 0; round < 20; ++round) {
    const std::string id = absl::StrCat("wanted-", round);
    std::vector<std::unique_ptr<RawClient>> rivals;
    for (const Node& node : cluster_.nodes()) rivals.push_back(std::make_unique<RawClient>(node, HelloOf(id)));
    EXPECT_TRUE(Await([&] {
      int refused = 0;
      for (const auto& rival : rivals) refused += rival->has_ended() ? 1 : 0;
      return refused == 2;
    }));
    EXPECT_TRUE(Ask(cluster_.node(1), &Connections::Get, GetOf(id)).ok());
  }
}

class ShortResumeTest : public ConnectionMovesTest {
 protected:
  ShortResumeTest() : ConnectionMovesTest("1s") {}
};

TEST_F(ShortResumeTest, AfterTheWindowTheIdIsAnyonesAndNothingIsLeft) {
  const auto amy = OpenAmy(cluster_.node(1));
  amy->HangUp();
  EXPECT_TRUE(Await([&] { return MembersOf(cluster_.node(2), "hall").empty(); }));
  std::unique_ptr<RawClient> other;
  EXPECT_TRUE(Await([&] {
    other = std::make_unique<RawClient>(cluster_.node(2), HelloOf("amy"));
    return other->AwaitWelcomeOrEnd().has_value();
  }));
  const v1::Connection seen = Good(Ask(cluster_.node(3), &Connections::Get, GetOf("amy"))).connection();
  EXPECT_EQ(seen.attributes_size() + seen.params_size() + seen.rooms_size(), 0) << seen.ShortDebugString();
  // Whoever has the old token is late.
  ExpectTaken(cluster_.node(1), welcome_.resume_token());
  other->Done("quit");
  EXPECT_TRUE(Await([&] {
    RawClient late(cluster_.node(1), Resuming(welcome_));
    const auto welcome = late.AwaitWelcomeOrEnd();
    return welcome.has_value() && !welcome->resumed();
  }));
}

using InvokeTest = ConnectionMovesTest;

// An Invoke that goes on meanwhile.
class Invoking {
 public:
  Invoking(const Node& node, v1::InvokeRequest request)
      : thread_([this, &node, request = std::move(request)] { answered_ = Ask(node, &Connections::Invoke, request); }) {
  }
  ~Invoking() {
    if (thread_.joinable()) thread_.join();
  }
  const Answered<v1::InvokeResponse>& Await() {
    if (thread_.joinable()) thread_.join();
    return answered_;
  }

 private:
  Answered<v1::InvokeResponse> answered_;
  std::thread thread_;
};

TEST_F(InvokeTest, AnyNodeBringsTheQuestionToTheClientAndItsAnswerBack) {
  const auto amy = Open(cluster_.node(2), "amy");
  for (const Node& node : cluster_.nodes()) {
    Invoking invoking(node, InvokeOf("amy", "add", "[1, 2]"));
    const Frame::Invoke asked = amy->invokes().Next();
    EXPECT_EQ(asked.method(), "add");
    EXPECT_EQ(asked.args().values(1).number_value(), 2);
    EXPECT_GT(asked.timeout().seconds(), 0);
    amy->Answer(asked.call_id(), R"({"sum": 3})");
    const v1::InvokeResponse response = Good(invoking.Await());
    EXPECT_EQ(ToJson(response.result()), R"({"sum":3})");
    EXPECT_EQ(response.node_id(), kTwo);
  }
  v1::InvokeRequest bytes;
  bytes.set_connection_id("amy");
  bytes.set_method("raw");
  bytes.set_data("\x05");
  Invoking raw(cluster_.node(3), bytes);
  const Frame::Invoke asked = amy->invokes().Next();
  EXPECT_EQ(asked.data(), "\x05");
  v1::OpenRequest answer;
  answer.mutable_answer()->set_call_id(asked.call_id());
  answer.mutable_answer()->set_data("\x06");
  amy->Send(answer);
  EXPECT_EQ(Good(raw.Await()).data(), "\x06");
}

TEST_F(InvokeTest, WhatTheClientSaysIsWrongReachesTheCaller) {
  const auto amy = Open(cluster_.node(2), "amy");
  Invoking invoking(cluster_.node(1), InvokeOf("amy", "fail"));
  v1::OpenRequest answer;
  answer.mutable_answer()->set_call_id(amy->invokes().Next().call_id());
  answer.mutable_answer()->mutable_error()->set_code(grpc::OUT_OF_RANGE);
  answer.mutable_answer()->mutable_error()->set_message("too far");
  (*answer.mutable_answer()->mutable_error()->mutable_metadata())["by"] = "7";
  amy->Send(answer);
  const grpc::Status status = invoking.Await().status;
  EXPECT_EQ(status.error_code(), grpc::OUT_OF_RANGE) << Describe(status);
  EXPECT_EQ(ReasonOf(status), "HANDLER_FAILED");
  EXPECT_EQ(status.error_message(), "too far");
  EXPECT_EQ(ErrorInfoOf(status).metadata().at("by"), "7");
  EXPECT_EQ(ErrorInfoOf(status).metadata().at("node_id"), kTwo);
}

TEST_F(InvokeTest, AClientThatDoesNotAnswerIsWaitedForAsLongAsTheCallerSays) {
  const auto amy = Open(cluster_.node(2), "amy");
  for (const int from : {1, 2}) {
    const absl::Time begun = absl::Now();
    const absl::Duration timeout = absl::Seconds(1);
    const auto late = Ask(cluster_.node(from), &Connections::Invoke, InvokeOf("amy", "think", "[]", timeout));
    EXPECT_EQ(ReasonOf(late.status), "RPC_TIMEOUT") << Describe(late.status);
    EXPECT_GE(absl::Now() - begun, timeout);
    EXPECT_LT(absl::Now() - begun, timeout + absl::Milliseconds(500));
    // Its answer is nobody's, and does no harm.
    amy->Answer(amy->invokes().Next().call_id(), "1");
  }
  Invoking next(cluster_.node(1), InvokeOf("amy", "think"));
  amy->Answer(amy->invokes().Next().call_id(), "2");
  EXPECT_EQ(ToJson(Good(next.Await()).result()), "2");
}

TEST_F(InvokeTest, AClientThatGoesMeanwhileEndsTheQuestionAtOnce) {
  for (const int from : {1, 2}) {
    for (const bool quits : {false, true}) {
      const auto amy = Open(cluster_.node(2), absl::StrCat("amy-", from, quits));
      Invoking invoking(cluster_.node(from), InvokeOf(absl::StrCat("amy-", from, quits), "think"));
      amy->invokes().Next();
      const absl::Time gone = absl::Now();
      quits ? static_cast<void>(amy->Done("quit")) : amy->HangUp();
      const grpc::Status status = invoking.Await().status;
      EXPECT_LT(absl::Now() - gone, absl::Milliseconds(500));
      EXPECT_EQ(ReasonOf(status), "CONNECTION_NOT_FOUND") << Describe(status);
      EXPECT_EQ(ErrorInfoOf(status).metadata().at("asked"), "true");
    }
  }
}

using ConnectionMethodsTest = ConnectionMovesTest;

TEST_F(ConnectionMethodsTest, WhatApplicationsOfferForConnectionsIsAskedWithTheirDetails) {
  const AppHost app(cluster_.node(3),
                    {{"connection/greet", Echoing()}, {"connection/fail", [](const AppHost::Frame::Call&) {
                                                         return ErrorOf(grpc::ABORTED, "no luck");
                                                       }}});
  const auto amy = Open(cluster_.node(2), "amy");
  Good(Ask(cluster_.node(1), &Connections::Apply, ApplyOf("amy", "set", R"(["role", "guest"])")));
  for (const Node& node : cluster_.nodes()) {
    const auto response = Good(Ask(node, &Connections::Apply, ApplyOf("amy", "greet", R"([["hi"], 2])")));
    EXPECT_EQ(ToJson(response.result()), R"(["hi"])");
    EXPECT_EQ(response.connection().node_id(), kTwo);
    const AppHost::Frame::Call call = app.calls().Next();
    EXPECT_EQ(call.scope(), AppHost::Frame::SCOPE_CONNECTION);
    EXPECT_EQ(call.method(), "greet");
    EXPECT_EQ(call.args().values_size(), 2);
    EXPECT_EQ(call.connection_id(), "amy");
    EXPECT_EQ(call.connection().node_id(), kTwo);
    EXPECT_EQ(ToJson(call.connection().attributes().at("role")), "\"guest\"");
  }
  const grpc::Status failed = Ask(cluster_.node(1), &Connections::Apply, ApplyOf("amy", "fail")).status;
  EXPECT_EQ(failed.error_code(), grpc::ABORTED) << Describe(failed);
  EXPECT_EQ(ReasonOf(failed), "HANDLER_FAILED");
  EXPECT_EQ(failed.error_message(), "no luck");
  const grpc::Status missing = Ask(cluster_.node(1), &Connections::Apply, ApplyOf("amy", "nobody's")).status;
  EXPECT_EQ(ReasonOf(missing), "METHOD_NOT_FOUND") << Describe(missing);
  // They are for connections, and nobody calls them otherwise.
  EXPECT_EQ(Call(cluster_.node(3), Request("greet")).reason(), "METHOD_NOT_FOUND");
  EXPECT_NE(Call(cluster_.node(3), Request("connection/greet")).code(), grpc::OK);
}

TEST_F(ConnectionMethodsTest, AMethodMayChangeTheConnectionThatItIsAskedAbout) {
  std::optional<grpc::Status> set;
  const AppHost app(cluster_.node(3), {{"connection/promote", [&](const AppHost::Frame::Call& call) {
                                          set = Ask(cluster_.node(1), &Connections::Apply,
                                                    ApplyOf(call.connection_id(), "set", R"(["role", "chief"])"))
                                                    .status;
                                          return ResultOf("true");
                                        }}});
  const auto amy = Open(cluster_.node(2), "amy");
  const auto response = Good(Ask(cluster_.node(2), &Connections::Apply, ApplyOf("amy", "promote")));
  ASSERT_TRUE(set.has_value());
  EXPECT_TRUE(set->ok()) << Describe(*set);
  EXPECT_EQ(ToJson(response.connection().attributes().at("role")), "\"chief\"");
}

}  // namespace
}  // namespace actioncluster::cluster

// What is under way with a connection when it is taken over, leaves, or is not welcomed yet.
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/host_client.h"
#include "tests/integration/server/local_node.h"
#include "tests/integration/server/open_client.h"

namespace actioncluster {
namespace {

using Welcome = v1::OpenResponse::Welcome;

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0) details.details(0).UnpackTo(&info);
  return info;
}

// A Broadcast for a connection that goes on meanwhile.
class Saying {
 public:
  Saying(LocalNode& node, const std::string& room, const std::string& from, const std::string& data)
      : thread_([this, &node, room, from, data] {
          grpc::ClientContext context;
          context.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
          v1::BroadcastRequest request;
          request.set_room(room);
          request.set_from_connection_id(from);
          request.set_data(data);
          request.mutable_timeout()->set_seconds(15);
          v1::BroadcastResponse response;
          status_ = node.chat().Broadcast(&context, request, &response);
        }) {}
  ~Saying() { Await(); }
  const grpc::Status& Await() {
    if (thread_.joinable()) thread_.join();
    return status_;
  }

 private:
  grpc::Status status_;
  std::thread thread_;
};

// What a node hears of rooms, after its connections have.
class Hearing : public RoomFeed::Listener {
 public:
  void OnSaying(const RoomFeed::Incoming&) override { ++said_; }
  int said() const { return said_; }

 private:
  std::atomic<int> said_ = 0;
};

class ConnectionTurnsTest : public ::testing::Test {
 protected:
  ConnectionTurnsTest() {
    node_.io().Run([this] { node_.rooms().room_feed.AddListener(&hearing_); });
  }
  void SayMany(const std::string& room, int count) {
    constexpr int kAtOnce = 500;
    for (int i = 0; i < count;) {
      const fakes::Waiter<absl::StatusOr<RoomSaid>> said;
      const int till = std::min(count, i + kAtOnce);
      node_.io().Run([&] {
        for (int j = i; j < till; ++j) {
          RoomSaying saying{.from = "", .content = {.kind = Content::Kind::kBytes, .body = absl::StrCat(j)}};
          node_.rooms().room_store.Say(room, std::move(saying), said.Callback());
        }
      });
      for (; i < till; ++i) ASSERT_TRUE(said.Next().ok());
    }
    ASSERT_TRUE(AwaitThat([&] { return hearing_.said() >= count; }));
  }

  fakes::RedisServer redis_;
  Hearing hearing_;
  LocalNode node_{redis_.endpoint()};
  LocalNode other_{redis_.endpoint()};
};

TEST_F(ConnectionTurnsTest, WhatWaitsForAHookThatGoesIsDeliveredOnceAndInOrderHoweverMuchItIs) {
  constexpr int kSaid = 9'999;
  CreateRoom(node_, "hall");
  HostClient amy(node_, "amy");
  ASSERT_TRUE(amy.Verb("roomAdd", R"(["hall"])").has_result());
  HostApplication app(node_, "hook/say.deliver");
  ASSERT_NO_FATAL_FAILURE(SayMany("hall", kSaid));
  app.Approve(app.asked().Next());
  app.Detach();
  for (int i = 0; i < kSaid; ++i) ASSERT_EQ(amy.NextText(), absl::StrCat(i));
  Broadcast(node_, "hall", "last");
  EXPECT_EQ(amy.NextText(), "last");
}

TEST_F(ConnectionTurnsTest, WhoLeavesWhileAHookJudgesWhatItWouldHearHearsNothingOfIt) {
  CreateRoom(node_, "hall");
  HostClient amy(node_, "amy");
  ASSERT_TRUE(amy.Verb("roomAdd", R"(["hall"])").has_result());
  HostApplication app(node_, "hook/say.deliver");
  ASSERT_NO_FATAL_FAILURE(SayMany("hall", 100));
  const HostApplication::Asked asked = app.asked().Next();
  ASSERT_TRUE(amy.Verb("roomLeave", R"(["hall"])").has_result());
  ASSERT_TRUE(amy.Verb("roomAdd", R"(["hall"])").has_result());
  app.Approve(asked);
  Broadcast(node_, "hall", "new");
  const HostApplication::Asked next = app.asked().Next();
  EXPECT_EQ(next.call.arguments.body, "new") << "nobody waits for a verdict on the others";
  app.Approve(next);
  EXPECT_EQ(amy.NextText(), "new");
  EXPECT_EQ(amy.frames().size(), 0u);
  // Likewise when the whole connection goes.
  Broadcast(node_, "hall", "unheard");
  const HostApplication::Asked late = app.asked().Next();
  amy.Detach(/*finished=*/true);
  app.Approve(late);
  EXPECT_EQ(amy.frames().size(), 0u);
}

TEST_F(ConnectionTurnsTest, WhatHadBegunWhenAConnectionMovedIsNotDoneAgainAndWhatHadNotIsDoneWhereItIs) {
  CreateRoom(node_, "hall", 100);
  HostApplication app(other_, "hook/say.receive");
  ASSERT_TRUE(AwaitThat([this] {
    return node_.io().Run(
        [this] { return !node_.rooms().membership.directory().Offering("hook/say.receive").empty(); });
  }));
  HostClient amy(node_, HelloOf("amy"));
  const Welcome welcome = amy.AwaitWelcome();
  ASSERT_TRUE(amy.Verb("roomAdd", R"(["hall"])").has_result());
  Saying begun(other_, "hall", "amy", "begun");
  const HostApplication::Asked asked = app.asked().Next();
  EXPECT_EQ(asked.call.arguments.body, "begun");
  Saying waiting(other_, "hall", "amy", "waiting");
  // It is on its way, behind the other.
  ASSERT_TRUE(AwaitThat([this] { return other_.io().Run([this] { return other_.rooms().rpc.waiting() >= 2; }); }));
  HostClient back(other_, Resuming(welcome));
  EXPECT_TRUE(back.AwaitWelcome().resumed());
  const grpc::Status& lost = begun.Await();
  EXPECT_EQ(InfoOf(lost).reason(), "CONNECTION_NOT_FOUND") << lost.error_message();
  EXPECT_EQ(InfoOf(lost).metadata().count("asked"), 1u);
  app.Approve(asked);
  const HostApplication::Asked again = app.asked().Next();
  EXPECT_EQ(again.call.arguments.body, "waiting") << "nobody is asked again of the other";
  app.Approve(again);
  EXPECT_TRUE(waiting.Await().ok()) << waiting.Await().error_message();
  EXPECT_EQ(back.NextText(), "waiting");
  EXPECT_EQ(app.asked().size(), 0u);
  EXPECT_EQ(*redis_.Command({"XLEN", node_.rooms().keys.RoomHistory("hall")}).view().Integer(), 1);
}

TEST_F(ConnectionTurnsTest, AClientHasOnlySoMuchToAnswerAndWhatItDoesNotAnswerInTimeMakesRoomForMore) {
  constexpr int kMost = 256;
  const HostClient amy(node_, "amy");
  v1::InvokeRequest request;
  request.set_connection_id("amy");
  request.set_method("ask");
  const fakes::Waiter<absl::StatusOr<CallResult>> answered;
  const auto invoke = [&](absl::Duration timeout) {
    node_.rooms().rpc.Call({.method = "node.connection.invoke",
                            .arguments = {.kind = Content::Kind::kBytes, .body = request.SerializeAsString()},
                            .target = NodeOfConnection{"amy"},
                            .deadline = MonotonicNow() + timeout},
                           answered.Callback());
  };
  node_.io().Run([&] {
    for (int i = 0; i < kMost; ++i) invoke(absl::Seconds(1));
    invoke(fakes::kPatience);
  });
  EXPECT_EQ(MetadataOf(answered.Next().status()).at("limit"), "invokes") << "before any of the others ends";
  for (int i = 0; i < kMost; ++i) EXPECT_EQ(ReasonOf(answered.Next().status()), v1::ERROR_REASON_RPC_TIMEOUT);
  node_.io().Run([&] { invoke(fakes::kPatience); });
  for (int i = 0; i <= kMost; ++i) EXPECT_TRUE(amy.frames().Next().has_invoke());
}

TEST_F(ConnectionTurnsTest, WhoseConnectionIsTakenOverIsToldSoAlsoIfTheTakerHasGoneAlready) {
  HostClient amy(node_, HelloOf("amy"));
  const Welcome welcome = amy.AwaitWelcome();
  for (LocalNode* taker : {&other_, &node_}) {
    HostClient old(node_, taker == &node_ ? Resuming(welcome) : HelloOf("bob"));
    const v1::OpenRequest::Hello hello = Resuming(old.AwaitWelcome());
    taker->io().Run([&] {
      const auto stream = std::make_shared<FakeStream>();
      taker->rooms().connections.Detach(taker->rooms().connections.Attach(stream, hello, "127.0.0.1:1"), false);
    });
    const v1::OpenResponse goodbye = old.frames().Next();
    EXPECT_EQ(goodbye.goodbye().reason(), "taken_over") << goodbye.ShortDebugString();
    EXPECT_TRUE(old.AwaitEnd().ok());
    // It is kept for whoever shows the token.
    const HostClient back(other_, hello);
    EXPECT_TRUE(back.AwaitWelcome().resumed());
  }
  EXPECT_EQ(amy.frames().Next().goodbye().reason(), "taken_over");
}

TEST_F(ConnectionTurnsTest, WhatIsSentToAConnectionThatIsStillEnteringItsRoomsComesAfterItsWelcome) {
  CreateRoom(node_, "hall");
  v1::OpenRequest hello;
  {
    HostClient amy(node_, HelloOf("amy"));
    *hello.mutable_hello() = Resuming(amy.AwaitWelcome());
    ASSERT_TRUE(amy.Verb("roomAdd", R"(["hall"])").has_result());
  }
  v1::ApplyRequest direct;
  direct.set_connection_id("amy");
  direct.set_method("sendMessage");
  direct.set_data("early");
  v1::InvokeRequest invoke;
  invoke.set_connection_id("amy");
  invoke.set_method("ask");
  const fakes::Waiter<absl::StatusOr<CallResult>> applied;
  std::atomic<bool> entering = false;
  // As soon as it has its id, which is some commands before it is in the room.
  std::function<void()> look = [&] {
    Rooms& rooms = node_.rooms();
    if (!rooms.connections.Holds("amy")) return node_.io().loop().Post([&] { look(); });
    for (const auto& [method, body] : {std::pair("node.connection.apply", direct.SerializeAsString()),
                                       std::pair("node.connection.invoke", invoke.SerializeAsString())}) {
      rooms.rpc.Call({.method = method,
                      .arguments = {.kind = Content::Kind::kBytes, .body = body},
                      .target = NodeOfConnection{"amy"},
                      .deadline = MonotonicNow() + fakes::kPatience},
                     applied.Callback());
    }
    entering = true;
  };
  OpenClient back(node_.NewChannel());
  node_.io().loop().Post([&] { look(); });
  back.Send(hello);
  const v1::OpenResponse first = back.Next();
  ASSERT_TRUE(first.has_welcome()) << first.ShortDebugString();
  EXPECT_TRUE(first.welcome().resumed());
  EXPECT_EQ(back.Next().direct().data(), "early");
  EXPECT_EQ(back.Next().invoke().method(), "ask");
  EXPECT_TRUE(entering);
  EXPECT_TRUE(applied.Next().ok());
}

}  // namespace
}  // namespace actioncluster

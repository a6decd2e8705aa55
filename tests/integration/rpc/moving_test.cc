// Calls of a method whose node drains: it may be offered elsewhere in a moment.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/rpc/moving_methods.h"
#include "gtest/gtest.h"
#include "tests/integration/rpc/node_stack.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(20);
constexpr absl::Duration kSoon = absl::Seconds(2);

class RpcMovingTest : public ::testing::Test {
 protected:
  // `caller_` knows that m was offered by a node that drains, and is offered by nobody now.
  RpcMovingTest() {
    former_->SetDraining();
    caller_->Refresh();
    former_->Withdraw();
    caller_->Refresh();
  }

  std::unique_ptr<NodeStack> Node(const std::string& method, FakeMethods::Handler handler) {
    return std::make_unique<NodeStack>(redis_, OnlyMethod(method, std::move(handler)));
  }

  fakes::RedisServer redis_;
  const std::unique_ptr<NodeStack> caller_ =
      std::make_unique<NodeStack>(redis_, std::map<std::string, FakeMethods::Handler>());
  const std::unique_ptr<NodeStack> former_ = Node("m", Returns("former"));
};

TEST_F(RpcMovingTest, WhoeverAsksByMethodWaitsUntilItIsOfferedAgain) {
  const auto any = caller_->StartCall("m", AnyNode{}, kTimeout);
  const auto first = caller_->StartCall("m", AllNodes{}, kTimeout);
  const auto all = caller_->StartCallAll("m", kTimeout);
  const auto next = Node("m", Returns("next"));
  EXPECT_EQ(any.Next()->result.body, "next");
  EXPECT_EQ(first.Next()->result.body, "next");
  EXPECT_EQ(all.Next().shares.at(next->self().id)->body, "next");
}

TEST_F(RpcMovingTest, WhoAsksACertainNodeOrForWhatDoesNotMoveHearsAtOnceThatItIsNotThere) {
  const absl::Time begun = MonotonicNow();
  EXPECT_EQ(ReasonOf(caller_->Call("m", OneNode{former_->self().id}, kTimeout).status()),
            v1::ERROR_REASON_METHOD_NOT_FOUND);
  former_->Claim("c-1");
  EXPECT_EQ(ReasonOf(caller_->Call("m", NodeOfConnection{"c-1"}, kTimeout).status()),
            v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(caller_->Call("never there", AnyNode{}, kTimeout).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_LT(MonotonicNow() - begun, kSoon);
}

TEST_F(RpcMovingTest, NobodyWaitsLongerThanTheLimitHoweverMuchChangesMeanwhile) {
  const absl::Time begun = MonotonicNow();
  const auto waiting = caller_->StartCall("m", AnyNode{}, kTimeout);
  // Each is heard by the caller, and is another word of a node that drains.
  for (int i = 0; waiting.size() == 0 && MonotonicNow() - begun < kTimeout; ++i) {
    former_->Announce({i % 2 == 0 ? "another" : "and another"});
  }
  EXPECT_EQ(ReasonOf(waiting.Next().status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_GE(MonotonicNow() - begun, MovingMethods::kLimit);
  EXPECT_LT(MonotonicNow() - begun, MovingMethods::kLimit + kSoon);
}

TEST_F(RpcMovingTest, EachWaitsForItsOwnTime) {
  const absl::Time begun = MonotonicNow();
  const auto early = caller_->StartCall("m", AnyNode{}, kTimeout);
  for (int i = 0; MonotonicNow() - begun < MovingMethods::kLimit / 2; ++i) {
    former_->Announce({i % 2 == 0 ? "another" : "and another"});
  }
  const absl::Time begun_late = MonotonicNow();
  const auto late = caller_->StartCall("m", AnyNode{}, kTimeout);
  EXPECT_EQ(ReasonOf(early.Next().status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(late.Next().status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_GE(MonotonicNow() - begun_late, MovingMethods::kLimit);
}

TEST_F(RpcMovingTest, TheSuccessorOfANodeIsWaitedForHoweverLongThatHasDrained) {
  former_->Do([&] {
    former_->methods().handlers["m"] = Declines(BackplaneUnavailable("leaving"));
    former_->methods().handlers["node.x"] = Returns("still here");
  });
  former_->Announce({"m"});
  caller_->Refresh();
  absl::SleepFor(MovingMethods::kLimit);  // From now on its drain is no news.
  const OneNode target{.node_id = former_->self().id, .or_successor = true};
  const auto call = caller_->StartCall("m", target, kTimeout);
  EXPECT_TRUE(caller_->Call("node.x", target, kTimeout).ok());  // Answered behind the decline.
  caller_->Refresh();
  EXPECT_EQ(call.size(), 0u);
  former_->Leave();
  const auto next = Node("m", Returns("next"));
  ASSERT_EQ(next->self().id, target.node_id);
  const absl::StatusOr<CallResult> result = call.Next();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->result.body, "next");
}

TEST_F(RpcMovingTest, WhoHasComeWhileOthersDeclinedIsAskedHoweverOftenThatHappens) {
  // Declines when it is told to.
  const auto keep = [](std::shared_ptr<FakeMethods::Done> kept) -> FakeMethods::Handler {
    return [kept](const IncomingCall&, FakeMethods::Done done) { *kept = std::move(done); };
  };
  const auto decline = [](NodeStack& node, const std::shared_ptr<FakeMethods::Done>& kept) {
    node.Do([&] {
      std::move (*kept)({.kind = Outcome::Kind::kDeclined, .result = {}, .error = BackplaneUnavailable("not now")});
    });
  };
  const auto of_one = std::make_shared<FakeMethods::Done>();
  const auto one = Node("m", keep(of_one));
  caller_->Refresh();
  const auto call = caller_->StartCall("m", AnyNode{}, kTimeout);
  one->methods().ran.Next();
  const auto of_two = std::make_shared<FakeMethods::Done>();
  const auto two = Node("m", keep(of_two));
  decline(*one, of_one);
  two->methods().ran.Next();
  const auto three = Node("m", Returns("three"));
  decline(*two, of_two);
  const absl::StatusOr<CallResult> result = call.Next();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->result.body, "three");
}

TEST_F(RpcMovingTest, ANodeThatDeclinedIsAskedAgainWhenItSaysWhatItOffersNow) {
  const auto next = Node("m", Declines(MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, "not yet")));
  caller_->Refresh();
  const auto waiting = caller_->StartCall("m", AnyNode{}, kTimeout);
  next->methods().ran.Next();
  next->Do([&] { next->methods().handlers["m"] = Returns("next"); });
  const absl::Time begun = MonotonicNow();
  for (int i = 0; waiting.size() == 0 && MonotonicNow() - begun < kTimeout; ++i) {
    next->Announce({"m", i % 2 == 0 ? "another" : "and another"});
  }
  const absl::StatusOr<CallResult> result = waiting.Next();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->result.body, "next");
}

}  // namespace
}  // namespace actioncluster

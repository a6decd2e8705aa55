#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "gtest/gtest.h"
#include "tests/integration/rpc/node_stack.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(20);
// A node's loss is known by the probes, not by its lease or the deadline. (Half a second, on a machine that does
// nothing else.)
constexpr absl::Duration kSoon = absl::Seconds(2);

class RpcFaultTest : public ::testing::Test {
 protected:
  std::unique_ptr<NodeStack> Node(const std::string& method, FakeMethods::Handler handler) {
    return std::make_unique<NodeStack>(redis_, OnlyMethod(method, std::move(handler)));
  }
  std::unique_ptr<NodeStack> Caller() {
    return std::make_unique<NodeStack>(redis_, std::map<std::string, FakeMethods::Handler>());
  }

  // Until Redis has seen that the connections of a boot are closed.
  void AwaitDeaf(const std::string& boot) {
    const std::string channel = Keys(fakes::kNamespace).ChannelBoot(boot);
    const absl::Time give_up = MonotonicNow() + fakes::kPatience;
    while (redis_.Command({"PUBSUB", "NUMSUB", channel}).view()[1].Integer().value_or(-1) != 0) {
      ASSERT_LT(MonotonicNow(), give_up);
    }
  }

  fakes::RedisServer redis_;
};

TEST_F(RpcFaultTest, NodeThatDiesWithACallEndsItLongBeforeItsLease) {
  const auto a = Caller();
  auto b = Node("m", Hangs());
  a->Refresh();
  const auto waiter = a->StartCall("m", AllNodes{}, kTimeout);
  b->methods().ran.Next();
  const std::string name = b->self().id;
  const absl::Time start = MonotonicNow();
  b.reset();
  const absl::Status status = waiter.Next().status();
  EXPECT_LT(MonotonicNow() - start, kSoon);
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_EQ(status.message(), "node " + name + " was lost while it ran the call");
  EXPECT_EQ(MetadataOf(status)["node_id"], name);
}

TEST_F(RpcFaultTest, NodeThatIsDeadAlreadyIsOutOfReachAtOnceAndAnyGoesOn) {
  const auto a = Caller();
  auto b = Node("m", Returns("b"));
  const auto c = Node("m", Returns("c"));
  a->Refresh();
  const NodeRef self = b->self();
  const std::string name = self.id;
  b.reset();
  AwaitDeaf(self.boot);
  const absl::Time start = MonotonicNow();
  const absl::Status status = a->Call("m", OneNode{name}, kTimeout).status();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(a->Notify("m", OneNode{name}).status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  for (int i = 0; i < 10; ++i) {
    const absl::StatusOr<CallResult> result = a->Call("m", AnyNode{}, kTimeout);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->result.body, "c");
    EXPECT_EQ(*a->Notify("m", AnyNode{}), 1);
  }
  const NodeStack::All all = a->CallAll("m", kTimeout);
  EXPECT_TRUE(all.end.ok()) << all.end;
  EXPECT_EQ(all.shares.at(c->self().id)->body, "c");
  EXPECT_EQ(ReasonOf(all.shares.at(name).status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_LT(MonotonicNow() - start, kSoon);
}

TEST_F(RpcFaultTest, NodeThatLeavesEndsItsShares) {
  const auto a = Caller();
  const auto b = Node("m", Hangs());
  a->Refresh();
  const auto waiter = a->StartCall("m", AllNodes{}, kTimeout);
  b->methods().ran.Next();
  b->Leave();
  EXPECT_EQ(ReasonOf(waiter.Next().status()), v1::ERROR_REASON_HANDLER_FAILED);
}

TEST_F(RpcFaultTest, RunnersHearThatTheCallerIsGone) {
  auto a = Caller();
  const auto b = Node("m", Hangs());
  a->Refresh();
  const auto waiter = a->StartCall("m", AllNodes{}, kTimeout);
  b->methods().ran.Next();
  const NodeRef caller = a->self();
  a->Leave();
  EXPECT_EQ(b->methods().callers_lost.Next(), caller);
  a.reset();
  EXPECT_EQ(ReasonOf(waiter.Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

TEST_F(RpcFaultTest, WithdrawalLeavesACallThatTheNodeHas) {
  const auto a = Caller();
  FakeMethods::Done kept;
  const auto b = Node("m", [&kept](const IncomingCall&, FakeMethods::Done done) { kept = std::move(done); });
  a->Refresh();
  const auto waiter = a->StartCall("m", AllNodes{}, kTimeout);
  b->methods().ran.Next();
  b->Withdraw();
  a->Refresh();
  EXPECT_EQ(ReasonOf(a->Call("m", AllNodes{}, kTimeout).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(waiter.size(), 0u);
  b->Do([&] {
    std::move(kept)({.kind = Outcome::Kind::kResult, .result = {Content::Kind::kBytes, "after all"}, .error = {}});
  });
  const absl::StatusOr<CallResult> result = waiter.Next();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->result.body, "after all");
}

TEST_F(RpcFaultTest, LossOfRedisEndsCallsAtOnceAndTheyWorkAgainSoonAfterItIsBack) {
  const auto a = Caller();
  const auto b = Node("m", Hangs());
  const auto c = Node("n", Returns("c"));
  a->Refresh();
  const auto waiter = a->StartCall("m", AllNodes{}, kTimeout);
  b->methods().ran.Next();
  absl::Time start = MonotonicNow();
  redis_.Kill();
  EXPECT_EQ(ReasonOf(waiter.Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(a->Call("n", AllNodes{}, kTimeout).status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_LT(MonotonicNow() - start, kSoon);

  redis_.Start();
  start = MonotonicNow();
  absl::StatusOr<CallResult> result = a->Call("n", AllNodes{}, kTimeout);
  while (!result.ok() && MonotonicNow() - start < fakes::kPatience) {
    ASSERT_EQ(ReasonOf(result.status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE)
        << "nobody may be said not to exist while others come back: " << result.status();
    std::this_thread::yield();
    result = a->Call("n", AllNodes{}, kTimeout);
  }
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_LT(MonotonicNow() - start, kSoon);
  EXPECT_EQ(result->result.body, "c");
}

TEST_F(RpcFaultTest, WhatThisNodeRunsItselfNeedsNoRedis) {
  const auto a = Node("m", Returns("a"));
  redis_.Kill();
  EXPECT_EQ(a->Call("m", AnyNode{}, kTimeout)->result.body, "a");
}

TEST_F(RpcFaultTest, CallThatComesAfterItsDeadlineIsNotRun) {
  const auto a = Caller();
  const auto b = Node("m", Returns("b"));
  a->Refresh();
  EXPECT_TRUE(a->Call("m", AllNodes{}, kTimeout).ok());
  b->methods().ran.Next();
  // The call is on its way while Redis stands still.
  redis_.Pause();
  const absl::Status status = a->Call("m", OneNode{b->self().id}, absl::Seconds(1)).status();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_RPC_TIMEOUT);
  absl::SleepFor(absl::Milliseconds(500));  // As long as Redis stands still: the two nodes' clocks differ by less.
  redis_.Resume();
  const absl::Time start = MonotonicNow();
  while (b->rpc().counters().refused_late == 0 && MonotonicNow() - start < fakes::kPatience) std::this_thread::yield();
  EXPECT_EQ(b->rpc().counters().refused_late, 1u);
  EXPECT_EQ(b->methods().ran.size(), 0u);
}

TEST_F(RpcFaultTest, EveryCallEndsExactlyOnceWhenRpcIsDestroyedUnderLoad) {
  const auto a = Node("m", Hangs());
  const auto b = Node("m", Hangs());
  a->Refresh();
  std::atomic<int> begun{0};
  const fakes::Waiter<absl::Status> ends;
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int n = 0; n < 250; ++n) {
        a->rpc().Call(
            {.method = "m", .arguments = {}, .target = AllNodes{}, .deadline = MonotonicNow() + absl::Seconds(20)},
            [ends](const absl::StatusOr<CallResult>& result) { ends.Add(result.status()); });
        ++begun;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  a->DestroyRpc();
  EXPECT_EQ(ends.size(), static_cast<size_t>(begun.load()));
  for (int i = begun; i > 0; --i) EXPECT_EQ(ReasonOf(ends.Next()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

}  // namespace
}  // namespace actioncluster

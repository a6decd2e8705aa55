#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/rpc/messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/rpc/node_stack.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// No test may need it: what is missing is known at once, not at the deadline.
constexpr absl::Duration kTimeout = absl::Seconds(20);

class RpcCallTest : public ::testing::Test {
 protected:
  using Handlers = std::map<std::string, FakeMethods::Handler>;

  template <class... Pairs>
  std::unique_ptr<NodeStack> Node(Pairs... pairs) {
    Handlers handlers;
    (handlers.emplace(std::move(pairs)), ...);
    return std::make_unique<NodeStack>(redis_, std::move(handlers));
  }

  fakes::RedisServer redis_;
};

using Offer = std::pair<std::string, FakeMethods::Handler>;

TEST_F(RpcCallTest, FirstReplyIsTheResultAndSaysWhoseItIs) {
  const auto a = Node();
  const auto b = Node(Offer("m", Hangs()));
  const auto c = Node(Offer("m", Returns("c")));
  a->Refresh();
  const absl::StatusOr<CallResult> result = a->Call("m", AllNodes{}, kTimeout);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->node_id, c->self().id);
  EXPECT_EQ(result->result, (Content{Content::Kind::kBytes, "c"}));
  const IncomingCall call = c->methods().ran.Next();
  EXPECT_EQ(call.caller, a->self());
  EXPECT_EQ(call.arguments, (Content{Content::Kind::kBytes, "arguments"}));
  EXPECT_GT(call.deadline, MonotonicNow() + kTimeout / 2);
  EXPECT_EQ(b->methods().ran.Next().id, call.id);
}

TEST_F(RpcCallTest, EveryNodeThatOffersTheMethodHasItsShareAlsoThisOne) {
  const auto a = Node(Offer("m", Returns("a")));
  const auto b = Node(Offer("m", Fails(MakeError(v1::ERROR_REASON_HANDLER_FAILED, "no"))));
  const auto c = Node(Offer("m", Returns("c")));
  const auto d = Node();
  a->Refresh();
  const NodeStack::All all = a->CallAll("m", kTimeout);
  EXPECT_TRUE(all.end.ok()) << all.end;
  ASSERT_EQ(all.shares.size(), 3u);
  EXPECT_EQ(all.shares.at(a->self().id)->body, "a");
  EXPECT_EQ(all.shares.at(c->self().id)->body, "c");
  const absl::Status error = all.shares.at(b->self().id).status();
  EXPECT_EQ(ReasonOf(error), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_THAT(MetadataOf(error), ElementsAre(Pair("node_id", b->self().id)));
}

TEST_F(RpcCallTest, NodesOwnMethodsAreCalledOnEveryNode) {
  const auto a = Node();
  const auto b = Node();
  a->Refresh();
  const NodeStack::All all = a->CallAll("node.ping", kTimeout);
  EXPECT_TRUE(all.end.ok()) << all.end;
  EXPECT_EQ(all.shares.size(), 2u);
  EXPECT_EQ(b->methods().ran.Next().method, "node.ping");
}

TEST_F(RpcCallTest, AnyPrefersThisNodeAndGoesOnWhenOneDeclines) {
  const auto a = Node(Offer("own", Returns("a")), Offer("m", Declines(BackplaneUnavailable("draining"))));
  const auto b = Node(Offer("own", Returns("b")), Offer("m", Returns("b")));
  a->Refresh();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(a->Call("own", AnyNode{}, kTimeout)->result.body, "a");
  EXPECT_EQ(a->Call("m", AnyNode{}, kTimeout)->result.body, "b");
}

TEST_F(RpcCallTest, WhenAllDeclineTheWeightiestReasonIsTheAnswer) {
  const auto a = Node();
  const auto b = Node(Offer("m", Declines(MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, "not here"))));
  const auto c = Node(Offer("m", Declines(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "full"))));
  a->Refresh();
  size_t asked = 0;
  for (const CallTarget& target : {CallTarget(AllNodes{}), CallTarget(AnyNode{})}) {
    EXPECT_EQ(ReasonOf(a->Call("m", target, kTimeout).status()), v1::ERROR_REASON_LIMIT_EXCEEDED);
    EXPECT_EQ(b->methods().ran.size(), ++asked) << "once for each call";
    EXPECT_EQ(c->methods().ran.size(), asked);
  }
}

TEST_F(RpcCallTest, OneNodeIsAskedByItsName) {
  const auto a = Node(Offer("m", Returns("a")));
  const auto b = Node(Offer("m", Returns("b")));
  EXPECT_EQ(a->Call("m", OneNode{b->self().id}, kTimeout)->result.body, "b");
  EXPECT_EQ(a->Call("m", OneNode{a->self().id}, kTimeout)->result.body, "a");
}

TEST_F(RpcCallTest, ConnectionIsCalledWhereItLives) {
  const auto a = Node(Offer("m", Returns("a")));
  const auto b = Node(Offer("m", Returns("b")));
  b->Claim("c-1");
  const absl::StatusOr<CallResult> result = a->Call("m", NodeOfConnection{"c-1"}, kTimeout);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->result.body, "b");
  EXPECT_EQ(b->methods().ran.Next().connection_id, "c-1");
  a->Claim("c-1");
  EXPECT_EQ(a->Call("m", NodeOfConnection{"c-1"}, kTimeout)->result.body, "a");
}

TEST_F(RpcCallTest, ConnectionThatIsHeldHereIsCalledHereAndRedisIsNotAsked) {
  const auto a = Node(Offer("m", Returns("a")));
  const auto b = Node(Offer("m", Returns("b")));
  b->Claim("c-1");
  a->Do([&] { a->methods().held.insert("c-1"); });
  EXPECT_EQ(a->Call("m", NodeOfConnection{"c-1"}, kTimeout)->result.body, "a");
  EXPECT_EQ(a->methods().ran.Next().connection_id, "c-1");
  redis_.Pause();
  EXPECT_EQ(a->Call("m", NodeOfConnection{"c-1"}, kTimeout)->result.body, "a");
  redis_.Resume();
  a->Do([&] { a->methods().held.clear(); });
  EXPECT_EQ(a->Call("m", NodeOfConnection{"c-1"}, kTimeout)->result.body, "b");
}

TEST_F(RpcCallTest, ConnectionThatItsHolderNoLongerHasIsNotFoundAtOnce) {
  const absl::Status gone = MakeError(v1::ERROR_REASON_CONNECTION_NOT_FOUND, "it has just gone");
  const auto a = Node(Offer("node.x", Declines(gone)));
  const auto b = Node(Offer("node.x", Declines(gone)));
  const absl::Time start = MonotonicNow();
  for (NodeStack* holder : {a.get(), b.get()}) {
    holder->Claim("c-1");
    const absl::Status status = a->Call("node.x", NodeOfConnection{"c-1"}, kTimeout).status();
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_CONNECTION_NOT_FOUND) << status;
    EXPECT_THAT(MetadataOf(status), ElementsAre(Pair("node_id", holder->self().id)));
  }
  EXPECT_LT(MonotonicNow() - start, kTimeout / 10);
}

TEST_F(RpcCallTest, WhatACallIsAboutReachesTheRunnerHereAndElsewhere) {
  const auto a = Node(Offer("m", Returns("a")));
  const auto b = Node(Offer("m", Returns("b")));
  for (NodeStack* runner : {a.get(), b.get()}) {
    const fakes::Waiter<absl::StatusOr<CallResult>> waiter;
    a->rpc().Call({.method = "m",
                   .arguments = {},
                   .target = OneNode{runner->self().id},
                   .deadline = MonotonicNow() + kTimeout,
                   .subject = std::string("about\0it", 8)},
                  waiter.Callback());
    EXPECT_TRUE(waiter.Next().ok());
    EXPECT_EQ(runner->methods().ran.Next().subject, std::string("about\0it", 8));
  }
}

TEST_F(RpcCallTest, WhatIsMissingIsSaidAtOnce) {
  const auto a = Node();
  auto b = Node(Offer("m", Returns("b")));
  b->Claim("left-behind");
  b->Claim("held");
  const absl::Time start = MonotonicNow();
  EXPECT_EQ(ReasonOf(a->Call("x", AllNodes{}, kTimeout).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a->Call("x", AnyNode{}, kTimeout).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a->CallAll("x", kTimeout).end), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a->Call("m", OneNode{"node-x"}, kTimeout).status()), v1::ERROR_REASON_NODE_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a->Call("x", OneNode{b->self().id}, kTimeout).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a->Call("x", NodeOfConnection{"held"}, kTimeout).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a->Call("m", NodeOfConnection{"none"}, kTimeout).status()), v1::ERROR_REASON_CONNECTION_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a->Notify("x", AllNodes{}).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  b->Leave();
  EXPECT_EQ(ReasonOf(a->Call("m", NodeOfConnection{"left-behind"}, kTimeout).status()),
            v1::ERROR_REASON_CONNECTION_NOT_FOUND);
  EXPECT_LT(MonotonicNow() - start, kTimeout / 10);
}

TEST_F(RpcCallTest, WhatIsSentToANodeAsItLeavesIsNotTakenForRun) {
  const auto a = Node();
  const auto b = Node(Offer("m", Returns("b")));
  a->Refresh();
  const OneNode target{b->self().id};
  std::vector<fakes::Waiter<absl::StatusOr<CallResult>>> calls;
  const auto call = [&](int count) {
    for (int i = 0; i < count; ++i) calls.push_back(a->StartCall("m", target, kTimeout));
  };
  call(100);
  EXPECT_TRUE(calls.front().Next().ok());
  std::thread leaving([&b] { b->Leave(); });
  call(1000);
  leaving.join();
  for (size_t i = 1; i < calls.size(); ++i) {
    const absl::Status status = calls[i].Next().status();
    EXPECT_NE(ReasonOf(status), v1::ERROR_REASON_HANDLER_FAILED) << status;
  }
  EXPECT_EQ(ReasonOf(a->Call("m", target, kTimeout).status()), v1::ERROR_REASON_NODE_NOT_FOUND);
}

TEST_F(RpcCallTest, NodeThatDoesNotServeCallsNobody) {
  const auto a = Node(Offer("m", Returns("a")));
  a->Leave();
  EXPECT_EQ(ReasonOf(a->Call("m", AllNodes{}, kTimeout).status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

TEST_F(RpcCallTest, NotificationRunsOnAllWithoutAReply) {
  const auto a = Node(Offer("m", Returns("a")));
  const auto b = Node(Offer("m", Returns("b")));
  const auto c = Node(Offer("m", Returns("c")));
  a->Refresh();
  const absl::StatusOr<int> sent = a->Notify("m", AllNodes{});
  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_EQ(*sent, 3);
  for (NodeStack* node : {a.get(), b.get(), c.get()}) EXPECT_TRUE(node->methods().ran.Next().notification);
  EXPECT_EQ(*a->Notify("m", OneNode{b->self().id}), 1);
  EXPECT_EQ(*a->Notify("m", AnyNode{}), 1);
  b->methods().ran.Next();
  a->methods().ran.Next();
  // Had a notification been answered, the reply would have come before this one.
  EXPECT_TRUE(a->Call("m", OneNode{b->self().id}, kTimeout).ok());
  EXPECT_EQ(a->rpc().counters().unmatched, 0u);
}

TEST_F(RpcCallTest, LargeBodiesPassAndTooLargeOnesAreRefused) {
  const auto a = Node();
  const auto b =
      Node(Offer("m", Returns(std::string(4 << 20, 'x'))), Offer("huge", Returns(std::string(5 << 20, 'x'))));
  EXPECT_EQ(a->Call("m", OneNode{b->self().id}, kTimeout)->result.body.size(), 4u << 20);
  EXPECT_EQ(ReasonOf(a->Call("huge", AllNodes{}, kTimeout).status()), v1::ERROR_REASON_LIMIT_EXCEEDED);
  // Together it is too much.
  const std::string half(kMaxMessageBytes / 2, 'x');
  for (const auto& [arguments, subject] : {std::pair(half + half, std::string()), std::pair(half, half)}) {
    const fakes::Waiter<absl::StatusOr<CallResult>> waiter;
    a->rpc().Call({.method = "m",
                   .arguments = {Content::Kind::kBytes, arguments},
                   .target = AllNodes{},
                   .deadline = MonotonicNow() + kTimeout,
                   .subject = subject},
                  waiter.Callback());
    const absl::Status refused = waiter.Next().status();
    EXPECT_EQ(ReasonOf(refused), v1::ERROR_REASON_LIMIT_EXCEEDED);
    EXPECT_FALSE(MetadataOf(refused)["limit"].empty());
  }
}

TEST_F(RpcCallTest, DeadlineNamesTheMissingNodesAndReachesTheRunner) {
  const auto a = Node();
  const auto b = Node(Offer("m", Hangs()));
  const auto c = Node(Offer("m", Returns("c")));
  const auto d = Node(Offer("m", Hangs()));
  a->Refresh();
  const NodeStack::All all = a->CallAll("m", absl::Milliseconds(700));
  EXPECT_EQ(ReasonOf(all.end), v1::ERROR_REASON_RPC_TIMEOUT);
  EXPECT_EQ(MetadataOf(all.end)["missing_nodes"], b->self().id + "," + d->self().id);
  EXPECT_EQ(all.shares.size(), 1u);
  EXPECT_LE(b->methods().ran.Next().deadline, MonotonicNow() + absl::Milliseconds(50));
  const absl::Status past = a->Call("m", AllNodes{}, absl::Milliseconds(-1)).status();
  EXPECT_EQ(ReasonOf(past), v1::ERROR_REASON_RPC_TIMEOUT);
}

TEST_F(RpcCallTest, CancelReachesTheRunnersAndEndsTheCallOnce) {
  const auto a = Node(Offer("m", Hangs()));
  const auto b = Node(Offer("m", Hangs()));
  a->Refresh();
  Rpc::CallId id = 0;
  const auto waiter = a->StartCall("m", AllNodes{}, kTimeout, &id);
  a->methods().ran.Next();
  b->methods().ran.Next();
  a->rpc().Cancel(id);
  a->rpc().Cancel(id);
  EXPECT_TRUE(absl::IsCancelled(waiter.Next().status()));
  EXPECT_EQ(a->methods().cancelled.Next(), id);
  EXPECT_EQ(b->methods().cancelled.Next(), id);
  EXPECT_EQ(a->rpc().waiting(), 0u);
  EXPECT_EQ(waiter.size(), 0u);
}

}  // namespace
}  // namespace actioncluster

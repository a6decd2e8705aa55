// A node has two connections to Redis, and others see nothing when one of them fails: it hears and cannot answer, or it has not heard.

#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_proxy.h"
#include "tests/integration/bus/bus_node.h"
#include "tests/integration/rpc/node_stack.h"

namespace actioncluster {
namespace {

using Mode = fakes::RedisProxy::Mode;

constexpr absl::Duration kTimeout = absl::Seconds(20);

class RpcOneWayTest : public ::testing::Test {
 protected:
  // The caller hears what the node does: so the node's channel has a listener in any case, and it is not taken for dead.
  RpcOneWayTest() {
    caller_.Listen(Keys(fakes::kNamespace).ChannelBoot(node_.self().boot));
    caller_.Refresh();
  }

  fakes::Waiter<absl::StatusOr<CallResult>> StartCall(absl::Duration timeout = kTimeout) {
    return caller_.StartCall("m", OneNode{node_.self().id}, timeout);
  }
  // One that the node has heard; it answers by Answer.
  fakes::Waiter<absl::StatusOr<CallResult>> StartHeardCall(absl::Duration timeout = kTimeout) {
    auto waiter = StartCall(timeout);
    node_.methods().ran.Next();
    return waiter;
  }
  // The first call of those that it has heard and not answered.
  void Answer(std::string result) {
    AnswerWith({.kind = Outcome::Kind::kResult, .result = {Content::Kind::kBytes, std::move(result)}, .error = {}});
  }
  void AnswerWith(Outcome outcome) {
    node_.Do([&] {
      std::move(answers_.front())(std::move(outcome));
      answers_.pop_front();
    });
  }
  void AwaitWell(bool well) {
    const absl::Time give_up = MonotonicNow() + fakes::kPatience;
    while (node_.IsWell() != well) {
      ASSERT_LT(MonotonicNow(), give_up);
      std::this_thread::yield();
    }
  }
  void AwaitUnsent(size_t count) {
    const absl::Time give_up = MonotonicNow() + fakes::kPatience;
    size_t unsent = 0;
    do {
      ASSERT_LT(MonotonicNow(), give_up);
      node_.Do([&] { unsent = node_.rpc().unsent(); });
    } while (unsent != count);
  }
  // The node knows of it when this returns, if it was well before.
  void Cut(fakes::RedisProxy& way) {
    way.SetMode(Mode::kCut);
    AwaitWell(false);
  }
  // What others send to the node meanwhile is lost.
  void LoseWhatIsSentBy(absl::FunctionRef<void()> send) {
    subscriber_.SetMode(Mode::kSilent);
    send();
    caller_.Refresh();  // Redis carries this out after what was sent.
    Cut(subscriber_);
    subscriber_.SetMode(Mode::kOpen);
  }

  fakes::RedisServer redis_;
  fakes::RedisProxy commands_{redis_.unix_path()};
  fakes::RedisProxy subscriber_{redis_.unix_path(), redis_.unix_path() + ".subscriber"};
  std::deque<FakeMethods::Done> answers_;  // Of the node's I/O thread.
  NodeStack node_{
      redis_,
      OnlyMethod("m", [this](const IncomingCall&, FakeMethods::Done done) { answers_.push_back(std::move(done)); }),
      {.commands = commands_.endpoint(), .subscriber = subscriber_.endpoint()}};
  NodeStack caller_{redis_, {}};
};

TEST_F(RpcOneWayTest, WhatANodeCouldNotAnswerItAnswersWhenItCan) {
  const auto before = StartHeardCall();
  Cut(commands_);
  Answer("at last");
  const auto meanwhile = StartHeardCall();
  Answer("too");
  commands_.SetMode(Mode::kOpen);
  const absl::StatusOr<CallResult> result = before.Next();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->result.body, "at last");
  EXPECT_EQ(meanwhile.Next()->result.body, "too");
}

TEST_F(RpcOneWayTest, WhatWaitsToBeAnsweredDoesNotWaitForTheNodeToHear) {
  const auto waiter = StartHeardCall();
  Cut(subscriber_);
  commands_.SetMode(Mode::kCut);
  Answer("result");
  AwaitUnsent(1);
  commands_.SetMode(Mode::kOpen);
  EXPECT_EQ(waiter.Next()->result.body, "result");
  EXPECT_FALSE(node_.IsWell());
}

TEST_F(RpcOneWayTest, AnAnswerThatRedisMayHaveGotIsSentAgainAndHeardOnce) {
  const auto waiter = StartHeardCall();
  commands_.LoseReplyTo("the answer");
  Answer("the answer");
  const absl::StatusOr<CallResult> result = waiter.Next();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->result.body, "the answer");
  const absl::Time give_up = MonotonicNow() + fakes::kPatience;
  while (caller_.rpc().counters().unmatched == 0) {
    ASSERT_LT(MonotonicNow(), give_up) << "it was not sent again";
    std::this_thread::yield();
  }
}

TEST_F(RpcOneWayTest, WhatIsTooLateIsNotAnswered) {
  const auto late = StartHeardCall(absl::Seconds(1));
  const auto waiter = StartHeardCall();
  Cut(commands_);
  for (const char* result : {"late", "in time"}) Answer(result);
  EXPECT_EQ(ReasonOf(late.Next().status()), v1::ERROR_REASON_RPC_TIMEOUT);
  AwaitUnsent(1);  // Its time is over at the node too.
  commands_.SetMode(Mode::kOpen);
  EXPECT_EQ(waiter.Next()->result.body, "in time");
  EXPECT_EQ(caller_.rpc().counters().unmatched, 0u);
}

TEST_F(RpcOneWayTest, ResultsThatAreTooManyToWaitAreToldAsLost) {
  constexpr size_t kMany = 5;
  constexpr size_t kKept = 3;  // Of 4 MiB each, and a little.
  std::vector<fakes::Waiter<absl::StatusOr<CallResult>>> waiters;
  for (size_t i = 0; i < kMany; ++i) waiters.push_back(StartHeardCall());
  const auto last = StartHeardCall();
  const auto error = StartHeardCall();
  Cut(commands_);
  for (size_t i = 0; i < kMany; ++i) Answer(std::string(4 << 20, 'x'));
  Answer(std::string((4 << 20) - 2048, 'x'));  // Just what there is room for.
  // What is no result needs no room.
  AnswerWith({.kind = Outcome::Kind::kError,
              .result = {},
              .error = MakeError(v1::ERROR_REASON_ROOM_NOT_FOUND, std::string(2048, 'e'))});
  commands_.SetMode(Mode::kOpen);
  for (size_t i = 0; i < kKept; ++i) EXPECT_TRUE(waiters[i].Next().ok()) << i;
  for (size_t i = kKept; i < kMany; ++i) {
    EXPECT_EQ(ReasonOf(waiters[i].Next().status()), v1::ERROR_REASON_HANDLER_FAILED) << i;
  }
  EXPECT_TRUE(last.Next().ok());
  EXPECT_EQ(ReasonOf(error.Next().status()), v1::ERROR_REASON_ROOM_NOT_FOUND);
}

TEST_F(RpcOneWayTest, ACallThatANodeHasNotHeardIsToldAsNotRunAndOneThatItRunsGoesOn) {
  const auto runs = StartHeardCall();
  std::optional<fakes::Waiter<absl::StatusOr<CallResult>>> lost;
  LoseWhatIsSentBy([&] { lost = StartCall(); });
  const absl::Status status = lost->Next().status();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) << status;
  EXPECT_EQ(status.message(), "the call was lost when the node's connection to Redis was");
  EXPECT_EQ(runs.size(), 0u);
  Answer("result");
  EXPECT_EQ(runs.Next()->result.body, "result");
  EXPECT_EQ(node_.methods().ran.size(), 0u);
}

TEST_F(RpcOneWayTest, CallsThatAnyNodeMayRunGoToAnotherIfTheFirstHasNotHeardThem) {
  NodeStack other(redis_, OnlyMethod("m", Returns("other")));
  caller_.Refresh();
  // Whoever is asked first: of so many some are lost.
  std::vector<fakes::Waiter<absl::StatusOr<CallResult>>> waiters;
  LoseWhatIsSentBy([&] {
    for (int i = 0; i < 20; ++i) waiters.push_back(caller_.StartCall("m", AnyNode{}, kTimeout));
  });
  for (const auto& waiter : waiters) {
    const absl::StatusOr<CallResult> result = waiter.Next();
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->result.body, "other");
  }
  EXPECT_EQ(node_.methods().ran.size(), 0u);
}

TEST_F(RpcOneWayTest, AnAnswerThatWaitsIsNotTakenForACallThatWasNotHeard) {
  const auto answered = StartHeardCall();
  Cut(commands_);
  Answer("result");
  std::optional<fakes::Waiter<absl::StatusOr<CallResult>>> lost;
  LoseWhatIsSentBy([&] { lost = StartCall(); });
  commands_.SetMode(Mode::kOpen);
  EXPECT_EQ(ReasonOf(lost->Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(answered.Next()->result.body, "result");
}

TEST_F(RpcOneWayTest, ACallThatANodeHadNoTimeForIsNotTakenForOneThatWasNotHeard) {
  const auto timed_out = StartHeardCall(absl::Seconds(3));
  AnswerWith({.kind = Outcome::Kind::kError, .result = {}, .error = MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "late")});
  std::optional<fakes::Waiter<absl::StatusOr<CallResult>>> lost;
  LoseWhatIsSentBy([&] { lost = StartCall(); });
  EXPECT_EQ(ReasonOf(lost->Next().status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(timed_out.Next().status()), v1::ERROR_REASON_RPC_TIMEOUT);
}

TEST_F(RpcOneWayTest, ACallWhoseAnswerNobodyHasHeardIsNotDenied) {
  BusNode peer({.endpoint = redis_.endpoint(), .subscriber = {}, .token = NodeStack::kToken});
  BusNode ear({.endpoint = redis_.endpoint(), .subscriber = {}, .token = NodeStack::kToken});
  const fakes::Waiter<internal::v1::Envelope> denials;
  ear.thread().Run([&] {
    ear.bus().Handle(internal::v1::Envelope::kCallDenial,
                     [denials](const internal::v1::Envelope& envelope, absl::Time) { denials.Add(envelope); });
  });
  peer.BeginWell("peer");
  peer.EndBoot().Next();
  internal::v1::Envelope call = CallEnvelope("m");
  call.mutable_call()->set_id(7);
  call.mutable_call()->set_round(1);
  call.mutable_call()->set_remaining_us(absl::ToInt64Microseconds(kTimeout));
  const std::string to_node = peer.keys().ChannelBoot(node_.self().boot);
  EXPECT_TRUE(peer.Publish(to_node, call).ok());
  node_.methods().ran.Next();
  Answer("nobody hears this");
  const auto after = StartHeardCall();
  Answer("Redis has confirmed the other");
  EXPECT_TRUE(after.Next().ok());

  ear.BeginWell("ear");
  ear.Listen(peer.keys().ChannelBoot("peer"));
  internal::v1::Envelope inquiry;
  for (const auto& [id, round] : {std::pair(7, 1), std::pair(7, 2), std::pair(8, 1)}) {
    internal::v1::CallRef* ref = inquiry.mutable_call_inquiry()->add_calls();
    ref->set_id(static_cast<uint64_t>(id));
    ref->set_round(static_cast<uint32_t>(round));
  }
  EXPECT_TRUE(peer.Publish(to_node, inquiry).ok());
  // The caller listens on the node's channel too, and says what it thinks.
  const internal::v1::CallDenial denial =
      denials
          .NextThat([boot = node_.self().boot](const internal::v1::Envelope& envelope) {
            return envelope.sender_boot() == boot;
          })
          .call_denial();
  ASSERT_EQ(denial.calls_size(), 2);
  EXPECT_EQ(denial.calls(0).round(), 2u);
  EXPECT_EQ(denial.calls(1).id(), 8u);
}

}  // namespace
}  // namespace actioncluster

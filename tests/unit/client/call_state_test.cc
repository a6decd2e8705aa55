#include "client/call_state.h"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "actioncluster/json.h"
#include "actioncluster/status.h"
#include "gtest/gtest.h"

namespace actioncluster::client {
namespace {

class CallStateTest : public testing::Test {
 protected:
  std::shared_ptr<CallState> NewCall() {
    CallState::Call call;
    call.set_call_id("7");
    return std::make_shared<CallState>(std::move(call),
                                       [this](CallState::Reply reply) { replies_.push_back(std::move(reply)); });
  }

  // The only answer.
  CallState::Reply Answer() const {
    EXPECT_EQ(replies_.size(), 1U);
    EXPECT_EQ(replies_.at(0).call_id(), "7");
    return replies_.at(0);
  }

  std::vector<CallState::Reply> replies_;
};

TEST_F(CallStateTest, EachKindOfAnswerIsSent) {
  CallState::Run(NewCall(), [](Invocation call) { std::move(call).Return(ToValue(3)); });
  EXPECT_EQ(Answer().result().number_value(), 3);
  replies_.clear();
  CallState::Run(NewCall(), [](Invocation call) { std::move(call).ReturnBytes("\xff"); });
  EXPECT_EQ(Answer().data(), "\xff");
  replies_.clear();
  CallState::Run(NewCall(), [](Invocation call) { std::move(call).ReturnNothing(); });
  EXPECT_EQ(Answer().outcome_case(), CallState::Reply::OUTCOME_NOT_SET);
  replies_.clear();
  CallState::Run(NewCall(), [](Invocation call) {
    std::move(call).Fail(WithMetadata(absl::OutOfRangeError("no cheese"), "wanted", "cheddar"));
  });
  EXPECT_EQ(Answer().error().code(), 11);
  EXPECT_EQ(Answer().error().metadata().at("wanted"), "cheddar");
}

TEST_F(CallStateTest, WhatAFunctionReturnsIsTheAnswer) {
  CallState::Run(NewCall(), Returning([](const CallState::Call& call) { return ToValue(call.call_id()); }));
  EXPECT_EQ(Answer().result().string_value(), "7");
  replies_.clear();
  CallState::Run(NewCall(), Returning([](const CallState::Call&) { return absl::AbortedError("not now"); }));
  EXPECT_EQ(Answer().error().code(), 10);
}

TEST_F(CallStateTest, AnExceptionIsAnsweredWithItsText) {
  CallState::Run(NewCall(), [](Invocation) { throw std::runtime_error("out of cheese"); });
  EXPECT_EQ(Answer().error().code(), 2);
  EXPECT_EQ(Answer().error().message(), "out of cheese");
  replies_.clear();
  CallState::Run(NewCall(), [](Invocation) { throw 3; });
  EXPECT_EQ(Answer().error().code(), 2);
}

TEST_F(CallStateTest, AnExceptionAfterTheAnswerChangesNothing) {
  CallState::Run(NewCall(), [](Invocation call) {
    std::move(call).Return(ToValue(3));
    throw std::runtime_error("too late");
  });
  EXPECT_EQ(Answer().result().number_value(), 3);
}

TEST_F(CallStateTest, AnInvocationThatIsDroppedIsAnsweredWithInternal) {
  CallState::Run(NewCall(), [](Invocation) {});
  EXPECT_EQ(Answer().error().code(), 13);
}

TEST_F(CallStateTest, AnInvocationThatIsKeptIsAnsweredLaterOrWhenItIsDropped) {
  std::optional<Invocation> kept;
  const Handler keep = [&](Invocation call) { kept = std::move(call); };
  CallState::Run(NewCall(), keep);
  EXPECT_TRUE(replies_.empty());
  std::move(*kept).Return(ToValue(3));
  EXPECT_EQ(Answer().result().number_value(), 3);
  kept.reset();
  Answer();
  replies_.clear();
  CallState::Run(NewCall(), keep);
  EXPECT_TRUE(replies_.empty());
  kept.reset();
  EXPECT_EQ(Answer().error().code(), 13);
}

TEST_F(CallStateTest, ACancelledCallIsNotAnsweredAndItsCallbackRunsOnce) {
  std::optional<Invocation> kept;
  int cancelled = 0;
  const auto call = NewCall();
  CallState::Run(call, [&](Invocation invocation) {
    invocation.OnCancel([&] { ++cancelled; });
    kept = std::move(invocation);
  });
  EXPECT_FALSE(kept->IsCancelled());
  call->Cancel();
  call->Cancel();
  EXPECT_TRUE(kept->IsCancelled());
  EXPECT_EQ(cancelled, 1);
  kept->OnCancel([&] { ++cancelled; });
  EXPECT_EQ(cancelled, 2) << "it is cancelled already, so at once";
  std::move(*kept).Return(ToValue(3));
  kept.reset();
  EXPECT_TRUE(replies_.empty());
}

TEST_F(CallStateTest, AnAnsweredCallIsNoMoreCancelled) {
  int cancelled = 0;
  const auto call = NewCall();
  CallState::Run(call, [&](Invocation invocation) {
    invocation.OnCancel([&] { ++cancelled; });
    std::move(invocation).Return(ToValue(3));
  });
  call->Cancel();
  EXPECT_EQ(cancelled, 0);
  EXPECT_FALSE(call->IsCancelled());
}

TEST_F(CallStateTest, ACallThatIsCancelledBeforeItsTurnIsNotRun) {
  bool ran = false;
  const auto call = NewCall();
  call->Cancel();
  CallState::Run(call, [&](Invocation) { ran = true; });
  EXPECT_FALSE(ran);
  EXPECT_TRUE(replies_.empty());
}

TEST_F(CallStateTest, TheCallbackIsGoneWithTheAnswer) {
  auto token = std::make_shared<int>(0);
  CallState::Run(NewCall(), [&](Invocation invocation) {
    invocation.OnCancel([token] {});
    std::move(invocation).Return(ToValue(3));
    EXPECT_EQ(token.use_count(), 1);
  });
}

}  // namespace
}  // namespace actioncluster::client

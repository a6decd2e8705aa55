#include "client/task_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "actioncluster/json.h"
#include "actioncluster/status.h"

namespace actioncluster::client {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Heard : public TaskRun::Listener {
 public:
  void OnProgress(v1::WorkRequest::Progress said) override { progress.push_back(std::move(said)); }
  void OnOutcome(TaskOutcome outcome) override { outcomes.push_back(std::move(outcome)); }

  std::vector<v1::WorkRequest::Progress> progress;
  std::vector<TaskOutcome> outcomes;
};

class TaskRunTest : public testing::Test {
 protected:
  static TaskRun::Task MakeTask() {
    TaskRun::Task task;
    task.set_id("q/7");
    task.set_token(3);
    *task.mutable_args() = ToValue("in");
    return task;
  }
  v1::WorkRequest::Completed Completed() const {
    EXPECT_THAT(heard_->outcomes, SizeIs(1));
    return std::get<v1::WorkRequest::Completed>(heard_->outcomes.at(0));
  }
  v1::WorkRequest::Failed Failed() const {
    EXPECT_THAT(heard_->outcomes, SizeIs(1));
    return std::get<v1::WorkRequest::Failed>(heard_->outcomes.at(0));
  }
  // What becomes of a handler that does this and then returns nothing.
  void Do(const std::function<void(TaskContext&)>& something) {
    TaskRun::Execute(run_, [&](TaskContext& context) {
      something(context);
      return TaskContent();
    });
  }

  const std::shared_ptr<Heard> heard_ = std::make_shared<Heard>();
  TaskRun run_{MakeTask(), heard_};
};

TEST_F(TaskRunTest, WhatTheHandlerReturnsIsTheResult) {
  TaskRun::Execute(run_, [](TaskContext& context) { return ToValue(context.task().args().string_value() + " out"); });
  EXPECT_EQ(Completed().task_id(), "q/7");
  EXPECT_EQ(Completed().token(), 3);
  EXPECT_EQ(Completed().result().string_value(), "in out");
}

TEST_F(TaskRunTest, AResultCanBeBytesOrNothing) {
  TaskRun::Execute(run_, [](TaskContext&) { return TaskContent::Bytes("\xff"); });
  EXPECT_EQ(Completed().data(), "\xff");
  TaskRun other(MakeTask(), heard_);
  heard_->outcomes.clear();
  TaskRun::Execute(other, [](TaskContext&) { return TaskContent(); });
  EXPECT_EQ(Completed().outcome_case(), v1::WorkRequest::Completed::OUTCOME_NOT_SET);
}

TEST_F(TaskRunTest, AnErrorIsAFailureToBeTriedAgain) {
  TaskRun::Execute(run_, [](TaskContext&) { return absl::OutOfRangeError("out of cheese"); });
  EXPECT_EQ(Failed().task_id(), "q/7");
  EXPECT_EQ(Failed().token(), 3);
  EXPECT_EQ(FromProto(Failed().error()), absl::OutOfRangeError("out of cheese"));
  EXPECT_FALSE(Failed().has_retryable());
}

TEST_F(TaskRunTest, AnErrorThatIsNotRetryableSaysSo) {
  TaskRun::Execute(run_, [](TaskContext&) { return NotRetryable(absl::DataLossError("no such file")); });
  EXPECT_TRUE(Failed().has_retryable());
  EXPECT_FALSE(Failed().retryable());
  EXPECT_EQ(Failed().error().message(), "no such file");
  EXPECT_TRUE(NotRetryable(absl::OkStatus()).ok());
  EXPECT_TRUE(IsRetryable(absl::UnknownError("")));
}

TEST_F(TaskRunTest, AnExceptionIsAFailureWithItsText) {
  TaskRun::Execute(run_, [](TaskContext&) -> absl::StatusOr<TaskContent> { throw std::runtime_error("thrown"); });
  EXPECT_EQ(FromProto(Failed().error()), absl::UnknownError("thrown"));
  TaskRun other(MakeTask(), heard_);
  heard_->outcomes.clear();
  TaskRun::Execute(other, [](TaskContext&) -> absl::StatusOr<TaskContent> { throw 7; });
  EXPECT_EQ(Failed().error().code(), static_cast<int>(absl::StatusCode::kUnknown));
}

TEST_F(TaskRunTest, AResultThatNoNodeTakesIsAFailure) {
  TaskRun::Execute(run_, [](TaskContext&) { return TaskContent::Bytes(std::string(1024 * 1024 + 1, 'x')); });
  EXPECT_THAT(Failed().error().message(), HasSubstr("the result has 1048577 bytes"));
  TaskRun other(MakeTask(), heard_);
  heard_->outcomes.clear();
  TaskRun::Execute(other, [](TaskContext&) { return ToValue("\xff"); });
  EXPECT_THAT(Failed().error().message(), HasSubstr("not UTF-8"));
}

TEST_F(TaskRunTest, AMessageIsCutToWhatIsKept) {
  TaskRun::Execute(run_, [](TaskContext&) { return absl::UnknownError(std::string(1'000'000, 'x')); });
  EXPECT_EQ(Failed().error().message().size(), 8192u);
}

TEST_F(TaskRunTest, WhatFollowsGoesWithTheCompletion) {
  v1::EnqueueRequest next;
  next.set_name("next");
  Do([&](TaskContext& context) { EXPECT_TRUE(context.EnqueueWithCompletion(next).ok()); });
  ASSERT_THAT(Completed().enqueue(), SizeIs(1));
  EXPECT_EQ(Completed().enqueue(0).name(), "next");
}

TEST_F(TaskRunTest, OfAFailureNothingFollows) {
  TaskRun::Execute(run_, [](TaskContext& context) -> absl::StatusOr<TaskContent> {
    EXPECT_TRUE(context.EnqueueWithCompletion({}).ok());
    return absl::UnknownError("no");
  });
  EXPECT_EQ(Failed().error().message(), "no");
}

TEST_F(TaskRunTest, WhatFollowsIsLimited) {
  Do([](TaskContext& context) {
    v1::EnqueueRequest large;
    large.set_data(std::string(3 * 1024 * 1024, 'x'));
    EXPECT_TRUE(context.EnqueueWithCompletion(large).ok());
    EXPECT_EQ(context.EnqueueWithCompletion(large).code(), absl::StatusCode::kResourceExhausted);
    for (int i = 1; i < 100; ++i) ASSERT_TRUE(context.EnqueueWithCompletion({}).ok());
    EXPECT_EQ(context.EnqueueWithCompletion({}).code(), absl::StatusCode::kResourceExhausted);
    v1::EnqueueRequest garbled;
    garbled.set_name("\xff");
    EXPECT_EQ(context.EnqueueWithCompletion(garbled).code(), absl::StatusCode::kInvalidArgument);
    garbled.set_name("x");
    *garbled.mutable_args() = ToValue("\xff");
    EXPECT_EQ(context.EnqueueWithCompletion(garbled).code(), absl::StatusCode::kInvalidArgument);
  });
  EXPECT_THAT(Completed().enqueue(), SizeIs(100));
}

TEST_F(TaskRunTest, ProgressIsToldAtOnce) {
  Do([this](TaskContext& context) {
    EXPECT_TRUE(context.Progress(ToValue(50)).ok());
    ASSERT_THAT(heard_->progress, SizeIs(1));
    EXPECT_EQ(heard_->progress[0].task_id(), "q/7");
    EXPECT_EQ(heard_->progress[0].token(), 3);
    EXPECT_EQ(heard_->progress[0].result().number_value(), 50);
    EXPECT_EQ(context.Progress(TaskContent()).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(context.Progress(ToValue(std::nan(""))).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(context.Progress(TaskContent::Bytes(std::string(65'537, 'x'))).code(),
              absl::StatusCode::kResourceExhausted);
  });
  EXPECT_THAT(heard_->progress, SizeIs(1));
}

TEST_F(TaskRunTest, ACancelledTaskKnowsItAndStillHasAnOutcome) {
  int told = 0;
  Do([&](TaskContext& context) {
    EXPECT_FALSE(context.IsCancelled());
    context.OnCancel([] { ADD_FAILURE() << "another took its place"; });
    context.OnCancel([&told] { ++told; });
    run_.Cancel("timeout");
    run_.Cancel("lease_lost");
    EXPECT_TRUE(context.IsCancelled());
    EXPECT_EQ(context.CancelReason(), "timeout");
    EXPECT_EQ(told, 1);
    context.OnCancel([&told] { ++told; });
    EXPECT_EQ(told, 2) << "as it is cancelled already";
    EXPECT_EQ(context.Progress(ToValue(1)).code(), absl::StatusCode::kCancelled);
  });
  EXPECT_EQ(Completed().task_id(), "q/7");
  EXPECT_THAT(heard_->progress, IsEmpty());
}

TEST_F(TaskRunTest, OneThatIsCancelledBeforeItBeginsDoesNotRun) {
  run_.Cancel("cancelled");
  Do([](TaskContext&) { ADD_FAILURE() << "it ran"; });
  EXPECT_EQ(Failed().error().code(), static_cast<int>(absl::StatusCode::kCancelled));
}

TEST_F(TaskRunTest, WhenItsStreamIsLostNobodyHearsOfItAnyMore) {
  Do([this](TaskContext& context) {
    run_.StreamLost();
    EXPECT_EQ(context.CancelReason(), "stream_lost");
  });
  EXPECT_THAT(heard_->outcomes, IsEmpty());
}

TEST_F(TaskRunTest, OnceItHasEndedNothingIsToldOfACancel) {
  Do([](TaskContext& context) { context.OnCancel([] { ADD_FAILURE() << "it has ended"; }); });
  run_.Cancel("cancelled");
  EXPECT_THAT(heard_->outcomes, SizeIs(1));
}

}  // namespace
}  // namespace actioncluster::client

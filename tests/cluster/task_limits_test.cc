// Limits and pauses of a queue hold over all nodes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/task_calls.h"
#include "tests/cluster/task_worker.h"

namespace actioncluster::cluster {
namespace {

constexpr char kQueue[] = "limited";
constexpr absl::Duration kQuiet = absl::Milliseconds(1500);  // Longer than a sweep takes to come.

class TaskLimitsTest : public testing::Test {
 protected:
  // One on each node.
  void StartWorkers(uint32_t concurrency, const TaskWorker::Handler& handler) {
    for (const Node* node : {&one_, &two_}) {
      workers_.push_back(std::make_unique<TaskWorker>(
          *node, TaskWorker::Options{.queues = {kQueue}, .concurrency = concurrency}, handler));
    }
  }
  // Tasks that came and were not taken.
  size_t Came() const {
    size_t came = 0;
    for (const auto& worker : workers_) came += worker->tasks().size();
    return came;
  }
  bool AwaitCame(size_t count) const {
    return Await([&] { return Came() >= count; });
  }
  void SetLimits(const Node& node, const v1::QueueLimits& limits) {
    v1::SetQueueLimitsRequest request;
    request.set_queue(kQueue);
    *request.mutable_limits() = limits;
    const auto answered = Ask(node, &v1::TaskService::Stub::SetQueueLimits, request);
    ASSERT_TRUE(answered.ok()) << answered.status.error_message();
  }
  void Pause(const Node& node) {
    v1::PauseQueueRequest request;
    request.set_queue(kQueue);
    ASSERT_TRUE(Ask(node, &v1::TaskService::Stub::PauseQueue, request).ok());
  }
  void Resume(const Node& node) {
    v1::ResumeQueueRequest request;
    request.set_queue(kQueue);
    ASSERT_TRUE(Ask(node, &v1::TaskService::Stub::ResumeQueue, request).ok());
  }

  Cluster cluster_{2};
  Node& one_ = cluster_.node(1);
  Node& two_ = cluster_.node(2);
  std::vector<std::unique_ptr<TaskWorker>> workers_;
};

TEST_F(TaskLimitsTest, APausedQueueGivesNothingOnAnyNodeUntilItIsResumed) {
  StartWorkers(2, Completing);
  Pause(one_);
  for (int i = 0; i < 4; ++i) Enqueue(i % 2 == 0 ? one_ : two_, NewTask("work", kQueue));
  absl::SleepFor(kQuiet);  // That nothing happens.
  EXPECT_EQ(Came(), 0U);
  const absl::Time begun = absl::Now();
  Resume(two_);
  EXPECT_TRUE(AwaitCame(4));
  EXPECT_LT(absl::Now() - begun, absl::Milliseconds(1500));
}

TEST_F(TaskLimitsTest, TheRateHoldsOverTwoNodes) {
  constexpr int kRate = 20;
  constexpr int kTasks = 80;
  v1::QueueLimits limits;
  limits.set_rate(kRate);
  SetLimits(two_, limits);
  Pause(one_);
  for (int i = 0; i < kTasks; ++i) Enqueue(one_, NewTask("work", kQueue));
  StartWorkers(10, Completing);
  const absl::Time begun = absl::Now();
  Resume(one_);
  ASSERT_TRUE(AwaitCame(kTasks));
  const absl::Duration took = absl::Now() - begun;
  std::cout << kTasks << " tasks at " << kRate << " a second took " << took << "\n";
  // A second's worth begins at once.
  EXPECT_GE(took, absl::Seconds(1.0 * (kTasks - kRate) / kRate) - absl::Milliseconds(100));
  EXPECT_LT(took, absl::Seconds(1.5 * kTasks / kRate));
}

TEST_F(TaskLimitsTest, NoMoreRunAtOnceThanAllowedOverTwoNodes) {
  constexpr size_t kMost = 3;
  v1::QueueLimits limits;
  limits.set_max_concurrency(kMost);
  SetLimits(one_, limits);
  StartWorkers(10, Holding);
  for (int i = 0; i < 12; ++i) Enqueue(i % 2 == 0 ? one_ : two_, NewTask("work", kQueue));
  ASSERT_TRUE(AwaitCame(kMost));
  absl::SleepFor(kQuiet);  // That nothing happens.
  EXPECT_EQ(Came(), kMost);
  EXPECT_EQ(CountsOf(one_, kQueue).active(), kMost);
  // One that ends makes room for one, wherever.
  int ended = 0;
  const absl::Time begun = absl::Now();
  while (ended < 12) {
    for (const auto& worker : workers_) {
      if (worker->tasks().size() == 0) continue;
      worker->Send(Done(worker->tasks().Next()));
      ++ended;
      EXPECT_LE(Came(), kMost);
    }
    ASSERT_LT(absl::Now() - begun, kPatience) << ended << " ended";
  }
  EXPECT_LT(absl::Now() - begun, absl::Seconds(5));
}

TEST_F(TaskLimitsTest, AFullQueueRefusesOnEveryNode) {
  v1::QueueLimits limits;
  limits.set_max_length(3);
  SetLimits(one_, limits);
  for (int i = 0; i < 3; ++i) Enqueue(i % 2 == 0 ? one_ : two_, NewTask("work", kQueue));
  for (const Node* node : {&one_, &two_}) {
    const auto answered = Ask(*node, &v1::TaskService::Stub::Enqueue, NewTask("work", kQueue));
    EXPECT_EQ(answered.status.error_code(), grpc::RESOURCE_EXHAUSTED) << answered.status.error_message();
    EXPECT_EQ(ErrorInfoOf(answered.status).reason(), "LIMIT_EXCEEDED");
  }
  v1::EnqueueManyRequest many;
  for (int i = 0; i < 2; ++i) *many.add_tasks() = NewTask("work", kQueue);
  const auto answered = Ask(two_, &v1::TaskService::Stub::EnqueueMany, many);
  ASSERT_EQ(answered.response.outcomes_size(), 2) << answered.status.error_message();
  for (const auto& outcome : answered.response.outcomes()) EXPECT_EQ(outcome.error().reason(), "LIMIT_EXCEEDED");
  StartWorkers(1, Completing);
  ASSERT_TRUE(Await([&] { return CountsOf(one_, kQueue).total_completed() == 3; }));
  Enqueue(two_, NewTask("work", kQueue));
}

TEST_F(TaskLimitsTest, AFullQueueDropsItsOldestIfItIsToldTo) {
  v1::QueueLimits limits;
  limits.set_max_length(3);
  limits.set_overflow(v1::QueueLimits::OVERFLOW_DROP_OLDEST);
  SetLimits(one_, limits);
  std::vector<std::string> tasks;
  tasks.reserve(5);
  for (int i = 0; i < 5; ++i) tasks.push_back(Enqueue(i % 2 == 0 ? one_ : two_, NewTask("work", kQueue)));
  std::vector<std::string> left;
  for (const v1::Task& task : ListAll(two_, kQueue, v1::TASK_STATE_READY)) left.push_back(task.id());
  EXPECT_EQ(left, std::vector<std::string>(tasks.begin() + 2, tasks.end()));
  v1::GetRequest get;
  get.set_task_id(tasks[0]);
  EXPECT_EQ(ErrorInfoOf(Ask(two_, &v1::TaskService::Stub::Get, get).status).reason(), "TASK_NOT_FOUND");
}

TEST_F(TaskLimitsTest, ADeletedQueueTakesItsTasksFromWorkersOfAllNodes) {
  StartWorkers(1, Holding);
  for (int i = 0; i < 3; ++i) Enqueue(one_, NewTask("work", kQueue));
  ASSERT_TRUE(AwaitCame(2));
  v1::DeleteQueueRequest request;
  request.set_queue(kQueue);
  EXPECT_EQ(Ask(one_, &v1::TaskService::Stub::DeleteQueue, request).status.error_code(), grpc::FAILED_PRECONDITION);
  request.set_force(true);
  const auto answered = Ask(one_, &v1::TaskService::Stub::DeleteQueue, request);
  EXPECT_TRUE(answered.response.deleted()) << answered.status.error_message();
  for (const auto& worker : workers_) EXPECT_EQ(worker->revoked().Next().token(), worker->tasks().Next().token());
  EXPECT_EQ(CountsOf(two_, kQueue).ready(), 0U);
  // It is there again when something is put into it.
  const std::string task = Enqueue(two_, NewTask("work", kQueue));
  EXPECT_EQ(GetTask(one_, task).state(), v1::TASK_STATE_READY);
}

}  // namespace
}  // namespace actioncluster::cluster

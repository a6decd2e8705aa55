// Tasks that go from one node to workers of others: which, to whom, how soon, and what reaches them while they run.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/task_calls.h"
#include "tests/cluster/task_worker.h"

namespace actioncluster::cluster {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::ElementsAreArray;

constexpr char kQueue[] = "work";
constexpr absl::Duration kQuiet = absl::Milliseconds(1500);  // Longer than a sweep takes to come.

class TaskWorkTest : public testing::Test {
 protected:
  // That nothing (more) comes to the worker.
  static void ExpectQuiet(const TaskWorker& worker) {
    absl::SleepFor(kQuiet);
    EXPECT_EQ(worker.tasks().size(), 0U);
  }
  static void EnqueueMany(const Node& node, const v1::EnqueueRequest& task, int count) {
    constexpr int kBatch = 1000;
    while (count > 0) {
      v1::EnqueueManyRequest request;
      for (int i = 0; i < std::min(count, kBatch); ++i) *request.add_tasks() = task;
      ASSERT_TRUE(Ask(node, &v1::TaskService::Stub::EnqueueMany, request).ok());
      count -= kBatch;
    }
  }

  Cluster cluster_{2};
  Node& one_ = cluster_.node(1);
  Node& two_ = cluster_.node(2);
};

TEST_F(TaskWorkTest, AnIdleWorkerIsWokenByATaskOfAnotherNode) {
  constexpr int kTasks = 50;
  const TaskWorker worker(two_, {.queues = {kQueue}}, Completing);
  absl::Duration together;
  for (int i = 0; i < kTasks; ++i) {
    const absl::Time begun = absl::Now();
    const std::string task = Enqueue(one_, NewTask("work", kQueue));
    EXPECT_EQ(worker.tasks().Next().id(), task);
    together += absl::Now() - begun;
    EXPECT_EQ(worker.recorded().Next().task_id(), task);
  }
  std::cout << "from a call to an idle worker of another node: " << together / kTasks << " on average\n";
  // Half a second each, if only a sweep found them.
  EXPECT_LT(together, absl::Seconds(10));
}

TEST_F(TaskWorkTest, AWorkerOfAllQueuesIsWokenByAQueueThatIsNew) {
  constexpr int kQueues = 10;
  const TaskWorker worker(two_, {.queues = {"*"}}, Completing);
  const absl::Time begun = absl::Now();
  for (int i = 0; i < kQueues; ++i) {
    const std::string task = Enqueue(one_, NewTask("work", absl::StrCat("new-", i)));
    EXPECT_EQ(worker.tasks().Next().id(), task);
  }
  EXPECT_LT(absl::Now() - begun, absl::Seconds(3));
}

TEST_F(TaskWorkTest, TasksComeByPriorityAndThenInOrder) {
  std::vector<std::string> low;
  std::vector<std::string> high;
  for (int i = 0; i < 4; ++i) {
    low.push_back(Enqueue(i % 2 == 0 ? one_ : two_, WithPriority(1, NewTask("work", kQueue))));
    high.push_back(Enqueue(i % 2 == 0 ? one_ : two_, WithPriority(9, NewTask("work", kQueue))));
  }
  const std::string middle = Enqueue(one_, NewTask("work", kQueue));
  const TaskWorker worker(two_, {.queues = {kQueue}}, Completing);
  std::vector<std::string> expected = high;
  expected.push_back(middle);
  expected.insert(expected.end(), low.begin(), low.end());
  std::vector<std::string> came;
  for (size_t i = 0; i < expected.size(); ++i) came.push_back(worker.tasks().Next().id());
  EXPECT_THAT(came, ElementsAreArray(expected));
}

TEST_F(TaskWorkTest, TheMoreUrgentQueueComesFirst) {
  for (int i = 0; i < 3; ++i) Enqueue(one_, NewTask("work", "later"));
  for (int i = 0; i < 3; ++i) Enqueue(one_, NewTask("work", "urgent"));
  // The queues' first turns may be at the same time.
  TaskWorker worker(two_, {.queues = {"urgent", "later"}}, Holding);
  std::vector<std::string> came;
  for (int i = 0; i < 6; ++i) {
    const TaskWorker::Task task = worker.tasks().Next();
    came.push_back(task.queue());
    worker.Send(Done(task));
  }
  EXPECT_THAT(came, ElementsAre("urgent", "urgent", "urgent", "later", "later", "later"));
}

TEST_F(TaskWorkTest, AWorkerOfOneNameIsNotHeldUpByTenThousandTasksOfAnother) {
  EnqueueMany(one_, NewTask("a", kQueue), 10'000);
  const TaskWorker of_b(two_, {.queues = {kQueue}, .names = {"b"}}, Completing);
  ExpectQuiet(of_b);
  for (int i = 0; i < 20; ++i) {
    const absl::Time begun = absl::Now();
    const std::string task = Enqueue(one_, NewTask("b", kQueue));
    EXPECT_EQ(of_b.tasks().Next().id(), task);
    EXPECT_LT(absl::Now() - begun, absl::Seconds(1));
  }
  const TaskWorker of_a(one_, {.queues = {kQueue}, .names = {"a", "c"}}, Completing);
  EXPECT_EQ(of_a.tasks().Next().name(), "a");
}

TEST_F(TaskWorkTest, WorkersOfTwoNodesShare) {
  constexpr int kTasks = 2000;
  std::vector<std::unique_ptr<TaskWorker>> workers;
  for (const Node* node : {&one_, &two_}) {
    workers.push_back(
        std::make_unique<TaskWorker>(*node, TaskWorker::Options{.queues = {kQueue}, .concurrency = 8}, Completing));
  }
  EnqueueMany(one_, NewTask("work", kQueue), kTasks);
  ASSERT_TRUE(Await([&] { return workers[0]->tasks().size() + workers[1]->tasks().size() == kTasks; }));
  for (const auto& worker : workers) {
    std::cout << worker->started().node_id() << " ran " << worker->tasks().size() << " tasks\n";
    EXPECT_GT(worker->tasks().size(), kTasks / 5U);
  }
}

TEST_F(TaskWorkTest, AFullWorkerGetsNothingAndWhatWaitsGoesToWhoHasRoom) {
  TaskWorker full(one_, {.queues = {kQueue}, .concurrency = 2}, Holding);
  std::vector<std::string> tasks;
  tasks.reserve(5);
  for (int i = 0; i < 5; ++i) tasks.push_back(Enqueue(one_, NewTask("work", kQueue)));
  const TaskWorker::Task first = full.tasks().Next();
  full.tasks().Next();
  ExpectQuiet(full);
  full.Send(Done(first));
  EXPECT_EQ(full.tasks().Next().id(), tasks[2]);
  ExpectQuiet(full);
  const TaskWorker other(two_, {.queues = {kQueue}, .concurrency = 10}, Completing);
  EXPECT_EQ(other.tasks().Next().id(), tasks[3]);
  EXPECT_EQ(other.tasks().Next().id(), tasks[4]);
  // And a task that is enqueued while one is full and the other waits is not sent to the full one's node, to lie there.
  for (int i = 0; i < 10; ++i) {
    const absl::Time begun = absl::Now();
    const std::string task = Enqueue(one_, NewTask("work", kQueue));
    EXPECT_EQ(other.tasks().Next().id(), task);
    EXPECT_LT(absl::Now() - begun, absl::Milliseconds(500));
  }
}

TEST_F(TaskWorkTest, ACancelFromAnotherNodeReachesTheWorker) {
  TaskWorker worker(two_, {.queues = {kQueue}}, Holding);
  const std::string id = Enqueue(one_, Retained(NewTask("work", kQueue)));
  const TaskWorker::Task held = worker.tasks().Next();
  v1::CancelRequest request;
  request.set_task_id(id);
  const absl::Time begun = absl::Now();
  const auto answered = Ask(one_, &v1::TaskService::Stub::Cancel, request);
  ASSERT_TRUE(answered.ok()) << answered.status.error_message();
  EXPECT_TRUE(answered.response.was_running());
  const TaskWorker::Revoked revoked = worker.revoked().Next();
  EXPECT_LT(absl::Now() - begun, absl::Milliseconds(800));
  EXPECT_EQ(revoked.task_id(), id);
  EXPECT_EQ(revoked.token(), held.token());
  EXPECT_EQ(revoked.reason(), "cancelled");
  const std::string next = Enqueue(one_, NewTask("work", kQueue));
  worker.Send(Done(held));  // Not recorded; but the worker has room again.
  EXPECT_EQ(worker.tasks().Next().id(), next);
  EXPECT_EQ(worker.recorded().size(), 0U);
  EXPECT_EQ(GetTask(one_, id).state(), v1::TASK_STATE_CANCELLED);
}

TEST_F(TaskWorkTest, ATimeoutIsKeptWhileTheWorkerHangs) {
  TaskWorker hanging(one_, {.queues = {kQueue}}, Holding);
  v1::EnqueueRequest request = Retained(Timed(absl::Milliseconds(300), NewTask("work", kQueue)));
  SetDuration(absl::Milliseconds(10), request.mutable_retry()->mutable_backoff());
  const std::string id = Enqueue(two_, request);
  EXPECT_EQ(hanging.tasks().Next().attempt(), 1U);
  const TaskWorker other(two_, {.queues = {kQueue}}, Completing);
  EXPECT_EQ(hanging.revoked().Next().reason(), "timeout");
  const TaskWorker::Task again = other.tasks().Next();
  EXPECT_EQ(again.id(), id);
  EXPECT_EQ(again.attempt(), 2U);
  EXPECT_EQ(again.lost_leases(), 0U);
  EXPECT_TRUE(Await([&] { return GetTask(one_, id).state() == v1::TASK_STATE_DONE; }));
}

TEST_F(TaskWorkTest, AUniqueKeyHoldsOnAllNodesUntilTheTaskHasEnded) {
  v1::EnqueueRequest request = NewTask("work", kQueue);
  request.set_unique_key("one of these");
  const std::string first = Enqueue(one_, request);
  const auto again = Ask(two_, &v1::TaskService::Stub::Enqueue, request);
  EXPECT_FALSE(again.response.created());
  EXPECT_EQ(again.response.task_id(), first);
  const TaskWorker worker(two_, {.queues = {kQueue}}, Completing);
  EXPECT_EQ(worker.recorded().Next().task_id(), first);
  const auto later = Ask(one_, &v1::TaskService::Stub::Enqueue, request);
  EXPECT_TRUE(later.response.created());
  EXPECT_NE(later.response.task_id(), first);
}

TEST_F(TaskWorkTest, AnEndIsAwaitedAndWatchedOnAnotherNode) {
  TaskWorker worker(one_, {.queues = {kQueue}}, Holding);
  const std::string id = Enqueue(one_, Retained(NewTask("work", kQueue)));
  const TaskWorker::Task held = worker.tasks().Next();
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::WatchTaskRequest watch;
  watch.set_task_id(id);
  const auto stream = two_.tasks().WatchTask(&context, watch);
  v1::WatchTaskResponse seen;
  ASSERT_TRUE(stream->Read(&seen));
  EXPECT_EQ(seen.task().state(), v1::TASK_STATE_ACTIVE);

  TaskWorker::Outcomes outcomes;
  v1::WorkRequest::Progress& progress = *outcomes.add_progress();
  progress.set_task_id(id);
  progress.set_token(held.token());
  progress.set_data("half of it");
  worker.Send(outcomes);
  ASSERT_TRUE(stream->Read(&seen));
  EXPECT_EQ(seen.task().progress().data(), "half of it");

  worker.Send(Done(held, "all of it"));
  v1::AwaitRequest await;
  await.set_task_id(id);
  const auto awaited = Ask(two_, &v1::TaskService::Stub::Await, await);
  EXPECT_EQ(awaited.response.state(), v1::TASK_STATE_DONE) << awaited.status.error_message();
  EXPECT_EQ(awaited.response.data(), "all of it");
  while (stream->Read(&seen)) {
  }
  EXPECT_EQ(seen.task().state(), v1::TASK_STATE_DONE);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(TaskWorkTest, WorkersOfAllNodesAreListedWithWhatTheyDo) {
  const TaskWorker idle(one_, {.queues = {kQueue, "other"}, .names = {"nothing"}, .concurrency = 3, .name = "idle"},
                        Holding);
  const TaskWorker busy(two_, {.queues = {kQueue}, .name = "busy"}, Holding);
  const std::string id = Enqueue(one_, NewTask("work", kQueue));
  EXPECT_EQ(busy.tasks().Next().id(), id);
  for (const Node& node : cluster_.nodes()) {
    const auto listed = Ask(node, &v1::TaskService::Stub::ListWorkers, v1::ListWorkersRequest());
    ASSERT_EQ(listed.response.workers_size(), 2) << listed.response.ShortDebugString() << listed.status.error_message();
    EXPECT_EQ(listed.response.missing_nodes_size(), 0);
    const auto& first = listed.response.workers(0);
    const auto& second = listed.response.workers(1);
    EXPECT_EQ(first.worker_name(), "idle");
    EXPECT_EQ(first.node_id(), one_.id());
    EXPECT_EQ(first.concurrency(), 3U);
    EXPECT_EQ(first.tasks_size(), 0);
    EXPECT_EQ(second.worker_name(), "busy");
    EXPECT_EQ(second.worker_id(), busy.started().worker_id());
    ASSERT_EQ(second.tasks_size(), 1) << second.ShortDebugString();
    EXPECT_EQ(second.tasks(0).task_id(), id);
  }
}

TEST_F(TaskWorkTest, ANodeThatStopsTellsItsWorkersAndLosesNothing) {
  TaskWorker worker(two_, {.queues = {kQueue}}, Holding);
  const std::string held = Enqueue(one_, Retained(NewTask("work", kQueue)));
  const std::string waiting = Enqueue(one_, Retained(NewTask("work", kQueue)));
  const TaskWorker::Task task = worker.tasks().Next();
  two_.program().Signal(SIGTERM);
  EXPECT_THAT(worker.drainings().Next().alternatives(), Contains(one_.address()));
  worker.Send(Done(task, "just in time"));
  EXPECT_EQ(worker.recorded().Next().task_id(), held);
  worker.Stop();
  worker.AwaitEnd();
  EXPECT_EQ(two_.program().Wait(), std::make_optional(0));
  EXPECT_EQ(worker.tasks().size(), 0U);
  const TaskWorker other(one_, {.queues = {kQueue}}, Completing);
  EXPECT_EQ(other.tasks().Next().id(), waiting);
  EXPECT_EQ(GetTask(one_, held).result().data(), "just in time");
}

}  // namespace
}  // namespace actioncluster::cluster

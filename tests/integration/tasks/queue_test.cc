#include <map>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/tasks/queue_client.h"

// Queues as operators see them: changes to tasks, pages, dead letters, schedules, the registry, and what an outage leaves.
namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Change = TaskStore::Change;
using Changed = TaskStore::Changed::Kind;

class QueueTest : public testing::TestWithParam<bool> {
 protected:
  std::vector<std::string> Claim(absl::Duration period) {
    return queue_.Ask<std::vector<std::string>>(
        [&](TaskStore& store, auto done) { store.ClaimQueues(period, 10, std::move(done)); });
  }
  TaskStore::Page List(TaskState state, const std::string& from, int size) {
    return queue_.Ask<TaskStore::Page>(
        [&](TaskStore& store, auto done) { store.List(QueueClient::kQueue, state, from, size, std::move(done)); });
  }
  TaskStore::Scheduled Schedule(const std::string& timing, absl::Time first) {
    return queue_.Ask<TaskStore::Scheduled>([&](TaskStore& store, auto done) {
      store.SetSchedule(QueueClient::kQueue, "s", "record " + timing, timing, first, std::move(done));
    });
  }
  TaskStore::Fired Fire(absl::Time cursor, std::optional<absl::Time> next, const std::vector<NewTask>& tasks) {
    return queue_.Ask<TaskStore::Fired>([&](TaskStore& store, auto done) {
      store.Fire(QueueClient::kQueue, "s", cursor, next, tasks, std::move(done));
    });
  }
  TaskStore::Deleted Delete(bool force) {
    return queue_.Ask<TaskStore::Deleted>(
        [&](TaskStore& store, auto done) { store.DeleteQueue(QueueClient::kQueue, force, std::move(done)); });
  }
  void Bury(const std::string& id) {
    queue_.Enqueue({TaskNamed(id)});
    queue_.Settle(Failed(queue_.Lease(1).at(0), /*retryable=*/false));
  }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(GetParam());
  QueueClient queue_{redis_};
};

INSTANTIATE_TEST_SUITE_P(Redis, QueueTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Cluster" : "Single"; });

TEST_P(QueueTest, ACancelledTaskDoesNotRunAndItsWorkerIsTold) {
  NewTask running = TaskNamed("running");
  running.retain = absl::Minutes(1);
  queue_.Enqueue({running});
  const LeasedTask leased = queue_.Lease(1).at(0);
  queue_.Enqueue({TaskNamed("ready")});
  NewTask later = TaskNamed("later");
  later.delay = absl::Hours(1);
  queue_.Enqueue({later});
  const TaskStore::Changed changed = queue_.Apply(Change::kCancel, {"running", "ready", "later", "none"});
  EXPECT_THAT(changed.kinds, ElementsAre(Changed::kDone, Changed::kDone, Changed::kDone, Changed::kMissing));
  EXPECT_THAT(changed.was_running, ElementsAre(true, false, false, false));
  const TaskHints hints = queue_.LastHints();
  ASSERT_THAT(hints.revoked, SizeIs(1));
  EXPECT_EQ("running", hints.revoked[0].id);
  EXPECT_EQ(leased.token, hints.revoked[0].token);
  EXPECT_TRUE(hints.revoked[0].cancelled);
  EXPECT_FALSE(queue_.Settle(Done(leased)).recorded);
  EXPECT_EQ(TaskState::kCancelled, queue_.Read("running")->state);
  EXPECT_THAT(queue_.Apply(Change::kCancel, {"running"}).kinds, ElementsAre(Changed::kEnded));
  EXPECT_THAT(queue_.Lease(5), IsEmpty());
  EXPECT_EQ(0, queue_.View().counts.scheduled);
}

TEST_P(QueueTest, ATaskThatRunsIsNotDeleted) {
  queue_.Enqueue({TaskNamed("1"), TaskNamed("2")});
  queue_.Lease(1);
  EXPECT_THAT(queue_.Apply(Change::kDelete, {"1", "2", "3"}).kinds,
              ElementsAre(Changed::kActive, Changed::kDone, Changed::kMissing));
  EXPECT_THAT(queue_.Lease(5), IsEmpty());
}

TEST_P(QueueTest, DeadLettersAreRetriedFromTheFirstAttemptOrRemoved) {
  Bury("1");
  Bury("2");
  EXPECT_THAT(queue_.Apply(Change::kRetryFailed, {"1"}).kinds, ElementsAre(Changed::kDone));
  EXPECT_THAT(queue_.Apply(Change::kRetryFailed, {"1"}).kinds, ElementsAre(Changed::kMissing));
  EXPECT_THAT(queue_.Apply(Change::kRemoveFailed, {"1", "2"}).kinds, ElementsAre(Changed::kMissing, Changed::kDone));
  const LeasedTask again = queue_.Lease(5).at(0);
  EXPECT_EQ("1", again.id);
  EXPECT_EQ(1, again.attempt);
  EXPECT_EQ(0, queue_.View().counts.failed);
}

TEST_P(QueueTest, DeadLettersAreKeptByCountAndByAge) {
  queue_.SetLimits({.max_failed = 2, .keep_failed_for = absl::Minutes(1)});
  for (const char* id : {"1", "2", "3"}) Bury(id);
  EXPECT_EQ(std::nullopt, queue_.Read("1"));
  EXPECT_EQ(2, queue_.View().counts.failed);
  queue_.SetLimits({.max_failed = 2, .keep_failed_for = absl::Microseconds(1)});
  queue_.Sweep();
  EXPECT_EQ(0, queue_.View().counts.failed);
  EXPECT_EQ(std::nullopt, queue_.Read("2"));
}

TEST_P(QueueTest, PagesShowEachTaskOnceInTheirOrder) {
  std::vector<NewTask> tasks;
  for (int i = 0; i < 250; ++i) tasks.push_back(TaskNamed(std::to_string(1000 + i)));
  queue_.Enqueue(tasks);
  std::vector<std::string> seen;
  TaskStore::Page page;
  do {
    page = List(TaskState::kReady, page.next, 100);
    for (const TaskView& task : page.tasks) seen.push_back(task.id);
  } while (!page.next.empty());
  ASSERT_THAT(seen, SizeIs(250));
  for (int i = 0; i < 250; ++i) EXPECT_EQ(std::to_string(1000 + i), seen[i]);
  EXPECT_THAT(List(TaskState::kRetrying, "", 100).tasks, IsEmpty());
  EXPECT_EQ("input of 1000", List(TaskState::kReady, "", 1).tasks.at(0).input->body);
}

TEST_P(QueueTest, PagesGoOnWhereTheLastTaskHasLeft) {
  for (const char* id : {"1", "2", "3", "4"}) Bury(id);
  const TaskStore::Page first = List(TaskState::kFailed, "", 2);
  ASSERT_THAT(first.tasks, SizeIs(2));
  EXPECT_EQ("4", first.tasks[0].id);
  queue_.Apply(Change::kRemoveFailed, {"3"});
  const TaskStore::Page second = List(TaskState::kFailed, first.next, 2);
  ASSERT_THAT(second.tasks, SizeIs(2));
  EXPECT_EQ("2", second.tasks[0].id);
  EXPECT_EQ("1", second.tasks[1].id);
}

TEST_P(QueueTest, ASlotIsFiredOnce) {
  const absl::Time first = absl::FromUnixSeconds(1'000'000);
  const absl::Time second = first + absl::Seconds(1);
  EXPECT_TRUE(Schedule("t", first).created);
  const TaskSweepResult swept = queue_.Sweep();
  ASSERT_THAT(swept.due, SizeIs(1));
  EXPECT_EQ("s", swept.due[0].id);
  EXPECT_EQ("record t", swept.due[0].schedule);
  EXPECT_EQ(first, swept.due[0].cursor);
  EXPECT_TRUE(Fire(first, second, {TaskNamed("slot 1")}).fired);
  EXPECT_FALSE(Fire(first, second, {TaskNamed("slot 1 again")}).fired);
  EXPECT_EQ(second, queue_.Sweep().due.at(0).cursor);
  EXPECT_TRUE(Fire(second, std::nullopt, {}).fired);
  EXPECT_THAT(queue_.Sweep().due, IsEmpty());
  EXPECT_THAT(IdsOf(queue_.Lease(5)), ElementsAre("slot 1"));
}

TEST_P(QueueTest, SchedulesThatNobodyFiresDoNotHoldUpTheOthers) {
  constexpr int kSchedules = 250;  // More than one sweep takes.
  const absl::Time due = absl::FromUnixSeconds(1'000'000);
  for (int i = 0; i < kSchedules; ++i) {
    queue_.Ask<TaskStore::Scheduled>([&](TaskStore& store, auto done) {
      store.SetSchedule(QueueClient::kQueue, std::to_string(i), "record", "t", due, std::move(done));
    });
  }
  std::set<std::string> seen;
  const absl::Time give_up = MonotonicNow() + fakes::kPatience;
  while (seen.size() < kSchedules) {
    for (const TaskSweepResult::DueSchedule& schedule : queue_.Sweep().due) seen.insert(schedule.id);
    ASSERT_LT(MonotonicNow(), give_up) << seen.size() << " of them were seen";
  }
}

TEST_P(QueueTest, AScheduleKeepsItsPlaceUnlessItsTimesChange) {
  const absl::Time first = absl::FromUnixSeconds(1'000'000);
  Schedule("t", first);
  EXPECT_EQ(first, Schedule("t", first + absl::Hours(1)).next);
  EXPECT_FALSE(Schedule("t", first).created);
  EXPECT_EQ(first + absl::Hours(2), Schedule("other", first + absl::Hours(2)).next);
  const auto list = [&] {
    return queue_.Ask<std::vector<RecurringView>>(
        [](TaskStore& store, auto done) { store.ListSchedules(QueueClient::kQueue, std::move(done)); });
  };
  ASSERT_THAT(list(), SizeIs(1));
  EXPECT_EQ("record other", list()[0].schedule);
  EXPECT_EQ(first + absl::Hours(2), list()[0].next);
  const auto stop = [&] {
    return queue_.Ask<bool>(
        [](TaskStore& store, auto done) { store.StopSchedule(QueueClient::kQueue, "s", std::move(done)); });
  };
  EXPECT_TRUE(stop());
  EXPECT_FALSE(stop());
  EXPECT_THAT(list(), IsEmpty());
}

TEST_P(QueueTest, AQueueIsClaimedByOneForATime) {
  queue_.Enqueue({TaskNamed("1")});
  EXPECT_THAT(Claim(absl::Hours(1)), ElementsAre(QueueClient::kQueue));
  EXPECT_THAT(Claim(absl::Hours(1)), IsEmpty());
  EXPECT_THAT(Claim(absl::ZeroDuration()), ElementsAre(QueueClient::kQueue));
}

TEST_P(QueueTest, ADeletedQueueIsGoneAndIsThereAgainWithItsNextTask) {
  Bury("1");
  queue_.Enqueue({TaskNamed("2")});
  const LeasedTask leased = queue_.Lease(1).at(0);
  EXPECT_EQ(TaskStore::Deleted::kActive, Delete(/*force=*/false));
  EXPECT_THAT(Claim(absl::ZeroDuration()), ElementsAre(QueueClient::kQueue));
  EXPECT_EQ(TaskStore::Deleted::kDone, Delete(/*force=*/true));
  const TaskHints hints = queue_.LastHints();
  ASSERT_THAT(hints.revoked, SizeIs(1));
  EXPECT_FALSE(hints.revoked[0].cancelled);
  EXPECT_THAT(Claim(absl::ZeroDuration()), IsEmpty());
  EXPECT_EQ(0, queue_.View().counts.failed);
  EXPECT_EQ(TaskStore::Deleted::kMissing, Delete(/*force=*/true));
  EXPECT_FALSE(queue_.Settle(Done(leased)).recorded);
  queue_.Enqueue({TaskNamed("3")});
  EXPECT_TRUE(queue_.LastHints().appeared);
  EXPECT_THAT(Claim(absl::ZeroDuration()), ElementsAre(QueueClient::kQueue));
}

TEST_P(QueueTest, AfterAnOutageLongerThanALeaseEachGetsOneLeaseInWhichToComeBack) {
  QueueClient brief(redis_, absl::Milliseconds(400), "00000000000000bb");
  brief.Enqueue({TaskNamed("1")});
  const LeasedTask leased = brief.Lease(1).at(0);
  brief.Sweep();
  // Redis is away from everyone for two leases.
  redis_.Command({"CLIENT", "PAUSE", "800"});
  brief.Sweep();
  EXPECT_EQ(TaskState::kActive, brief.Read("1")->state);
  TaskTurn turn = brief.NewTurn(0);
  turn.renewals.push_back({leased.id, leased.token});
  EXPECT_THAT(brief.Take(turn).lost, IsEmpty());
  EXPECT_TRUE(brief.Settle(Done(leased)).recorded);
}

}  // namespace
}  // namespace actioncluster

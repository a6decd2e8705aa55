#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/tasks/queue_client.h"

// What a queue takes, refuses and gives out, and in which order; on a single Redis and on a cluster of one.
namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Kind = EnqueueOutcome::Kind;

class EnqueueTest : public testing::TestWithParam<bool> {
 protected:
  fakes::RedisServer& redis_ = fakes::EmptyRedis(GetParam());
  QueueClient queue_{redis_};
};

INSTANTIATE_TEST_SUITE_P(Redis, EnqueueTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Cluster" : "Single"; });

TEST_P(EnqueueTest, ATaskIsLeasedWithAllThatItsWorkerHasToKnow) {
  NewTask task = TaskNamed("1");
  task.timeout = absl::Milliseconds(1500);
  EXPECT_THAT(queue_.Enqueue({task}), ElementsAre(testing::Field(&EnqueueOutcome::kind, Kind::kCreated)));
  EXPECT_TRUE(queue_.LastHints().appeared);
  const std::vector<LeasedTask> leased = queue_.Lease(5);
  ASSERT_THAT(leased, SizeIs(1));
  EXPECT_EQ("1", leased[0].id);
  EXPECT_EQ("work", leased[0].name);
  EXPECT_EQ(task.input, leased[0].input);
  EXPECT_EQ(1, leased[0].attempt);
  EXPECT_EQ(0, leased[0].lost_leases);
  EXPECT_EQ(absl::Milliseconds(1500), leased[0].timeout);
  EXPECT_GT(leased[0].token, 0);
  EXPECT_THAT(queue_.Lease(5), IsEmpty());
  queue_.Enqueue({TaskNamed("2")});
  EXPECT_FALSE(queue_.LastHints().appeared);
}

TEST_P(EnqueueTest, HigherPriorityComesFirstAndEqualOnesInOrder) {
  std::vector<NewTask> tasks;
  for (const int priority : {0, 9, 5, 9, 5, 0}) {
    NewTask task = TaskNamed(std::string(1, static_cast<char>('a' + tasks.size())));
    task.priority = priority;
    tasks.push_back(task);
  }
  queue_.Enqueue(tasks);
  EXPECT_THAT(IdsOf(queue_.Lease(4)), ElementsAre("b", "d", "c", "e"));
  EXPECT_THAT(IdsOf(queue_.Lease(4)), ElementsAre("a", "f"));
}

TEST_P(EnqueueTest, AGroupGetsOnlyTheNamesThatItTakesInTheOrderOfAll) {
  queue_.Enqueue(
      {TaskNamed("1", "a"), TaskNamed("2", "b"), TaskNamed("3", "aa"), TaskNamed("4", "a"), TaskNamed("5", "c")});
  NewTask urgent = TaskNamed("6", "c");
  urgent.priority = 9;
  queue_.Enqueue({urgent});
  EXPECT_THAT(IdsOf(queue_.Lease(9, {"c", "a", "missing"})), ElementsAre("6", "1", "4", "5"));
  EXPECT_THAT(IdsOf(queue_.Lease(9)), ElementsAre("2", "3"));
}

TEST_P(EnqueueTest, ATaskOfTheSameIdIsNotEnqueuedAgain) {
  NewTask task = TaskNamed("1");
  task.chosen_id = true;
  queue_.Enqueue({task});
  EXPECT_THAT(queue_.Enqueue({task}), ElementsAre(testing::Field(&EnqueueOutcome::kind, Kind::kExists)));
  const std::vector<LeasedTask> leased = queue_.Lease(1);
  EXPECT_TRUE(queue_.Settle(Done(leased.at(0))).recorded);
  // For a minute after its end.
  EXPECT_THAT(queue_.Enqueue({task}), ElementsAre(testing::Field(&EnqueueOutcome::kind, Kind::kExists)));
  EXPECT_THAT(queue_.Lease(1), IsEmpty());
}

TEST_P(EnqueueTest, AKeyIsHeldUntilTheTaskHasEnded) {
  NewTask first = TaskNamed("1");
  first.unique_key = "k";
  NewTask second = TaskNamed("2");
  second.unique_key = "k";
  queue_.Enqueue({first});
  const std::vector<EnqueueOutcome> outcomes = queue_.Enqueue({second});
  EXPECT_EQ(Kind::kExists, outcomes.at(0).kind);
  EXPECT_EQ("1", outcomes.at(0).id);
  queue_.Settle(Done(queue_.Lease(1).at(0)));
  EXPECT_EQ(Kind::kCreated, queue_.Enqueue({second}).at(0).kind);
}

TEST_P(EnqueueTest, AKeyWithAWindowIsHeldForThatTimeOnly) {
  NewTask first = TaskNamed("1");
  first.unique_key = "k";
  first.unique_for = absl::Seconds(2);
  queue_.Enqueue({first});
  queue_.Settle(Done(queue_.Lease(1).at(0)));
  NewTask second = first;
  second.id = "2";
  EXPECT_EQ(Kind::kExists, queue_.Enqueue({second}).at(0).kind);
  const absl::Time give_up = MonotonicNow() + fakes::kPatience;
  while (queue_.Enqueue({second}).at(0).kind != Kind::kCreated) ASSERT_LT(MonotonicNow(), give_up);
  EXPECT_THAT(IdsOf(queue_.Lease(5)), ElementsAre("2"));
}

TEST_P(EnqueueTest, ARepeatedRequestGivesTheFormerOutcomes) {
  const std::vector<EnqueueOutcome> first = queue_.Enqueue({TaskNamed("1"), TaskNamed("2")}, "request");
  const std::vector<EnqueueOutcome> again = queue_.Enqueue({TaskNamed("3"), TaskNamed("4")}, "request");
  ASSERT_THAT(again, SizeIs(2));
  EXPECT_EQ("1", again[0].id);
  EXPECT_EQ(Kind::kCreated, again[1].kind);
  EXPECT_THAT(queue_.Lease(5), SizeIs(2));
}

TEST_P(EnqueueTest, AFullQueueRefusesAndARepeatedRequestTriesAgain) {
  queue_.SetLimits({.max_length = 2});
  const std::vector<EnqueueOutcome> outcomes =
      queue_.Enqueue({TaskNamed("1"), TaskNamed("2"), TaskNamed("3")}, "request");
  EXPECT_EQ(Kind::kCreated, outcomes.at(1).kind);
  EXPECT_EQ(Kind::kFull, outcomes.at(2).kind);
  queue_.Lease(1);
  EXPECT_EQ(Kind::kCreated, queue_.Enqueue({TaskNamed("3")}, "request").at(0).kind);
}

TEST_P(EnqueueTest, AFullQueueMayDropTheOldestOfTheLowestPriority) {
  queue_.SetLimits({.max_length = 3, .drop_oldest = true});
  NewTask urgent = TaskNamed("urgent");
  urgent.priority = 9;
  queue_.Enqueue({TaskNamed("1"), TaskNamed("2"), urgent});
  EXPECT_EQ(Kind::kCreated, queue_.Enqueue({TaskNamed("3")}).at(0).kind);
  EXPECT_EQ(std::nullopt, queue_.Read("1"));
  EXPECT_THAT(IdsOf(queue_.Lease(9)), ElementsAre("urgent", "2", "3"));
}

TEST_P(EnqueueTest, ADelayedTaskIsScheduledAndBecomesReadyWhenItIsDue) {
  NewTask task = TaskNamed("1");
  task.delay = absl::Milliseconds(200);
  queue_.Enqueue({task});
  const TaskHints hints = queue_.LastHints();
  ASSERT_TRUE(hints.next.has_value());
  const std::optional<TaskView> view = queue_.Read("1");
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(TaskState::kScheduled, view->state);
  EXPECT_EQ(hints.next, view->due_at);
  EXPECT_EQ(view->enqueued_at + absl::Milliseconds(200), *view->due_at);
  EXPECT_THAT(queue_.Lease(1), IsEmpty());
  const TaskView ready = queue_.SweepUntil("1", TaskState::kReady);
  EXPECT_GE(ready.since, *view->due_at);
  EXPECT_THAT(IdsOf(queue_.Lease(1)), ElementsAre("1"));
}

TEST_P(EnqueueTest, AGroupThatWaitsIsWokenOnceAndByWhatItTakes) {
  QueueClient other(redis_, absl::Minutes(1), "00000000000000bb");
  EXPECT_THAT(queue_.Lease(2, {"a"}), IsEmpty());
  EXPECT_THAT(other.Lease(1), IsEmpty());
  queue_.Enqueue({TaskNamed("1", "b")});
  TaskHints hints = queue_.LastHints();
  ASSERT_THAT(hints.wakes, SizeIs(1));
  EXPECT_EQ("00000000000000bb", hints.wakes[0].boot);
  queue_.Enqueue({TaskNamed("2", "a")});
  hints = queue_.LastHints();
  ASSERT_THAT(hints.wakes, SizeIs(1));
  EXPECT_EQ("00000000000000aa", hints.wakes[0].boot);
  EXPECT_EQ(1u, hints.wakes[0].group);
  queue_.Enqueue({TaskNamed("3", "a")});
  EXPECT_THAT(queue_.LastHints().wakes, IsEmpty());
}

TEST_P(EnqueueTest, ManyTasksWakeAsManyOfThoseWhoWait) {
  QueueClient other(redis_, absl::Minutes(1), "00000000000000bb");
  queue_.Lease(1);
  other.Lease(1);
  queue_.Enqueue({TaskNamed("1"), TaskNamed("2"), TaskNamed("3")});
  EXPECT_THAT(queue_.LastHints().wakes, SizeIs(2));
}

TEST_P(EnqueueTest, AGroupThatHasNoRoomAnyMorePassesItsWakeOn) {
  QueueClient other(redis_, absl::Minutes(1), "00000000000000bb");
  queue_.Lease(1);
  other.Lease(1);
  queue_.Enqueue({TaskNamed("1")});
  EXPECT_EQ("00000000000000aa", queue_.LastHints().wakes.at(0).boot);
  queue_.Take(queue_.NewTurn(0));
  EXPECT_EQ("00000000000000bb", queue_.LastHints().wakes.at(0).boot);
}

TEST_P(EnqueueTest, AGroupWhoseWakeWasLostIsWokenAgain) {
  queue_.Lease(1);
  const absl::Time woken = MonotonicNow();
  queue_.Enqueue({TaskNamed("1")});
  EXPECT_THAT(queue_.LastHints().wakes, SizeIs(1));
  // Whoever has heard of that died before it could say so.
  do {
    queue_.Sweep();
  } while (queue_.LastHints().wakes.empty() && MonotonicNow() < woken + fakes::kPatience);
  EXPECT_GE(MonotonicNow() - woken, absl::Milliseconds(900));
  EXPECT_LT(MonotonicNow() - woken, fakes::kPatience);
}

TEST_P(EnqueueTest, ASweepWakesThoseForWhomSomethingLiesReady) {
  queue_.Lease(1, {"a"});
  queue_.Enqueue({TaskNamed("1", "a")});  // This wake is lost.
  queue_.Lease(0, {"a"});
  queue_.Take(queue_.NewTurn(0, {"a"}));
  QueueClient other(redis_, absl::Minutes(1), "00000000000000bb");
  queue_.SetPaused(true);
  EXPECT_THAT(other.Lease(1), IsEmpty());
  queue_.Sweep();
  EXPECT_THAT(queue_.LastHints().wakes, IsEmpty()) << "a queue that is paused has nothing for anybody";
  queue_.SetPaused(false);
  EXPECT_EQ("00000000000000bb", queue_.LastHints().wakes.at(0).boot);
}

}  // namespace
}  // namespace actioncluster

#include <algorithm>
#include <string>
#include <vector>

#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/tasks/queue_client.h"

// What becomes of a leased task: outcomes, lost leases, retries, dead letters; and turns that are repeated.
namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Outcome = TaskOutcome::Kind;

class TurnTest : public testing::TestWithParam<bool> {
 protected:
  LeasedTask LeaseOne() {
    const std::vector<LeasedTask> leased = queue_.Lease(1);
    CHECK_EQ(1u, leased.size());
    return leased[0];
  }
  NewTask Retained(const std::string& id) {
    NewTask task = TaskNamed(id);
    task.retain = absl::Minutes(1);
    return task;
  }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(GetParam());
  QueueClient queue_{redis_};
};

INSTANTIATE_TEST_SUITE_P(Redis, TurnTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Cluster" : "Single"; });

TEST_P(TurnTest, ACompletionIsRecordedOnceAndTheResultKeptIfAskedFor) {
  queue_.Enqueue({Retained("1"), TaskNamed("2")});
  const std::vector<LeasedTask> leased = queue_.Lease(2);
  TaskOutcome done = Done(leased.at(0));
  done.result = {.kind = Content::Kind::kBytes, .body = "result"};
  done.worker = "node/7";
  const TaskTurnResult::Settled settled = queue_.Settle(done);
  EXPECT_TRUE(settled.recorded);
  EXPECT_EQ(TaskState::kDone, settled.state);
  EXPECT_FALSE(queue_.Settle(done).recorded);
  const std::optional<TaskView> view = queue_.Read("1");
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(TaskState::kDone, view->state);
  EXPECT_EQ("result", view->result.body);
  EXPECT_EQ("node/7", view->worker);
  EXPECT_TRUE(view->retained);
  queue_.Settle(Done(leased.at(1)));
  EXPECT_EQ(std::nullopt, queue_.Read("2"));
  EXPECT_EQ(2, queue_.View().counts.total_completed);
}

TEST_P(TurnTest, AResultIsForgottenAfterItsTime) {
  NewTask task = TaskNamed("1");
  task.retain = absl::Milliseconds(100);
  queue_.Enqueue({task});
  queue_.Settle(Done(LeaseOne()));
  EXPECT_TRUE(queue_.Read("1").has_value());
  const absl::Time give_up = MonotonicNow() + fakes::kPatience;
  while (queue_.Read("1").has_value()) {
    queue_.Sweep();
    ASSERT_LT(MonotonicNow(), give_up);
  }
}

TEST_P(TurnTest, AnotherTokenIsRefusedAndChangesNothing) {
  queue_.Enqueue({Retained("1")});
  LeasedTask task = LeaseOne();
  --task.token;
  for (const Outcome kind :
       {Outcome::kDone, Outcome::kFailed, Outcome::kReturned, Outcome::kUnused, Outcome::kProgress}) {
    EXPECT_FALSE(queue_.Settle(OutcomeOf(task, kind)).recorded);
  }
  EXPECT_EQ(TaskState::kActive, queue_.Read("1")->state);
  EXPECT_THAT(queue_.Lease(1), IsEmpty());
}

TEST_P(TurnTest, ARepeatedTurnHasItsEffectOnceAndGivesTheSameAnswer) {
  queue_.Enqueue({TaskNamed("1"), TaskNamed("2"), TaskNamed("3")});
  TaskTurn turn = queue_.NewTurn(1);
  turn.outcomes.push_back(Done(LeaseOne()));
  turn.number = queue_.NewTurn(0).number;
  const TaskTurnResult first = queue_.Take(turn);
  const TaskTurnResult again = queue_.Take(turn);
  EXPECT_TRUE(first.settled.at(0).recorded);
  EXPECT_TRUE(again.settled.at(0).recorded);
  ASSERT_THAT(IdsOf(first.leased.at(0)), ElementsAre("2"));
  ASSERT_THAT(IdsOf(again.leased.at(0)), ElementsAre("2"));
  EXPECT_EQ(first.leased[0][0].token, again.leased[0][0].token);
  EXPECT_EQ(first.leased[0][0].input, again.leased[0][0].input);
  EXPECT_EQ(1, queue_.View().counts.total_completed);
  EXPECT_EQ(1, queue_.View().counts.ready);
}

TEST_P(TurnTest, AFailedTaskWaitsLongerEachTimeAndIsADeadLetterInTheEnd) {
  NewTask task = TaskNamed("1");
  task.backoff = absl::Milliseconds(40);
  queue_.Enqueue({task});
  std::vector<absl::Duration> waits;
  for (int attempt = 1; attempt <= 2; ++attempt) {
    const LeasedTask leased = LeaseOne();
    EXPECT_EQ(attempt, leased.attempt);
    EXPECT_EQ(TaskState::kRetrying, queue_.Settle(Failed(leased)).state);
    const TaskView retrying = *queue_.Read("1");
    EXPECT_EQ("it broke", retrying.error.message());
    waits.push_back(*retrying.due_at - retrying.since);
    queue_.SweepUntil("1", TaskState::kReady);
  }
  EXPECT_GE(waits[0], absl::Milliseconds(30));
  EXPECT_LE(waits[0], absl::Milliseconds(50));
  EXPECT_GE(waits[1], absl::Milliseconds(60));
  EXPECT_LE(waits[1], absl::Milliseconds(100));
  EXPECT_EQ(TaskState::kFailed, queue_.Settle(Failed(LeaseOne())).state);
  const TaskView dead = *queue_.Read("1");
  EXPECT_EQ(3, dead.attempts);
  EXPECT_EQ("it broke", dead.error.message());
  EXPECT_EQ(3, queue_.View().counts.total_failures);
}

TEST_P(TurnTest, WhatMayNotBeRetriedIsADeadLetterAtOnce) {
  queue_.Enqueue({TaskNamed("1")});
  EXPECT_EQ(TaskState::kFailed, queue_.Settle(Failed(LeaseOne(), /*retryable=*/false)).state);
  EXPECT_EQ(1, queue_.View().counts.failed);
}

TEST_P(TurnTest, AReturnedTaskIsReadyAtOnceAtItsPlaceAndHasSpentNoAttempt) {
  queue_.Enqueue({TaskNamed("1"), TaskNamed("2")});
  EXPECT_TRUE(queue_.Settle(OutcomeOf(LeaseOne(), Outcome::kReturned)).recorded);
  const LeasedTask again = LeaseOne();
  EXPECT_EQ("1", again.id);
  EXPECT_EQ(1, again.attempt);
  EXPECT_EQ(1, again.lost_leases);
}

TEST_P(TurnTest, TheTenthLostLeaseMakesADeadLetter) {
  queue_.Enqueue({TaskNamed("1")});
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(TaskState::kReady, queue_.Settle(OutcomeOf(LeaseOne(), Outcome::kReturned)).state);
  }
  EXPECT_EQ(TaskState::kFailed, queue_.Settle(OutcomeOf(LeaseOne(), Outcome::kReturned)).state);
  EXPECT_EQ(v1::ERROR_REASON_LEASE_LOST, ReasonOf(queue_.Read("1")->error));
  EXPECT_EQ(10, queue_.View().counts.total_lost_leases);
}

TEST_P(TurnTest, AnUnusedTaskIsAsIfItHadNotBeenLeased) {
  queue_.Enqueue({TaskNamed("1")});
  queue_.Settle(OutcomeOf(LeaseOne(), Outcome::kUnused));
  const LeasedTask again = LeaseOne();
  EXPECT_EQ(1, again.attempt);
  EXPECT_EQ(0, again.lost_leases);
}

TEST_P(TurnTest, ALeaseThatIsNotRenewedIsTakenBackAndOneThatIsHolds) {
  QueueClient brief(redis_, absl::Milliseconds(300), "00000000000000bb");
  brief.Enqueue({TaskNamed("kept"), TaskNamed("lost")});
  const std::vector<LeasedTask> leased = brief.Lease(2);
  ASSERT_THAT(leased, SizeIs(2));
  const absl::Time give_up = MonotonicNow() + fakes::kPatience;
  while (brief.Read("lost")->state == TaskState::kActive) {
    TaskTurn turn = brief.NewTurn(0);
    turn.renewals.push_back({leased[0].id, leased[0].token});
    EXPECT_THAT(brief.Take(turn).lost, IsEmpty());
    brief.Sweep();
    ASSERT_LT(MonotonicNow(), give_up);
  }
  EXPECT_EQ(TaskState::kActive, brief.Read("kept")->state);
  EXPECT_EQ(1, brief.Read("lost")->lost_leases);
  TaskTurn turn = brief.NewTurn(0);
  turn.renewals.push_back({leased[1].id, leased[1].token});
  ASSERT_THAT(brief.Take(turn).lost, SizeIs(1));
  EXPECT_FALSE(brief.Settle(Done(leased[1])).recorded);
}

TEST_P(TurnTest, ProgressIsSeenByThoseWhoWatchAndSoIsTheEnd) {
  queue_.Enqueue({Retained("1")});
  const auto watch = [&] {
    return queue_.Ask<std::optional<TaskView>>([](TaskStore& store, auto done) {
      store.Watch(QueueClient::kQueue, "1", "00000000000000cc", std::move(done));
    });
  };
  EXPECT_EQ(TaskState::kReady, watch()->state);
  const LeasedTask task = LeaseOne();
  ASSERT_THAT(queue_.LastHints().changes, SizeIs(1));
  TaskOutcome progress = OutcomeOf(task, Outcome::kProgress);
  progress.result = {.kind = Content::Kind::kBytes, .body = "half"};
  EXPECT_EQ(TaskState::kActive, queue_.Settle(progress).state);
  const TaskHints hints = queue_.LastHints();
  ASSERT_THAT(hints.changes, SizeIs(1));
  EXPECT_EQ("00000000000000cc", hints.changes[0].boot);
  EXPECT_EQ("1", hints.changes[0].id);
  EXPECT_EQ("half", queue_.Read("1")->progress.body);
  queue_.Settle(Done(task));
  EXPECT_THAT(queue_.LastHints().changes, SizeIs(1));
  EXPECT_EQ(TaskState::kDone, watch()->state);
}

TEST_P(TurnTest, FollowUpsComeWithTheCompletionHereAndByTheOutboxElsewhere) {
  queue_.Enqueue({TaskNamed("1")});
  TaskOutcome done = Done(LeaseOne());
  done.follow_ups.push_back({QueueClient::kQueue, TaskNamed("here")});
  done.follow_ups.push_back({"elsewhere", TaskNamed("there")});
  EXPECT_TRUE(queue_.Settle(done).recorded);
  EXPECT_FALSE(queue_.Settle(done).recorded);
  EXPECT_EQ("here", LeaseOne().id);
  const TaskSweepResult swept = queue_.Sweep();
  ASSERT_THAT(swept.outbox, SizeIs(1));
  EXPECT_EQ("elsewhere", swept.outbox[0].follow_up.queue);
  EXPECT_EQ("there", swept.outbox[0].follow_up.task.id);
  EXPECT_EQ("input of there", swept.outbox[0].follow_up.task.input.body);
}

TEST_P(TurnTest, WhatFollowsMayHaveTheUniqueKeyOfWhatItFollows) {
  NewTask first = TaskNamed("1");
  first.unique_key = "chain";
  queue_.Enqueue({first});
  TaskOutcome done = Done(LeaseOne());
  NewTask second = first;
  second.id = "2";
  done.follow_ups.push_back({QueueClient::kQueue, second});
  EXPECT_TRUE(queue_.Settle(done).recorded);
  EXPECT_EQ("2", LeaseOne().id);
}

TEST_P(TurnTest, ALateCopyOfAnOlderTurnChangesNothing) {
  queue_.Enqueue({TaskNamed("1"), TaskNamed("2")});
  const TaskTurn older = queue_.NewTurn(1);
  queue_.Take(older);
  queue_.Take(queue_.NewTurn(0));
  EXPECT_THAT(queue_.Take(older).leased, IsEmpty());
  EXPECT_EQ(1, queue_.View().counts.ready);
}

TEST_P(TurnTest, WhatIsLeftOfATaskDoesNotHoldUpTheOthers) {
  queue_.Enqueue({TaskNamed("1", "a"), TaskNamed("2", "a"), TaskNamed("3", "b"), TaskNamed("4", "b")});
  const std::string tasks = Keys(fakes::kNamespace).Queue(QueueClient::kQueue)[0];
  redis_.Command({"HDEL", tasks, "s:1", "s:3"});
  EXPECT_THAT(IdsOf(queue_.Lease(1, {"a"})), ElementsAre("2"));
  EXPECT_THAT(IdsOf(queue_.Lease(5)), ElementsAre("4"));
  EXPECT_EQ(0, queue_.View().counts.ready);
}

TEST_P(TurnTest, FollowUpsOfACompletionThatIsRefusedDoNotCome) {
  queue_.Enqueue({TaskNamed("1")});
  TaskOutcome done = Done(LeaseOne());
  --done.token;
  done.follow_ups.push_back({QueueClient::kQueue, TaskNamed("here")});
  done.follow_ups.push_back({"elsewhere", TaskNamed("there")});
  EXPECT_FALSE(queue_.Settle(done).recorded);
  EXPECT_THAT(queue_.Lease(1), IsEmpty());
  EXPECT_THAT(queue_.Sweep().outbox, IsEmpty());
}

TEST_P(TurnTest, NoMoreRunAtOnceThanTheQueueAllowsAndAnEndWakesThoseWhoWait) {
  queue_.SetLimits({.max_concurrency = 2});
  queue_.Enqueue({TaskNamed("1"), TaskNamed("2"), TaskNamed("3")});
  const std::vector<LeasedTask> leased = queue_.Lease(5);
  ASSERT_THAT(leased, SizeIs(2));
  TaskTurn turn = queue_.NewTurn(0, {}, /*group=*/2);
  turn.outcomes.push_back(Done(leased[0]));
  queue_.Take(turn);
  ASSERT_THAT(queue_.LastHints().wakes, SizeIs(1));
  EXPECT_THAT(queue_.Lease(5), SizeIs(1));
}

TEST_P(TurnTest, ARateLetsASecondsWorthBeginAndSaysWhenTheNextMay) {
  queue_.SetLimits({.rate = 2});
  queue_.Enqueue({TaskNamed("1"), TaskNamed("2"), TaskNamed("3")});
  const TaskTurnResult result = queue_.Take(queue_.NewTurn(5));
  EXPECT_THAT(result.leased.at(0), SizeIs(2));
  ASSERT_TRUE(result.retry_at.has_value());
  const absl::Time began = queue_.Read("2")->since;
  EXPECT_LE(*result.retry_at - began, absl::Milliseconds(500));
  const absl::Time give_up = MonotonicNow() + fakes::kPatience;
  while (queue_.Lease(5).empty()) ASSERT_LT(MonotonicNow(), give_up);
  EXPECT_GE(queue_.Read("3")->since + absl::Milliseconds(1), *result.retry_at);
}

TEST_P(TurnTest, APausedQueueGivesNothing) {
  queue_.SetPaused(true);
  queue_.Enqueue({TaskNamed("1")});
  EXPECT_THAT(queue_.Lease(1), IsEmpty());
  EXPECT_TRUE(queue_.View().paused);
  queue_.SetPaused(false);
  EXPECT_THAT(queue_.LastHints().wakes, SizeIs(1));
  EXPECT_THAT(queue_.Lease(1), SizeIs(1));
}

TEST_P(TurnTest, OneAnswerIsBoundedAndWhoGotLessIsWokenForTheRest) {
  std::vector<NewTask> tasks;
  for (int i = 0; i < 5; ++i) {
    tasks.push_back(TaskNamed(std::to_string(i)));
    tasks.back().input.body = std::string(1 << 20, 'x');
  }
  queue_.Enqueue(tasks);
  EXPECT_THAT(queue_.Lease(5), SizeIs(2));
  EXPECT_THAT(queue_.LastHints().wakes, SizeIs(1));
}

TEST_P(TurnTest, ATokenIsLargerThanAnyBeforeAlsoWhenRedisHasLostItsData) {
  queue_.Enqueue({TaskNamed("1")});
  const LeasedTask before = LeaseOne();
  redis_.Command({"FLUSHALL"});
  queue_.Enqueue({TaskNamed("1")});
  EXPECT_GT(LeaseOne().token, before.token);
  EXPECT_FALSE(queue_.Settle(Done(before)).recorded);
}

}  // namespace
}  // namespace actioncluster

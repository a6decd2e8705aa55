#include <string>
#include <vector>

#include "backplane/domain/error.h"
#include "tests/unit/workers/worker_table_test_base.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class WorkerTableLeasesTest : public WorkerTableTest {
 protected:
  // A worker of the queue `a` that has been sent these tasks, and asks for no more.
  Attached WithTasks(std::vector<LeasedTask> tasks, int concurrency = 0) {
    const auto count = static_cast<int>(tasks.size());
    const Attached worker = Attach({"a"}, concurrency == 0 ? count : concurrency);
    Take();
    Answer("a", std::move(tasks));
    return worker;
  }

  static LeaseRef Ref(const WorkerTask& task) { return {task.queue, task.task.id, task.task.token}; }

  std::vector<TaskTurn::Renewal> Renewals() {
    const std::map<std::string, TaskTurn> turns = Take();
    if (!turns.contains("a")) return {};
    std::vector<TaskTurn::Renewal> renewals = turns.at("a").renewals;
    return renewals;
  }
};

TEST_F(WorkerTableLeasesTest, AnOutcomeIsHandedInAndItsWorkerHearsThatItIsRecorded) {
  const Attached worker = WithTasks({Task("1")});
  Say(worker, worker.stream->tasks[0]);
  const TaskTurn turn = Take().at("a");
  ASSERT_THAT(turn.outcomes, SizeIs(1));
  EXPECT_EQ(turn.outcomes[0].id, "1");
  EXPECT_EQ(turn.outcomes[0].worker, "node-1/w1");
  EXPECT_EQ(table_.running(), 1u);
  Answer("a");
  EXPECT_THAT(worker.stream->recorded, ElementsAre("1"));
  EXPECT_EQ(table_.running(), 0u);
}

TEST_F(WorkerTableLeasesTest, AnOutcomeThatIsNotRecordedComesBackAsALostLease) {
  const Attached worker = WithTasks({Task("1")});
  Say(worker, worker.stream->tasks[0]);
  Take();
  TaskTurnResult result = Result("a");
  result.settled[0].recorded = false;
  table_.OnTurn("a", std::move(result), std::nullopt, now_);
  EXPECT_THAT(worker.stream->recorded, IsEmpty());
  EXPECT_THAT(worker.stream->revoked, ElementsAre(Pair(Ref(worker.stream->tasks[0]), RevokeReason::kLeaseLost)));
}

TEST_F(WorkerTableLeasesTest, AnOutcomeOfALeaseThatTheWorkerNeverHadComesBackAtOnce) {
  const Attached worker = WithTasks({Task("1")});
  WorkerTask other = worker.stream->tasks[0];
  other.task.token = 7;
  Say(worker, other);
  EXPECT_THAT(worker.stream->revoked, ElementsAre(Pair(Ref(other), RevokeReason::kLeaseLost)));
  EXPECT_EQ(Credit(Take(), "a"), 0) << "its place is still taken by the other";
}

TEST_F(WorkerTableLeasesTest, AnOutcomeThatIsSaidTwiceIsHandedInOnce) {
  const Attached worker = WithTasks({Task("1")});
  Say(worker, worker.stream->tasks[0]);
  Say(worker, worker.stream->tasks[0], TaskOutcome::Kind::kFailed);
  EXPECT_THAT(Take().at("a").outcomes, SizeIs(1));
  EXPECT_THAT(worker.stream->revoked, IsEmpty());
}

TEST_F(WorkerTableLeasesTest, OfProgressThatWaitsTheLastIsHandedIn) {
  const Attached worker = WithTasks({Task("1")});
  const WorkerTask& task = worker.stream->tasks[0];
  Say(worker, task, TaskOutcome::Kind::kProgress);
  Take();
  Say(worker, task, TaskOutcome::Kind::kProgress);
  Say(worker, task, TaskOutcome::Kind::kProgress);
  Answer("a");
  EXPECT_THAT(worker.stream->recorded, IsEmpty());
  EXPECT_THAT(Take().at("a").outcomes, SizeIs(1));
  Say(worker, task, TaskOutcome::Kind::kProgress);
  Say(worker, task);
  Answer("a");
  const TaskTurn turn = Take().at("a");
  ASSERT_THAT(turn.outcomes, SizeIs(2));
  EXPECT_EQ(turn.outcomes[0].kind, TaskOutcome::Kind::kProgress);
  EXPECT_EQ(turn.outcomes[1].kind, TaskOutcome::Kind::kDone);
}

TEST_F(WorkerTableLeasesTest, ProgressOfALostLeaseRevokesItAndThePlaceIsTakenUntilTheOutcome) {
  const Attached worker = WithTasks({Task("1")});
  const WorkerTask task = worker.stream->tasks[0];
  Say(worker, task, TaskOutcome::Kind::kProgress);
  Take();
  TaskTurnResult result = Result("a");
  result.settled[0].recorded = false;
  table_.OnTurn("a", std::move(result), std::nullopt, now_);
  EXPECT_THAT(worker.stream->revoked, SizeIs(1));
  EXPECT_THAT(Take(), IsEmpty());
  Say(worker, task);
  EXPECT_THAT(worker.stream->revoked, SizeIs(1));
  const TaskTurn turn = Take().at("a");
  EXPECT_THAT(turn.outcomes, IsEmpty()) << "it is not this worker's to end";
  EXPECT_EQ(turn.demands.at(0).credit, 1);
}

TEST_F(WorkerTableLeasesTest, LeasesOfAWorkerThatIsHeardAreRenewed) {
  const Attached worker = WithTasks({Task("1"), Task("2")});
  now_ += kLease / 6;
  table_.Heard(worker.id, now_);
  EXPECT_THAT(Renewals(), SizeIs(2));
  now_ += kLease / 6;
  EXPECT_THAT(Renewals(), IsEmpty()) << "they are on their way";
  Answer("a");
  now_ += kLease / 6;
  table_.Heard(worker.id, now_);
  EXPECT_THAT(Renewals(), SizeIs(2));
}

TEST_F(WorkerTableLeasesTest, LeasesOfASilentWorkerAreNotRenewedUntilItSpeaks) {
  const Attached worker = WithTasks({Task("1")}, 2);
  now_ += kLease / 3;
  EXPECT_THAT(Take(), IsEmpty());
  const uint64_t group = sent_.at("a").demands.at(0).group;
  table_.OnWake("a", {group});
  EXPECT_EQ(Credit(Take(), "a"), 0) << "it is sent nothing";
  Answer("a");
  now_ += kLease * 2;
  EXPECT_THAT(Renewals(), IsEmpty());
  EXPECT_THAT(worker.stream->revoked, IsEmpty()) << "Redis says whether it is lost";
  table_.Heard(worker.id, now_);
  EXPECT_THAT(Renewals(), SizeIs(1));
  TaskTurnResult result = Result("a");
  result.lost = {{.id = "1", .token = worker.stream->tasks[0].task.token}};
  table_.OnTurn("a", std::move(result), std::nullopt, now_);
  EXPECT_THAT(worker.stream->revoked, ElementsAre(Pair(Ref(worker.stream->tasks[0]), RevokeReason::kLeaseLost)));
}

TEST_F(WorkerTableLeasesTest, WhoseLeasesWereRenewedInTimeAfterASilenceKeepsThem) {
  const Attached worker = WithTasks({Task("1")});
  now_ += kLease;
  table_.Heard(worker.id, now_);
  EXPECT_THAT(Renewals(), SizeIs(1));
  Answer("a");
  EXPECT_THAT(worker.stream->revoked, IsEmpty());
}

TEST_F(WorkerTableLeasesTest, WorkersAreNotSilentBecauseTheNodeDidNotListen) {
  WithTasks({Task("1")});
  now_ += kLease;
  table_.HeardAll(now_);
  EXPECT_THAT(Renewals(), SizeIs(1));
}

TEST_F(WorkerTableLeasesTest, ATaskThatIsCancelledIsRevokedAndItsPlaceIsFreeWhenTheWorkerSaysSo) {
  const Attached worker = WithTasks({Task("1")});
  const WorkerTask task = worker.stream->tasks[0];
  table_.OnRevoked(Ref(task), true);
  table_.OnRevoked(Ref(task), true);
  EXPECT_THAT(worker.stream->revoked, ElementsAre(Pair(Ref(task), RevokeReason::kCancelled)));
  EXPECT_THAT(Take(), IsEmpty());
  Say(worker, task, TaskOutcome::Kind::kFailed);
  EXPECT_EQ(Credit(Take(), "a"), 1);
  EXPECT_THAT(worker.stream->revoked, SizeIs(1));
}

TEST_F(WorkerTableLeasesTest, ATaskThatIsCancelledBeforeItsTurnIsAnsweredIsNotSent) {
  const Attached worker = Attach({"a"}, 2);
  Take();
  LeasedTask cancelled = Task("1");
  table_.OnRevoked({"a", "1", cancelled.token}, true);
  Answer("a", {std::move(cancelled), Task("2")});
  EXPECT_THAT(worker.stream->ids(), ElementsAre("2"));
  EXPECT_EQ(Credit(Take(), "a"), 1);
}

TEST_F(WorkerTableLeasesTest, WhatIsWrongWithAProgressFailsTheAttemptAndThePlaceIsTakenUntilTheOutcome) {
  const Attached worker = WithTasks({Task("1")});
  const WorkerTask task = worker.stream->tasks[0];
  Say(worker, task, TaskOutcome::Kind::kFailed, /*ends=*/false);
  EXPECT_THAT(worker.stream->revoked, ElementsAre(Pair(Ref(task), RevokeReason::kInvalid)));
  const TaskTurn turn = Take().at("a");
  ASSERT_THAT(turn.outcomes, SizeIs(1));
  EXPECT_EQ(turn.outcomes[0].kind, TaskOutcome::Kind::kFailed);
  EXPECT_EQ(Credit({{"a", turn}}, "a"), 0) << "its handler still runs";
  Answer("a");
  EXPECT_THAT(worker.stream->recorded, IsEmpty()) << "the worker has not ended it";
  Say(worker, task, TaskOutcome::Kind::kFailed, /*ends=*/false);
  EXPECT_THAT(Take(), IsEmpty()) << "nor has it by saying the same again";
  Say(worker, task);
  const TaskTurn next = Take().at("a");
  EXPECT_THAT(next.outcomes, IsEmpty());
  EXPECT_EQ(next.demands.at(0).credit, 1);
}

TEST_F(WorkerTableLeasesTest, AnAttemptThatTakesTooLongFailsWhateverItsWorkerDoes) {
  const Attached worker = WithTasks({Task("1", absl::Seconds(1)), Task("2")});
  const WorkerTask task = worker.stream->tasks[0];
  EXPECT_EQ(task.deadline, now_ + absl::Seconds(1));
  EXPECT_EQ(worker.stream->tasks[1].deadline, absl::InfiniteFuture());
  EXPECT_EQ(table_.next_due(), task.deadline);
  now_ += absl::Seconds(1);
  const TaskTurn turn = Take().at("a");
  EXPECT_THAT(worker.stream->revoked, ElementsAre(Pair(Ref(task), RevokeReason::kTimeout)));
  ASSERT_THAT(turn.outcomes, SizeIs(1));
  EXPECT_EQ(turn.outcomes[0].kind, TaskOutcome::Kind::kFailed);
  EXPECT_EQ(turn.outcomes[0].error.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ReasonOf(turn.outcomes[0].error), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_TRUE(turn.outcomes[0].retryable);
  EXPECT_EQ(Credit({{"a", turn}}, "a"), 0);
  Say(worker, task);
  Answer("a");
  EXPECT_THAT(worker.stream->recorded, IsEmpty());
  const TaskTurn next = Take().at("a");
  EXPECT_THAT(next.outcomes, IsEmpty());
  EXPECT_EQ(next.demands.at(0).credit, 1);
}

TEST_F(WorkerTableLeasesTest, AnOutcomeBeforeTheDeadlineStands) {
  const Attached worker = WithTasks({Task("1", absl::Seconds(1))});
  Say(worker, worker.stream->tasks[0]);
  now_ += absl::Seconds(1);
  EXPECT_THAT(Take().at("a").outcomes, SizeIs(1));
  EXPECT_THAT(worker.stream->revoked, IsEmpty());
}

TEST_F(WorkerTableLeasesTest, WhenAStreamEndsItsTasksAreGivenBackButNotThoseThatItHasEnded) {
  const Attached worker = WithTasks({Task("1"), Task("2"), Task("3")});
  Say(worker, worker.stream->tasks[0]);
  Take();
  Say(worker, worker.stream->tasks[1]);
  table_.Detach(worker.id);
  Answer("a");
  const TaskTurn turn = Take().at("a");
  ASSERT_THAT(turn.outcomes, SizeIs(2));
  EXPECT_EQ(turn.outcomes[0].id, "2");
  EXPECT_EQ(turn.outcomes[0].kind, TaskOutcome::Kind::kDone);
  EXPECT_EQ(turn.outcomes[1].id, "3");
  EXPECT_EQ(turn.outcomes[1].kind, TaskOutcome::Kind::kReturned);
  EXPECT_EQ(turn.outcomes[1].worker, "node-1/w1");
  Answer("a");
  EXPECT_EQ(table_.running(), 0u);
  Take();
  Answer("a");
  EXPECT_TRUE(table_.idle());
}

TEST_F(WorkerTableLeasesTest, ALargeHeapOfOutcomesIsHandedInTurnByTurn) {
  std::vector<LeasedTask> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(Task(absl::StrCat(i)));
  const Attached worker = WithTasks(std::move(tasks));
  std::vector<WorkerOutcome> outcomes;
  for (const WorkerTask& task : worker.stream->tasks) {
    WorkerOutcome said;
    said.queue = "a";
    said.outcome = {.kind = TaskOutcome::Kind::kDone,
                    .id = task.task.id,
                    .token = task.task.token,
                    .worker = {},
                    .result = {.kind = Content::Kind::kBytes, .body = std::string(400'000, 'x')},
                    .error = {},
                    .follow_ups = {}};
    outcomes.push_back(std::move(said));
  }
  table_.Settle(worker.id, std::move(outcomes));
  size_t turns = 0;
  while (worker.stream->recorded.size() < 10) {
    const TaskTurn turn = Take().at("a");
    EXPECT_LE(turn.outcomes.size(), 2u);
    ASSERT_THAT(turn.outcomes, testing::Not(IsEmpty()));
    Answer("a");
    ++turns;
  }
  EXPECT_EQ(turns, 5u);
}

TEST_F(WorkerTableLeasesTest, AWorkerThatStopsEndsWhenItsOutcomesAreRecorded) {
  const Attached worker = WithTasks({Task("1")}, 2);
  table_.Stop(worker.id);
  const uint64_t group = sent_.at("a").demands.at(0).group;
  table_.OnWake("a", {group});
  EXPECT_EQ(Credit(Take(), "a"), 0);
  Answer("a");
  EXPECT_FALSE(worker.stream->closed.has_value());
  Say(worker, worker.stream->tasks[0]);
  Take();
  EXPECT_FALSE(worker.stream->closed.has_value());
  Answer("a");
  EXPECT_THAT(worker.stream->recorded, ElementsAre("1"));
  EXPECT_EQ(worker.stream->closed, absl::OkStatus());
  EXPECT_EQ(table_.workers(), 0u);
}

TEST_F(WorkerTableLeasesTest, AWorkerThatStopsWithNothingEndsAtOnceAndWhatWasLeasedForItGoesBack) {
  const Attached worker = Attach({"a"});
  Take();
  table_.Stop(worker.id);
  EXPECT_EQ(worker.stream->closed, absl::OkStatus());
  Answer("a", {Task("1")});
  const TaskTurn turn = Take().at("a");
  ASSERT_THAT(turn.outcomes, SizeIs(1));
  EXPECT_EQ(turn.outcomes[0].kind, TaskOutcome::Kind::kUnused);
}

TEST_F(WorkerTableLeasesTest, AWorkerThatStopsWithARevokedTaskWaitsForItsOutcome) {
  const Attached worker = WithTasks({Task("1")});
  table_.OnRevoked(Ref(worker.stream->tasks[0]), true);
  table_.Stop(worker.id);
  EXPECT_FALSE(worker.stream->closed.has_value());
  Say(worker, worker.stream->tasks[0]);
  EXPECT_EQ(worker.stream->closed, absl::OkStatus());
}

TEST_F(WorkerTableLeasesTest, ADrainTellsAllAndTakesNothingMore) {
  const Attached early = WithTasks({Task("1")}, 2);
  const uint64_t group = sent_.at("a").demands.at(0).group;
  const Attached asking = Attach({"b"});
  Take();
  table_.Drain({"other:1"});
  const Attached late = Attach({"a"});
  EXPECT_THAT(early.stream->drains, ElementsAre(ElementsAre("other:1")));
  EXPECT_THAT(late.stream->drains, ElementsAre(ElementsAre("other:1")));
  const TaskTurn left = Take().at("a");
  EXPECT_EQ(left.demands.at(0).group, group);
  EXPECT_EQ(left.demands.at(0).credit, 0) << "it waits no more";
  Answer("a");
  Answer("b", {Task("2")});
  EXPECT_THAT(asking.stream->ids(), IsEmpty());
  EXPECT_EQ(Take().at("b").outcomes.at(0).kind, TaskOutcome::Kind::kUnused);
  Answer("b");
  EXPECT_EQ(table_.running(), 1u);
  Say(early, early.stream->tasks[0]);
  Take();
  Answer("a");
  EXPECT_THAT(early.stream->recorded, ElementsAre("1"));
  EXPECT_EQ(table_.running(), 0u);
}

TEST_F(WorkerTableLeasesTest, WhenAllStreamsAreClosedWhatRanIsGivenBackAndThenThereIsNothingToHandIn) {
  const Attached worker = WithTasks({Task("1")}, 2);
  table_.CloseAll(absl::UnavailableError("stop"));
  ASSERT_TRUE(worker.stream->closed.has_value());
  EXPECT_EQ(worker.stream->closed->code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(table_.idle());
  EXPECT_EQ(Take().at("a").outcomes.at(0).kind, TaskOutcome::Kind::kReturned);
  EXPECT_FALSE(table_.idle());
  Answer("a");
  EXPECT_TRUE(table_.idle());
  EXPECT_EQ(table_.next_due(), absl::InfiniteFuture());
}

TEST_F(WorkerTableLeasesTest, AListingTellsWhatEachWorkerHas) {
  const Attached worker = WithTasks({Task("1"), Task("2")});
  Say(worker, worker.stream->tasks[1]);
  const std::vector<WorkerView> views = table_.List();
  ASSERT_THAT(views, SizeIs(1));
  EXPECT_EQ(views[0].worker_id, "w1");
  EXPECT_EQ(views[0].last_heard, now_);
  EXPECT_THAT(views[0].spec.queues, ElementsAre("a"));
  ASSERT_THAT(views[0].tasks, SizeIs(1));
  EXPECT_EQ(views[0].tasks[0].lease.id, "1");
  EXPECT_EQ(views[0].tasks[0].since, now_);
}

}  // namespace
}  // namespace actioncluster

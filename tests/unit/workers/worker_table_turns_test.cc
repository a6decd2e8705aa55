#include <string>
#include <vector>

#include "tests/unit/workers/worker_table_test_base.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST_F(WorkerTableTest, AWorkerAsksForAsMuchAsItHasPlaces) {
  const Attached worker = Attach({"a"}, 3);
  EXPECT_EQ(Credit(Take(), "a"), 3);
  EXPECT_THAT(Take(), IsEmpty()) << "one turn at a time";
  Answer("a", {Task("1"), Task("2")});
  EXPECT_THAT(worker.stream->ids(), ElementsAre("1", "2"));
  EXPECT_THAT(Take(), IsEmpty()) << "it waits now";
}

TEST_F(WorkerTableTest, AWakeAsksForWhatThereIsRoomFor) {
  const Attached worker = Attach({"a"}, 3);
  const uint64_t group = Take().at("a").demands.at(0).group;
  Answer("a", {Task("1")});
  table_.OnWake("a", {group});
  EXPECT_EQ(Credit(Take(), "a"), 2);
  Answer("a", {Task("2")});
  EXPECT_THAT(worker.stream->ids(), ElementsAre("1", "2"));
}

TEST_F(WorkerTableTest, AWakeDuringATurnIsNotForgottenWhenTheTurnFoundNothing) {
  Attach({"a"});
  const uint64_t group = Take().at("a").demands.at(0).group;
  table_.OnWake("a", {group});
  EXPECT_THAT(Take(), IsEmpty());
  Answer("a");
  EXPECT_EQ(Credit(Take(), "a"), 1);
  Answer("a");
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(WorkerTableTest, AQueueThatGaveAllThatWasAskedIsAskedAgainWhenThereIsRoom) {
  const Attached worker = Attach({"a"}, 2);
  Take();
  Answer("a", {Task("1"), Task("2")});
  EXPECT_THAT(Take(), IsEmpty()) << "it is full";
  Say(worker, worker.stream->tasks[0]);
  const std::map<std::string, TaskTurn> turns = Take();
  EXPECT_THAT(turns.at("a").outcomes, SizeIs(1));
  EXPECT_EQ(Credit(turns, "a"), 1) << "in the same turn as the outcome";
}

TEST_F(WorkerTableTest, AQueueIsAskedOnlyWhenTheMoreUrgentOneHasGivenLess) {
  const Attached worker = Attach({"a", "b"}, 3);
  const std::map<std::string, TaskTurn> first = Take();
  EXPECT_EQ(Credit(first, "a"), 3);
  EXPECT_FALSE(first.contains("b"));
  Answer("a", {Task("1")});
  EXPECT_EQ(Credit(Take(), "b"), 2);
  Answer("b", {Task("2"), Task("3")});
  EXPECT_THAT(worker.stream->ids(), ElementsAre("1", "2", "3"));
}

TEST_F(WorkerTableTest, TheMoreUrgentQueueComesFirstWheneverItMayHaveSomething) {
  const Attached worker = Attach({"a", "b"});
  const uint64_t group = Take().at("a").demands.at(0).group;
  Answer("a");
  Take();
  Answer("b", {Task("1")});
  table_.OnWake("a", {group});
  Take();
  Answer("a");
  Say(worker, worker.stream->tasks[0]);
  const std::map<std::string, TaskTurn> turns = Take();
  EXPECT_EQ(Credit(turns, "a"), 1);
  EXPECT_EQ(Credit(turns, "b"), 0);
}

TEST_F(WorkerTableTest, RoomThatComesWhileTheMoreUrgentQueueIsAskedWaitsForWhatItSays) {
  const Attached worker = Attach({"a", "b"}, 2);
  const uint64_t group = Take().at("a").demands.at(0).group;
  Answer("a");
  Take();
  Answer("b", {Task("1"), Task("2")});
  Say(worker, worker.stream->tasks[0]);
  table_.OnWake("a", {group});
  EXPECT_EQ(Credit(Take(), "a"), 1);
  Answer("b");
  Say(worker, worker.stream->tasks[1]);
  EXPECT_EQ(Credit(Take(), "b"), 0);
  Answer("b");
  Answer("a", {Task("3")});
  EXPECT_EQ(Credit(Take(), "a"), 1);
  Answer("a");
  EXPECT_EQ(Credit(Take(), "b"), 1);
}

TEST_F(WorkerTableTest, RoomThatIsAskedForAtOneQueueIsNotAskedForAtAnother) {
  const Attached worker = Attach({"*"}, 3);
  table_.SetQueues({"a", "b"});
  const std::map<std::string, TaskTurn> turns = Take();
  EXPECT_EQ(Credit(turns, "a") + Credit(turns, "b"), 3);
  EXPECT_GE(Credit(turns, "a"), 1);
  EXPECT_GE(Credit(turns, "b"), 1) << "none comes before another";
}

TEST_F(WorkerTableTest, AllQueuesTakeTurnsWithAWorkerOfOnePlace) {
  const Attached worker = Attach({"*"});
  table_.SetQueues({"a", "b", "c"});
  std::vector<std::string> order;
  for (int i = 0; i < 6; ++i) {
    const std::map<std::string, TaskTurn> turns = Take();
    std::string asked;
    for (const auto& [queue, turn] : turns) {
      if (Credit(turns, queue) > 0) asked = queue;
    }
    for (const auto& [queue, turn] : turns) {
      Answer(queue, queue == asked ? std::vector<LeasedTask>{Task(absl::StrCat(i))} : std::vector<LeasedTask>{});
    }
    order.push_back(asked);
    Say(worker, worker.stream->tasks.back());
  }
  EXPECT_THAT(order, ElementsAre("a", "b", "c", "a", "b", "c"));
}

TEST_F(WorkerTableTest, AQueueThatAppearsIsAskedByThoseWhoTakeAll) {
  Attach({"*"});
  table_.SetQueues({});
  EXPECT_THAT(Take(), IsEmpty());
  table_.OnAppeared("a");
  EXPECT_EQ(Credit(Take(), "a"), 1);
}

TEST_F(WorkerTableTest, AQueueThatIsGoneIsNotAskedAndItsWaitIsTakenBack) {
  Attach({"*"});
  table_.SetQueues({"a"});
  Take();
  Answer("a");
  table_.SetQueues({});
  const std::map<std::string, TaskTurn> turns = Take();
  ASSERT_THAT(turns.at("a").demands, SizeIs(1));
  EXPECT_EQ(Credit(turns, "a"), 0);
  Answer("a");
  EXPECT_TRUE(table_.idle());
  now_ += WorkerTable::kAskAgain;
  table_.Heard(1, now_);
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(WorkerTableTest, WorkersOfTheSameNamesAreOneGroupAndShareByHowBusyTheyAre) {
  const Attached small = Attach({"a"}, 1, {"x", "y"});
  const Attached large = Attach({"a"}, 4, {"y", "x"});
  const std::map<std::string, TaskTurn> turns = Take();
  ASSERT_THAT(turns.at("a").demands, SizeIs(1));
  EXPECT_THAT(turns.at("a").demands[0].names, ElementsAre("x", "y"));
  EXPECT_EQ(turns.at("a").demands[0].credit, 5);
  Answer("a", {Task("1"), Task("2"), Task("3")});
  EXPECT_THAT(small.stream->tasks, SizeIs(1));
  EXPECT_THAT(large.stream->tasks, SizeIs(2));
}

TEST_F(WorkerTableTest, WorkersThatAreEquallyBusyTakeTurns) {
  const Attached one = Attach({"a"}, 10);
  const Attached two = Attach({"a"}, 10);
  Take();
  Answer("a", {Task("1"), Task("2"), Task("3"), Task("4")});
  EXPECT_THAT(one.stream->tasks, SizeIs(2));
  EXPECT_THAT(two.stream->tasks, SizeIs(2));
}

TEST_F(WorkerTableTest, WorkersOfOtherNamesAreGroupsOfTheirOwnInOneTurn) {
  const Attached x = Attach({"a"}, 1, {"x"});
  const Attached y = Attach({"a"}, 2, {"y"});
  const std::map<std::string, TaskTurn> turns = Take();
  ASSERT_THAT(turns.at("a").demands, SizeIs(2));
  TaskTurnResult result = Result("a");
  const size_t of_y = turns.at("a").demands[0].credit == 2 ? 0 : 1;
  result.leased[of_y] = {Task("1")};
  table_.OnTurn("a", std::move(result), std::nullopt, now_);
  EXPECT_THAT(x.stream->ids(), IsEmpty());
  EXPECT_THAT(y.stream->ids(), ElementsAre("1"));
}

TEST_F(WorkerTableTest, ATurnAsksForNoMoreThanOneScriptMayGive) {
  Attach({"a"}, 1024);
  Attach({"a"}, 1024);
  EXPECT_EQ(Credit(Take(), "a"), WorkerTable::kMostCredit);
}

TEST_F(WorkerTableTest, AWakeForWorkersThatAreFullIsPassedOnAndRemembered) {
  const Attached worker = Attach({"a", "b"});
  const uint64_t group = Take().at("a").demands.at(0).group;
  Answer("a");
  Take();
  Answer("b", {Task("1")});
  table_.OnWake("a", {group});
  const std::map<std::string, TaskTurn> passed = Take();
  ASSERT_THAT(passed.at("a").demands, SizeIs(1));
  EXPECT_EQ(passed.at("a").demands[0].credit, 0);
  Answer("a");
  EXPECT_THAT(Take(), IsEmpty()) << "once";
  Say(worker, worker.stream->tasks[0]);
  EXPECT_EQ(Credit(Take(), "a"), 1) << "now there is room";
}

TEST_F(WorkerTableTest, AWakeForAGroupThatIsNotThereIsPassedOn) {
  table_.OnWake("a", {77});
  const std::map<std::string, TaskTurn> turns = Take();
  ASSERT_THAT(turns.at("a").demands, SizeIs(1));
  EXPECT_EQ(turns.at("a").demands[0].group, 77u);
  EXPECT_EQ(turns.at("a").demands[0].credit, 0);
  Answer("a");
  EXPECT_TRUE(table_.idle());
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(WorkerTableTest, TheLastWorkerOfAGroupTakesBackItsWait) {
  const Attached one = Attach({"a"});
  const Attached two = Attach({"a"});
  Take();
  Answer("a");
  table_.Detach(one.id);
  EXPECT_THAT(Take(), IsEmpty());
  table_.Detach(two.id);
  const std::map<std::string, TaskTurn> turns = Take();
  ASSERT_THAT(turns.at("a").demands, SizeIs(1));
  EXPECT_EQ(turns.at("a").demands[0].credit, 0);
  Answer("a");
  EXPECT_TRUE(table_.idle());
}

TEST_F(WorkerTableTest, AWaitIsTakenBackWhenTheGroupLeftDuringItsTurn) {
  const Attached worker = Attach({"a"});
  Take();
  table_.Detach(worker.id);
  EXPECT_THAT(Take(), IsEmpty());
  Answer("a");
  const std::map<std::string, TaskTurn> turns = Take();
  ASSERT_THAT(turns.at("a").demands, SizeIs(1));
  EXPECT_EQ(turns.at("a").demands[0].credit, 0);
}

TEST_F(WorkerTableTest, WhatWasLeasedForAWorkerThatLeftGoesToAnotherOfItsGroup) {
  const Attached one = Attach({"a"});
  Take();
  const Attached two = Attach({"a"});
  table_.Detach(one.id);
  Answer("a", {Task("1")});
  EXPECT_THAT(two.stream->ids(), ElementsAre("1"));
}

TEST_F(WorkerTableTest, WhatWasLeasedForAWorkerThatLeftIsHandedBackUnusedIfNobodyTakesIt) {
  const Attached one = Attach({"a"});
  const Attached other = Attach({"b"});
  Take();
  table_.Detach(one.id);
  Answer("b");
  Answer("a", {Task("1")});
  EXPECT_THAT(other.stream->ids(), IsEmpty());
  const std::map<std::string, TaskTurn> turns = Take();
  ASSERT_THAT(turns.at("a").outcomes, SizeIs(1));
  EXPECT_EQ(turns.at("a").outcomes[0].kind, TaskOutcome::Kind::kUnused);
  EXPECT_EQ(turns.at("a").outcomes[0].token, token_);
}

TEST_F(WorkerTableTest, ALostTurnIsSentAgainAsItWas) {
  const Attached worker = Attach({"a"}, 2);
  const TaskTurn sent = Take().at("a");
  Lose("a");
  Attach({"a"}, 5);
  EXPECT_THAT(Take(), IsEmpty()) << "not at once";
  now_ += WorkerTable::kFirstRetry;
  const TaskTurn again = Take().at("a");
  EXPECT_EQ(again.number, sent.number);
  ASSERT_THAT(again.demands, SizeIs(1));
  EXPECT_EQ(again.demands[0].credit, 2);
  Answer("a", {Task("1"), Task("2")});
  EXPECT_EQ(worker.stream->tasks.size(), 2u);
  const TaskTurn next = Take().at("a");
  EXPECT_GT(next.number, sent.number);
  EXPECT_EQ(next.demands[0].credit, 5);
}

TEST_F(WorkerTableTest, ALostTurnIsSentAgainAtOnceWhenRedisIsBack) {
  Attach({"a"});
  Take();
  Lose("a");
  table_.LookAgain(now_);
  EXPECT_THAT(Take(), SizeIs(1));
}

TEST_F(WorkerTableTest, TheWaitBeforeALostTurnIsSentAgainGrowsUpToItsMost) {
  Attach({"a"});
  Take();
  for (int i = 0; i < 10; ++i) {
    Lose("a");
    now_ += WorkerTable::kMostRetry;
    table_.Heard(1, now_);
    ASSERT_THAT(Take(), SizeIs(1));
  }
  Lose("a");
  now_ += WorkerTable::kMostRetry / 2;
  EXPECT_THAT(Take(), IsEmpty());
}

TEST_F(WorkerTableTest, AQueueThatIsBrokenDoesNotKeepRoomFromOthers) {
  Attach({"a", "b"});
  Take();
  table_.OnTurnLost("a", absl::InternalError("WRONGTYPE"), now_);
  EXPECT_EQ(Credit(Take(), "b"), 1);
}

TEST_F(WorkerTableTest, ARateThatHoldsTasksBackIsTriedAgainWhenItLetsThemGo) {
  Attach({"a"});
  Take();
  table_.OnTurn("a", Result("a"), now_ + absl::Seconds(1), now_);
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_LE(table_.next_due(), now_ + absl::Seconds(1));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Credit(Take(), "a"), 1);
}

TEST_F(WorkerTableTest, AGroupThatWaitsForLongSaysSoAgain) {
  const Attached worker = Attach({"a", "b"}, 4);
  Take();
  Answer("a");
  Take();
  Answer("b");
  now_ += WorkerTable::kAskAgain;
  table_.Heard(worker.id, now_);
  EXPECT_THAT(Take(), UnorderedElementsAre(testing::Key("a"), testing::Key("b")));
}

TEST_F(WorkerTableTest, ANodeThatDoesNotServeAsksForNothingAndHandsInOutcomes) {
  const Attached worker = Attach({"a"});
  Take();
  Answer("a", {Task("1")});
  table_.SetNode({"node-1", "boot-1"}, false);
  Say(worker, worker.stream->tasks[0]);
  const TaskTurn turn = Take().at("a");
  EXPECT_THAT(turn.outcomes, SizeIs(1));
  EXPECT_THAT(turn.demands, IsEmpty());
}

TEST_F(WorkerTableTest, ANewBootAsksAnewAsItsWaitsWereAnothers) {
  Attach({"a"});
  Attach({"b"});
  Take();
  Answer("a");
  table_.SetNode({"node-2", "boot-2"}, true);
  EXPECT_EQ(Take().at("a").boot, "boot-2");
  Answer("b");  // Its turn was made as the former boot.
  EXPECT_EQ(Take().at("b").boot, "boot-2");
}

TEST_F(WorkerTableTest, AWorkerThatDoesNotReadGetsNoMore) {
  const Attached worker = Attach({"a"}, 4);
  Take();
  Answer("a", {Task("1"), Task("2"), Task("3"), Task("4")});
  worker.stream->crowded = true;
  Say(worker, worker.stream->tasks[0]);
  EXPECT_EQ(Credit(Take(), "a"), 0);
  Answer("a");
  worker.stream->crowded = false;
  EXPECT_EQ(Credit(Take(), "a"), 1);
}

TEST_F(WorkerTableTest, AWorkerThatCannotBeSentItsTasksIsClosedAndTheyGoBackUnused) {
  const Attached worker = Attach({"a"}, 2);
  Take();
  worker.stream->full = true;
  Answer("a", {Task("1"), Task("2")});
  ASSERT_TRUE(worker.stream->closed.has_value());
  EXPECT_EQ(worker.stream->closed->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(table_.workers(), 0u);
  const TaskTurn turn = Take().at("a");
  ASSERT_THAT(turn.outcomes, SizeIs(2));
  EXPECT_EQ(turn.outcomes[0].kind, TaskOutcome::Kind::kUnused);
}

}  // namespace
}  // namespace actioncluster

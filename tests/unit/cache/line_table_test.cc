#include "backplane/cache/line_table.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Result = LineTable::Result;

class LineTableTest : public testing::Test {
 protected:
  LineTable::Id Add(absl::Duration wait = absl::Minutes(1)) { return table_.Add(lock_, now_ + wait); }
  LineTable::Actions Take() { return table_.Take(now_, &next_); }
  // Adds a caller, and brings it into the line.
  LineTable::Id AddWaiting(absl::Duration wait = absl::Minutes(1),
                           std::optional<absl::Duration> changes_in = std::nullopt) {
    const LineTable::Id id = Add(wait);
    Take();
    EXPECT_TRUE(table_.Tried(id, Result::kWaits, changes_in, now_));
    return id;
  }
  CacheStore::Watch Known(std::vector<LineTable::Id> turns = {}) {
    return {.known = true, .changes_in = std::nullopt, .turns = std::move(turns)};
  }

  const CacheLineRef lock_{CacheLineRef::Kind::kLock, "key"};
  const CacheLineRef list_{CacheLineRef::Kind::kList, "key"};
  absl::Time now_ = absl::FromUnixSeconds(1000);
  absl::Time next_;
  LineTable table_;
};

TEST_F(LineTableTest, ACallerIsTriedAtOnceAndThenWhenItsTurnComes) {
  const LineTable::Id id = Add();
  EXPECT_THAT(Take().attempts, ElementsAre(id));
  EXPECT_THAT(Take().attempts, IsEmpty());
  EXPECT_TRUE(table_.Tried(id, Result::kWaits, std::nullopt, now_));
  EXPECT_THAT(Take().attempts, IsEmpty());
  table_.TurnOf(lock_, {id});
  EXPECT_THAT(Take().attempts, ElementsAre(id));
  EXPECT_TRUE(table_.Tried(id, Result::kGot, std::nullopt, now_));
  EXPECT_EQ(0, table_.size());
  EXPECT_THAT(Take().words, IsEmpty());
  EXPECT_EQ(absl::InfiniteFuture(), next_);
}

TEST_F(LineTableTest, ATurnThatComesDuringAnAttemptIsTakenByTheNext) {
  const LineTable::Id id = Add();
  Take();
  table_.TurnOf(lock_, {id});
  EXPECT_THAT(Take().attempts, IsEmpty());
  table_.Tried(id, Result::kWaits, std::nullopt, now_);
  EXPECT_THAT(Take().attempts, ElementsAre(id));
}

TEST_F(LineTableTest, AtItsDeadlineACallerEndsAndRedisHearsOfIt) {
  const LineTable::Id id = AddWaiting(absl::Seconds(2));
  Take();
  EXPECT_EQ(now_ + absl::Seconds(2), next_);
  now_ += absl::Seconds(2);
  const LineTable::Actions actions = Take();
  EXPECT_THAT(actions.timed_out, ElementsAre(id));
  ASSERT_THAT(actions.words, SizeIs(1));
  EXPECT_EQ(lock_, actions.words[0].line);
  EXPECT_FALSE(actions.words[0].waiting);
  EXPECT_THAT(actions.words[0].gone, ElementsAre(id));
  table_.Said(lock_, true, Known(), now_);
  EXPECT_THAT(Take().words, IsEmpty());
  EXPECT_EQ(absl::InfiniteFuture(), next_);
}

TEST_F(LineTableTest, NobodyEndsWithoutAnAttempt) {
  const LineTable::Id id = Add(absl::ZeroDuration());
  now_ += absl::Seconds(1);
  const LineTable::Actions actions = Take();
  EXPECT_THAT(actions.attempts, ElementsAre(id));
  EXPECT_THAT(actions.timed_out, IsEmpty());
  table_.Tried(id, Result::kWaits, std::nullopt, now_);
  EXPECT_THAT(Take().timed_out, ElementsAre(id));
}

TEST_F(LineTableTest, ADeadlineDuringAnAttemptWaitsForWhatItComesTo) {
  const LineTable::Id got = Add(absl::Seconds(1));
  const LineTable::Id waits = Add(absl::Seconds(1));
  Take();
  now_ += absl::Seconds(5);
  EXPECT_THAT(Take().timed_out, IsEmpty());
  EXPECT_EQ(absl::InfiniteFuture(), next_);
  EXPECT_TRUE(table_.Tried(got, Result::kGot, std::nullopt, now_));
  EXPECT_TRUE(table_.Tried(waits, Result::kWaits, std::nullopt, now_));
  EXPECT_THAT(Take().timed_out, ElementsAre(waits));
}

TEST_F(LineTableTest, WhatACancelledCallerStillGetsIsNotWanted) {
  const LineTable::Id id = Add();
  Take();
  EXPECT_TRUE(table_.Cancel(id));
  EXPECT_FALSE(table_.Tried(id, Result::kGot, std::nullopt, now_));
  EXPECT_EQ(0, table_.size());
  EXPECT_THAT(Take().words, IsEmpty()) << "it is in no line any more";
}

TEST_F(LineTableTest, OfACancelledCallerThatStillGotIntoTheLineRedisHears) {
  const LineTable::Id id = Add();
  Take();
  EXPECT_TRUE(table_.Cancel(id));
  EXPECT_FALSE(table_.Tried(id, Result::kWaits, std::nullopt, now_));
  const LineTable::Actions actions = Take();
  ASSERT_THAT(actions.words, SizeIs(1));
  EXPECT_THAT(actions.words[0].gone, ElementsAre(id));
}

TEST_F(LineTableTest, CancellingAWaitingCallerTellsRedisAtOnce) {
  const LineTable::Id first = AddWaiting();
  const LineTable::Id second = AddWaiting();
  EXPECT_FALSE(table_.Cancel(first));
  const LineTable::Actions actions = Take();
  ASSERT_THAT(actions.words, SizeIs(1));
  EXPECT_TRUE(actions.words[0].waiting);
  EXPECT_THAT(actions.words[0].gone, ElementsAre(first));
  EXPECT_FALSE(table_.Cancel(first)) << "it has ended";
  EXPECT_EQ(1, table_.size());
  table_.TurnOf(lock_, {second});
  EXPECT_THAT(Take().attempts, ElementsAre(second));
}

TEST_F(LineTableTest, WhileCallersWaitRedisHearsSoEveryFewSeconds) {
  AddWaiting();
  Take();
  EXPECT_EQ(now_ + LineTable::kSayEvery, next_);
  now_ = next_;
  const LineTable::Actions actions = Take();
  ASSERT_THAT(actions.words, SizeIs(1));
  EXPECT_TRUE(actions.words[0].waiting);
  EXPECT_THAT(actions.words[0].gone, IsEmpty());
  EXPECT_THAT(Take().words, IsEmpty()) << "one at a time";
  table_.Said(lock_, true, Known(), now_);
  Take();
  EXPECT_EQ(now_ + LineTable::kSayEvery, next_);
}

TEST_F(LineTableTest, WhenTheLockEndsByItselfRedisIsAskedRightThen) {
  AddWaiting(absl::Minutes(1), absl::Milliseconds(500));
  Take();
  EXPECT_EQ(now_ + absl::Milliseconds(501), next_);
  now_ = next_;
  EXPECT_THAT(Take().words, SizeIs(1));
  // It was renewed meanwhile.
  table_.Said(lock_, true, {.known = true, .changes_in = absl::Milliseconds(300), .turns = {}}, now_);
  Take();
  EXPECT_EQ(now_ + absl::Milliseconds(301), next_);
}

TEST_F(LineTableTest, ATurnThatRedisTellsWithAWordIsTaken) {
  const LineTable::Id id = AddWaiting();
  now_ += LineTable::kSayEvery;
  Take();
  table_.Said(lock_, true, Known({id}), now_);
  EXPECT_THAT(Take().attempts, ElementsAre(id));
}

TEST_F(LineTableTest, TheTurnOfSomeoneWhoIsNotHereGoesBack) {
  AddWaiting();
  table_.TurnOf(lock_, {77});
  const LineTable::Actions actions = Take();
  EXPECT_THAT(actions.attempts, IsEmpty());
  ASSERT_THAT(actions.words, SizeIs(1));
  EXPECT_THAT(actions.words[0].gone, ElementsAre(77));
}

TEST_F(LineTableTest, ATurnInALineWhereNobodyWaitsGoesBackToo) {
  const LineTable::Id id = AddWaiting();
  table_.TurnOf(list_, {id});
  const LineTable::Actions actions = Take();
  EXPECT_THAT(actions.attempts, IsEmpty()) << "it waits in another line";
  ASSERT_THAT(actions.words, SizeIs(1));
  EXPECT_EQ(list_, actions.words[0].line);
  EXPECT_FALSE(actions.words[0].waiting);
  table_.Said(list_, true, Known(), now_);
  now_ += absl::Minutes(10);
  const std::vector<LineTable::Actions::Word> later = Take().words;
  EXPECT_TRUE(std::none_of(later.begin(), later.end(), [&](const auto& word) { return word.line == list_; }));
}

TEST_F(LineTableTest, IfRedisHasForgottenTheLineAllAreTriedAgain) {
  const LineTable::Id first = AddWaiting();
  const LineTable::Id second = AddWaiting();
  now_ += LineTable::kSayEvery;
  Take();
  table_.Said(lock_, true, {.known = false, .changes_in = std::nullopt, .turns = {}}, now_);
  EXPECT_THAT(Take().attempts, ElementsAre(first, second)) << "in their order";
}

TEST_F(LineTableTest, WhileRedisIsAwayCallersWaitOnAndTheWordIsSaidAgain) {
  const LineTable::Id id = AddWaiting();
  now_ += LineTable::kSayEvery;
  Take();
  table_.Said(lock_, false, {}, now_);
  EXPECT_THAT(Take().attempts, IsEmpty());
  EXPECT_EQ(now_ + LineTable::kSayEvery, next_);
  now_ = next_;
  EXPECT_THAT(Take().words, SizeIs(1));
  EXPECT_EQ(1, table_.size());
  table_.Doubt();
  EXPECT_THAT(Take().attempts, ElementsAre(id));
}

TEST_F(LineTableTest, InDoubtAnAttemptUnderWayIsFollowedByAnother) {
  const LineTable::Id id = Add();
  Take();
  table_.Doubt();
  EXPECT_THAT(Take().attempts, IsEmpty());
  table_.Tried(id, Result::kWaits, std::nullopt, now_);
  EXPECT_THAT(Take().attempts, ElementsAre(id));
}

TEST_F(LineTableTest, AFailedAttemptEndsTheCallerAndRedisHearsOfIt) {
  const LineTable::Id id = Add();
  Take();
  EXPECT_TRUE(table_.Tried(id, Result::kFailed, std::nullopt, now_));
  EXPECT_EQ(0, table_.size());
  const LineTable::Actions actions = Take();
  ASSERT_THAT(actions.words, SizeIs(1));
  EXPECT_THAT(actions.words[0].gone, ElementsAre(id)) << "it may have lined up before the answer was lost";
}

TEST_F(LineTableTest, WhoGoesWhileAWordIsUnderWayIsInTheNext) {
  const LineTable::Id first = AddWaiting();
  const LineTable::Id second = AddWaiting();
  table_.Cancel(first);
  Take();
  table_.Cancel(second);
  EXPECT_THAT(Take().words, IsEmpty());
  table_.Said(lock_, true, Known(), now_);
  const LineTable::Actions actions = Take();
  ASSERT_THAT(actions.words, SizeIs(1));
  EXPECT_FALSE(actions.words[0].waiting);
  EXPECT_THAT(actions.words[0].gone, ElementsAre(second));
}

}  // namespace
}  // namespace actioncluster

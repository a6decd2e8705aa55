#include <cstdint>
#include <string>
#include <vector>

#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/cache/cache_client.h"

// Locks, lists and those who wait for them, as the scripts see them; on a single Redis and on a cluster of one.
namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = CacheLineRef::Kind;

CacheWaiter Here(uint64_t number) { return {.boot = "00000000000000aa", .number = number}; }
CacheWaiter There(uint64_t number) { return {.boot = "00000000000000bb", .number = number}; }

class CacheLinesTest : public testing::TestWithParam<bool> {
 protected:
  // It lines up behind who has the lock.
  void LineUp(const std::string& holder, const CacheWaiter& waiter) {
    const auto attempt = cache_.Lock(holder, waiter);
    ASSERT_TRUE(attempt.ok());
    ASSERT_FALSE(attempt->got.has_value()) << holder;
  }
  int64_t KeyCount() { return *redis_.Command({"DBSIZE"}).view().Integer(); }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(GetParam());
  CacheClient cache_{redis_};
};

INSTANTIATE_TEST_SUITE_P(Redis, CacheLinesTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Cluster" : "Single"; });

TEST_P(CacheLinesTest, TheSameHolderRenewsItsLockAndKeepsItsToken) {
  const auto first = cache_.Lock("me", {}, absl::Seconds(10));
  ASSERT_TRUE(first.ok() && first->got.has_value());
  EXPECT_FALSE(first->got->renewed);
  const auto second = cache_.Lock("me", {}, absl::Seconds(20));
  EXPECT_TRUE(second->got->renewed);
  EXPECT_EQ(first->got->token, second->got->token);
  EXPECT_GT(second->got->expires_at, first->got->expires_at + absl::Seconds(9));
  const HeldLock held = **cache_.CheckLock();
  EXPECT_EQ("me", held.holder);
  EXPECT_EQ(second->got->expires_at, held.expires_at);
}

TEST_P(CacheLinesTest, TokensGrowAndNothingIsLeftOfALockThatEnded) {
  int64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    const int64_t token = cache_.MustLock("me");
    EXPECT_GT(token, last);
    last = token;
    EXPECT_TRUE(*cache_.Unlock({.holder = "me", .token = token}));
  }
  EXPECT_EQ(0, KeyCount());
}

TEST_P(CacheLinesTest, WithoutWaitingALockOfAnotherIsNotHad) {
  cache_.MustLock("me");
  const auto other = cache_.Lock("you");
  EXPECT_FALSE(other->got.has_value());
  EXPECT_EQ("me", other->held_by);
  EXPECT_TRUE(other->changes_in.has_value());
  EXPECT_EQ(1, KeyCount()) << "it does not line up";
}

TEST_P(CacheLinesTest, UnlockTellsWhoMayNotAndWhatWasNotThere) {
  EXPECT_FALSE(*cache_.Unlock({.holder = "me"}));
  const int64_t token = cache_.MustLock("me");
  EXPECT_EQ(v1::ERROR_REASON_KEY_LOCKED, ReasonOf(cache_.Unlock({.holder = "you"}).status()));
  EXPECT_EQ(v1::ERROR_REASON_LEASE_LOST, ReasonOf(cache_.Unlock({.holder = "me", .token = token + 1}).status()));
  EXPECT_TRUE(*cache_.Unlock({.holder = "", .token = token}));
}

TEST_P(CacheLinesTest, ALockThatIsGivenUpGoesToTheFirstInLineAndToNobodyElse) {
  cache_.MustLock("me");
  LineUp("first", Here(1));
  LineUp("second", There(2));
  ASSERT_TRUE(cache_.Unlock({.holder = "me"}).ok());
  EXPECT_EQ(1, cache_.NextTurn());
  EXPECT_FALSE(cache_.Lock("pusher")->got.has_value());
  EXPECT_EQ("", cache_.Lock("pusher")->held_by) << "nobody has it, but it is another's turn";
  LineUp("second", There(2));
  cache_.MustLock("first", Here(1));
  ASSERT_TRUE(cache_.Unlock({.holder = "first"}).ok());
  const CacheWaiter next = cache_.turns().Next();
  EXPECT_EQ(There(2).boot, next.boot);
  EXPECT_EQ(2, next.number);
  cache_.MustLock("second", There(2));
  EXPECT_EQ(0, cache_.turns().size());
}

TEST_P(CacheLinesTest, ATurnThatIsNotTakenPassesOnAndItsOwnerStandsAtTheEnd) {
  cache_.MustLock("me");
  LineUp("first", Here(1));
  LineUp("second", Here(2));
  ASSERT_TRUE(cache_.Unlock({.holder = "me"}).ok());
  EXPECT_EQ(1, cache_.NextTurn());
  const absl::Time give_up = absl::Now() + fakes::kPatience;
  // Whoever looks when it has lapsed passes it on.
  while (cache_.turns().size() == 0) {
    ASSERT_LT(absl::Now(), give_up);
    ASSERT_TRUE(cache_.Wait(Kind::kLock, Here(0).boot, true).ok());
  }
  EXPECT_EQ(2, cache_.NextTurn());
  cache_.MustLock("second", Here(2));
  ASSERT_TRUE(cache_.Unlock({.holder = "second"}).ok());
  EXPECT_EQ(1, cache_.NextTurn());
}

TEST_P(CacheLinesTest, WhoWaitsNoMoreIsPassedOver) {
  cache_.MustLock("me");
  LineUp("first", Here(1));
  LineUp("second", Here(2));
  LineUp("third", There(3));
  ASSERT_TRUE(cache_.Wait(Kind::kLock, Here(0).boot, true, {1}).ok());
  ASSERT_TRUE(cache_.Unlock({.holder = "me"}).ok());
  EXPECT_EQ(2, cache_.NextTurn());
  // Its node says that nobody waits there any more: its turn goes to another node.
  ASSERT_TRUE(cache_.Wait(Kind::kLock, Here(0).boot, false, {2}).ok());
  EXPECT_EQ(3, cache_.NextTurn());
}

TEST_P(CacheLinesTest, AllOfANodeThatIsSaidToBeGoneArePassedOver) {
  cache_.MustLock("me");
  for (uint64_t i = 1; i <= 5; ++i) LineUp(absl::StrCat("dead", i), There(i));
  LineUp("alive", Here(9));
  ASSERT_TRUE(cache_.Unlock({.holder = "me"}).ok());
  EXPECT_EQ(1, cache_.NextTurn());
  ASSERT_TRUE(cache_.Wait(Kind::kLock, There(0).boot, false, {1}).ok());
  EXPECT_EQ(9, cache_.NextTurn());
}

TEST_P(CacheLinesTest, ALockThatEndsByItselfIsPassedOnByWhoeverSaysThatItWaits) {
  cache_.MustLock("me");
  LineUp("first", Here(1));
  redis_.Command({"PEXPIRE", cache_.keys().Cache(Keys::CacheKind::kLock, CacheClient::kKey), "1"});
  const absl::Time give_up = absl::Now() + fakes::kPatience;
  CacheStore::Watch watch;
  while (watch.turns.empty()) {
    ASSERT_LT(absl::Now(), give_up);
    watch = *cache_.Wait(Kind::kLock, Here(0).boot, true);
    EXPECT_TRUE(watch.known);
  }
  EXPECT_THAT(watch.turns, ElementsAre(1));
}

TEST_P(CacheLinesTest, ANodeThatRedisDoesNotKnowHearsSo) {
  EXPECT_FALSE(cache_.Wait(Kind::kLock, Here(0).boot, true)->known);
  EXPECT_TRUE(cache_.Wait(Kind::kLock, Here(0).boot, true)->known);
  const CacheStore::Watch last = *cache_.Wait(Kind::kLock, Here(0).boot, false);
  EXPECT_FALSE(last.changes_in.has_value());
  EXPECT_THAT(last.turns, IsEmpty());
  EXPECT_EQ(0, KeyCount()) << "nothing is left of a line in which nobody waits";
}

TEST_P(CacheLinesTest, AReaderWaitsForAMomentWithoutLockAndPassesItsTurnOn) {
  ASSERT_TRUE(cache_.Save("x").ok());
  cache_.MustLock("me");
  LoadOptions options;
  options.key = CacheClient::kKey;
  EXPECT_EQ("me", cache_.Load(options, Here(1))->held_by);
  LineUp("second", Here(2));
  ASSERT_TRUE(cache_.Unlock({.holder = "me"}).ok());
  EXPECT_EQ(1, cache_.NextTurn());
  EXPECT_EQ("x", cache_.Load(options, Here(1))->got->content.body);
  EXPECT_EQ(2, cache_.NextTurn());
}

TEST_P(CacheLinesTest, AListGivesItsItemsInTheirOrder) {
  EXPECT_EQ(1, *cache_.Push("a"));
  EXPECT_EQ(2, *cache_.Push("b"));
  EXPECT_EQ(2, *cache_.ListLength());
  EXPECT_EQ("a", cache_.Popped());
  EXPECT_EQ("b", cache_.Popped());
  EXPECT_EQ("", cache_.Popped());
  EXPECT_EQ(0, KeyCount());
}

TEST_P(CacheLinesTest, AFullListRefusesButTakesBackWhatItGave) {
  for (int i = 0; i < CacheClient::kMaxListLength; ++i) ASSERT_TRUE(cache_.Push(absl::StrCat(i)).ok());
  const absl::Status full = cache_.Push("more").status();
  EXPECT_EQ(v1::ERROR_REASON_LIMIT_EXCEEDED, ReasonOf(full));
  EXPECT_EQ("cache_list_length", MetadataOf(full)["limit"]);
  EXPECT_EQ("0", cache_.Popped());
  ASSERT_TRUE(cache_.Push("more").ok());
  EXPECT_TRUE(cache_.PutBack("0").ok());
  EXPECT_EQ("0", cache_.Popped());
}

TEST_P(CacheLinesTest, APushOrAPopThatIsRepeatedHasItsEffectOnce) {
  EXPECT_EQ(1, *cache_.Push("a", "p"));
  EXPECT_EQ(1, *cache_.Push("a", "p"));
  EXPECT_EQ(2, *cache_.Push("b", "q"));
  EXPECT_EQ("a", cache_.Popped({}, "x"));
  EXPECT_EQ("a", cache_.Popped({}, "x"));
  EXPECT_EQ("b", cache_.Popped({}, "y"));
}

TEST_P(CacheLinesTest, ItemsGoToThoseWhoWaitedLongest) {
  EXPECT_EQ("", cache_.Popped(Here(1)));
  EXPECT_EQ("", cache_.Popped(There(2)));
  EXPECT_EQ("", cache_.Popped(Here(3)));
  ASSERT_TRUE(cache_.Push("a").ok());
  ASSERT_TRUE(cache_.Push("b").ok());
  EXPECT_EQ(1, cache_.NextTurn());
  EXPECT_EQ(2, cache_.NextTurn());
  EXPECT_EQ("", cache_.Popped()) << "both are spoken for";
  EXPECT_EQ("a", cache_.Popped(There(2)));
  EXPECT_EQ("b", cache_.Popped(Here(1)));
  ASSERT_TRUE(cache_.Push("c").ok());
  EXPECT_EQ(3, cache_.NextTurn());
}

TEST_P(CacheLinesTest, AnItemBeyondThoseSpokenForIsAnybodys) {
  EXPECT_EQ("", cache_.Popped(Here(1)));
  ASSERT_TRUE(cache_.Push("a").ok());
  ASSERT_TRUE(cache_.Push("b").ok());
  EXPECT_EQ("a", cache_.Popped());
  EXPECT_EQ("", cache_.Popped());
  EXPECT_EQ("b", cache_.Popped(Here(1)));
}

TEST_P(CacheLinesTest, IfTheListIsClearedBeforeATurnIsTakenItsOwnerWaitsOn) {
  EXPECT_EQ("", cache_.Popped(Here(1)));
  ASSERT_TRUE(cache_.Push("a").ok());
  EXPECT_EQ(1, cache_.NextTurn());
  redis_.Command({"UNLINK", cache_.keys().Cache(Keys::CacheKind::kList, CacheClient::kKey)});
  EXPECT_EQ("", cache_.Popped(Here(1)));
  ASSERT_TRUE(cache_.Push("b").ok());
  EXPECT_EQ("b", cache_.Popped(Here(1)));
}

TEST_P(CacheLinesTest, OneIdNamesACallOfItsOwnKindOnly) {
  EXPECT_EQ(1, *cache_.Push("a", "x"));
  EXPECT_EQ("a", cache_.Popped({}, "x"));
  EXPECT_EQ(1, cache_.Increment(1, "x")->value);
  SaveOptions options = CacheClient::SaveOf("1");
  options.request_id = "x";
  EXPECT_TRUE(cache_.Save(options).ok());
}

TEST_P(CacheLinesTest, ARepeatedPopThatHasItsItemLeavesTheLine) {
  ASSERT_TRUE(cache_.Push("a").ok());
  EXPECT_EQ("a", cache_.Popped({}, "x"));
  EXPECT_EQ("", cache_.Popped(Here(1)));
  EXPECT_EQ("", cache_.Popped(Here(2)));
  ASSERT_TRUE(cache_.Push("b").ok());
  EXPECT_EQ(1, cache_.NextTurn());
  EXPECT_EQ("a", cache_.Popped(Here(1), "x"));
  EXPECT_EQ(2, cache_.NextTurn()) << "the turn passes on at once";
}

TEST_P(CacheLinesTest, ALockThatItsHolderHasRenewedIsNotGivenBackForAnEarlierCall) {
  const LockGrant first = *cache_.Lock("me")->got;
  const LockGrant second = *cache_.Lock("me")->got;
  EXPECT_NE(first.expires_at, second.expires_at) << "even within one millisecond";
  EXPECT_EQ(v1::ERROR_REASON_LEASE_LOST, ReasonOf(cache_.GiveBack(first).status()));
  EXPECT_TRUE(cache_.CheckLock()->has_value());
  EXPECT_TRUE(*cache_.GiveBack(second));
  EXPECT_FALSE(cache_.CheckLock()->has_value());
}

TEST_P(CacheLinesTest, ANodeThatWasSilentForTooLongHearsThatItIsNotKnown) {
  EXPECT_FALSE(cache_.Wait(Kind::kLock, Here(0).boot, true)->known);
  const std::string boots = cache_.keys().CacheLine(Keys::CacheKind::kLock, CacheClient::kKey)[2];
  redis_.Command({"HSET", boots, Here(0).boot, "1"});
  EXPECT_FALSE(cache_.Wait(Kind::kLock, Here(0).boot, true)->known) << "its callers may have been passed over";
}

}  // namespace
}  // namespace actioncluster

// Locks hold over all nodes: who has one alone changes the value, and whose lock has ended changes nothing any more.
//
// ACTIONTEST_ROUNDS=100000 build/release/cluster_cache --gtest_filter='CacheLocksTest.*Exact': so many rounds, however long it takes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/cache_calls.h"
#include "tests/cluster/cache_rounds.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {
namespace {

using testing::IsEmpty;

constexpr absl::Duration kShort = absl::Milliseconds(100);  // A lock's life that nobody renews.
constexpr absl::Duration kLong = absl::Minutes(1);

int64_t RoundsToDo() {
  const char* const text = std::getenv("ACTIONTEST_ROUNDS");
  int64_t rounds = 0;
  return text != nullptr && absl::SimpleAtoi(text, &rounds) ? rounds : 3000;
}

class CacheLocksTest : public testing::Test {
 protected:
  explicit CacheLocksTest(const Cluster::Options& options = Cluster::Options()) : cluster_(3, options) {}

  v1::LockResponse Lock(const Node& node, const v1::LockRequest& request) {
    return Good(Ask(node, &Cache::Lock, request));
  }
  bool AwaitNoKeys() {
    return Await([&] { return CacheKeysIn(cluster_.redis()).empty(); });
  }

  Cluster cluster_;
  Node& one_ = cluster_.node(1);
  Node& two_ = cluster_.node(2);
  Node& three_ = cluster_.node(3);
};

TEST_F(CacheLocksTest, TheSumOfRoundsOverAllNodesIsExact) {
  const int64_t rounds = RoundsToDo();
  const absl::Time begun = absl::Now();
  const CacheRounds clients(cluster_, {.rounds = rounds});
  const absl::Duration took = absl::Now() - begun;
  EXPECT_THAT(clients.problems(), IsEmpty());
  EXPECT_EQ(clients.acknowledged(), rounds);
  EXPECT_EQ(ParseRounds(Good(Ask(two_, &Cache::Load, On<v1::LoadRequest>("sum"))).data()).sum, rounds);
  std::cout << rounds << " rounds of 50 clients took " << took << ", " << took / rounds << " each\n";
  Good(Ask(one_, &Cache::Destroy, On<v1::DestroyRequest>("sum")));
  EXPECT_TRUE(AwaitNoKeys()) << testing::PrintToString(CacheKeysIn(cluster_.redis()));
}

TEST_F(CacheLocksTest, TheSumCountsWhatWasAcknowledgedWhileClientsDieInTheMiddle) {
  const absl::Time begun = absl::Now();
  const CacheRounds clients(cluster_, {.rounds = 200, .expire_after = absl::Milliseconds(50), .dying = true});
  EXPECT_THAT(clients.problems(), IsEmpty());
  EXPECT_GT(clients.acknowledged(), 50);
  EXPECT_TRUE(Await([&] { return Good(Ask(two_, &Cache::CheckLock, On<v1::CheckLockRequest>("sum"))).obtainable(); }));
  EXPECT_EQ(ParseRounds(Good(Ask(two_, &Cache::Load, On<v1::LoadRequest>("sum"))).data()).sum, clients.acknowledged());
  std::cout << clients.acknowledged() << " rounds acknowledged, " << clients.abandoned() << " given up, "
            << clients.refused() << " refused, in " << absl::Now() - begun << "\n";
  Good(Ask(one_, &Cache::Destroy, On<v1::DestroyRequest>("sum")));
  EXPECT_TRUE(AwaitNoKeys()) << testing::PrintToString(CacheKeysIn(cluster_.redis()));
}

TEST_F(CacheLocksTest, AHolderThatWasPausedPastItsLocksEndChangesNothingAnyMore) {
  Good(Ask(one_, &Cache::Save, SaveOf("k", "before")));
  const int64_t version = Good(Ask(one_, &Cache::Load, On<v1::LoadRequest>("k"))).version();
  const v1::LockResponse paused = Lock(one_, LockOf("k", "paused", kShort));
  ASSERT_TRUE(paused.acquired());
  // The pause is over when the lock is another's.
  const v1::LockResponse next = Lock(two_, LockOf("k", "next", kLong, kLong));
  ASSERT_TRUE(next.acquired());
  EXPECT_GT(next.token(), paused.token());
  EXPECT_GE(absl::Now(), ToTime(paused.expires_at()) - absl::Milliseconds(1));

  const auto expect_refused = [&](const std::string& when) {
    v1::SaveRequest save = SaveOf("k", "too late");
    save.set_token(paused.token());
    EXPECT_EQ(ReasonOf(Ask(one_, &Cache::Save, save).status), "LEASE_LOST") << when;
    // The token counts alone, whoever the holder says it is.
    save.set_holder("next");
    EXPECT_EQ(ReasonOf(Ask(one_, &Cache::Save, save).status), "LEASE_LOST") << when;
    EXPECT_EQ(ReasonOf(Ask(one_, &Cache::Unlock, UnlockOf("k", paused.token())).status), "LEASE_LOST") << when;
    auto destroy = On<v1::DestroyRequest>("k");
    destroy.set_token(paused.token());
    EXPECT_EQ(ReasonOf(Ask(one_, &Cache::Destroy, destroy).status), "LEASE_LOST") << when;
    auto increment = On<v1::IncrementRequest>("k");
    increment.set_token(paused.token());
    EXPECT_EQ(ReasonOf(Ask(one_, &Cache::Increment, increment).status), "LEASE_LOST") << when;
    auto compare = On<v1::CompareAndSaveRequest>("k");
    compare.set_data("too late");
    compare.set_version(version);
    compare.set_token(paused.token());
    EXPECT_EQ(ReasonOf(Ask(one_, &Cache::CompareAndSave, compare).status), "LEASE_LOST") << when;
  };
  expect_refused("while another has it");
  // In its own name only, it is refused because another has the lock.
  v1::SaveRequest named = SaveOf("k", "too late");
  named.set_holder("paused");
  EXPECT_EQ(ReasonOf(Ask(one_, &Cache::Save, named).status), "KEY_LOCKED");
  EXPECT_FALSE(Lock(one_, LockOf("k", "paused", kShort)).acquired());

  v1::SaveRequest save = SaveOf("k", "in time");
  save.set_token(next.token());
  Good(Ask(three_, &Cache::Save, save));
  EXPECT_TRUE(Good(Ask(three_, &Cache::Unlock, UnlockOf("k", next.token()))).released());
  expect_refused("while nobody has it");
  EXPECT_EQ(Good(Ask(two_, &Cache::Load, On<v1::LoadRequest>("k"))).data(), "in time");
}

TEST_F(CacheLocksTest, ALockedKeyIsKeptFromOthersOnAllNodesAndItsHolderRenewsIt) {
  const v1::LockResponse lock = Lock(one_, LockOf("k", "me", kLong));
  v1::SaveRequest mine = SaveOf("k", "mine");
  mine.set_holder("me");
  Good(Ask(two_, &Cache::Save, mine));
  for (const Node& node : cluster_.nodes()) {
    EXPECT_EQ(ReasonOf(Ask(node, &Cache::Load, On<v1::LoadRequest>("k")).status), "KEY_LOCKED");
    EXPECT_EQ(ReasonOf(Ask(node, &Cache::Save, SaveOf("k", "yours")).status), "KEY_LOCKED");
    EXPECT_EQ(ReasonOf(Ask(node, &Cache::Destroy, On<v1::DestroyRequest>("k")).status), "KEY_LOCKED");
    const v1::CheckLockResponse seen = Good(Ask(node, &Cache::CheckLock, On<v1::CheckLockRequest>("k")));
    EXPECT_FALSE(seen.obtainable());
    EXPECT_EQ(seen.held_by(), "me");
    EXPECT_EQ(ToTime(seen.expires_at()), ToTime(lock.expires_at()));
    auto yours = On<v1::UnlockRequest>("k");
    yours.set_holder("you");
    EXPECT_EQ(ReasonOf(Ask(node, &Cache::Unlock, yours).status), "KEY_LOCKED");
    EXPECT_FALSE(Lock(node, LockOf("k", "you", kLong)).acquired());
    auto load = On<v1::LoadRequest>("k");
    load.set_holder("me");
    EXPECT_EQ(Good(Ask(node, &Cache::Load, load)).data(), "mine");
  }
  const v1::LockResponse renewed = Lock(three_, LockOf("k", "me", 2 * kLong));
  EXPECT_TRUE(renewed.acquired());
  EXPECT_EQ(renewed.token(), lock.token());
  EXPECT_GT(ToTime(renewed.expires_at()), ToTime(lock.expires_at()) + kLong / 2);
  EXPECT_TRUE(Good(Ask(two_, &Cache::Unlock, UnlockOf("k", lock.token()))).released());
  EXPECT_TRUE(Good(Ask(one_, &Cache::CheckLock, On<v1::CheckLockRequest>("k"))).obtainable());
}

TEST_F(CacheLocksTest, LocksLeaveNothingBehindHoweverTheyEnd) {
  constexpr int kLocks = 100;
  for (int i = 0; i < kLocks; ++i) {
    const std::string key = absl::StrCat("k-", i);
    const Node& node = cluster_.node(1 + i % 3);
    const v1::LockResponse lock = Lock(node, LockOf(key, "me", i % 2 == 0 ? kLong : kShort));
    ASSERT_TRUE(lock.acquired());
    if (i % 4 == 0) {
      // One that waits, and gets it; one that waits, and goes away.
      const auto waits = WaitForLock(cluster_.node(1 + (i + 1) % 3), LockOf(key, "next", kShort, kLong));
      const auto leaves = WaitForLock(cluster_.node(1 + (i + 2) % 3), LockOf(key, "leaves", kShort, kLong));
      ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), key) == 2; }));
      leaves->Cancel();
      Good(Ask(node, &Cache::Unlock, UnlockOf(key, lock.token())));
      EXPECT_TRUE(Good(waits->Await()).acquired());
    } else if (i % 2 == 0) {
      Good(Ask(node, &Cache::Unlock, UnlockOf(key, lock.token())));
    }
  }
  EXPECT_TRUE(AwaitNoKeys()) << testing::PrintToString(CacheKeysIn(cluster_.redis()));
}

class CacheLocksOutageTest : public CacheLocksTest {
 protected:
  CacheLocksOutageTest()
      : CacheLocksTest(
            {.flags = {}, .redis = {.password = "", .args = {"--appendonly", "yes", "--appendfsync", "always"}}}) {}

  // Once the node has found its way back to Redis.
  v1::LockResponse LockAtLast(const Node& node, const v1::LockRequest& request) {
    Answered<v1::LockResponse> answered;
    EXPECT_TRUE(Await([&] {
      answered = Ask(node, &Cache::Lock, request);
      return answered.ok() || !IsOutage(answered.status);
    }));
    return Good(std::move(answered));
  }
};

TEST_F(CacheLocksOutageTest, TokensGrowOverRestartsOfRedisAndALockOutlivesOne) {
  int64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    const Node& node = cluster_.node(1 + i);
    const v1::LockResponse lock = LockAtLast(node, LockOf("k", "me", kLong));
    EXPECT_TRUE(lock.acquired());
    EXPECT_GT(lock.token(), last);
    last = lock.token();
    cluster_.redis().Kill();
    cluster_.redis().Start();
    EXPECT_EQ(LockAtLast(node, LockOf("k", "you", kLong)).held_by(), "me");
    EXPECT_EQ(LockAtLast(node, LockOf("k", "me", kLong)).token(), last);
    Good(Ask(node, &Cache::Unlock, UnlockOf("k", last)));
  }
  // Expiry does not let them go back either.
  for (int i = 0; i < 3; ++i) {
    const v1::LockResponse lock =
        LockAtLast(cluster_.node(1 + i), LockOf("k", absl::StrCat("waits-", i), kShort / 2, kLong));
    EXPECT_TRUE(lock.acquired());
    EXPECT_GT(lock.token(), last);
    last = lock.token();
  }
  // Nor does the loss of all that Redis knew.
  cluster_.redis().Command({"FLUSHALL"});
  EXPECT_GT(LockAtLast(one_, LockOf("k", "me", kShort)).token(), last);
}

TEST_F(CacheLocksOutageTest, WhoWaitsWhileRedisIsRestartedGetsTheLockInTheEnd) {
  const v1::LockResponse lock = Lock(one_, LockOf("k", "me", kLong));
  std::vector<std::unique_ptr<WaitingLock>> waiting;
  for (int i = 0; i < 6; ++i) {
    waiting.push_back(WaitForLock(cluster_.node(1 + i % 3), LockOf("k", absl::StrCat("waits-", i), kShort, kLong)));
    ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), "k") == i + 1; }));
  }
  cluster_.redis().Kill();
  cluster_.redis().Start();
  EXPECT_EQ(LockAtLast(one_, LockOf("k", "me", kLong)).token(), lock.token());
  const absl::Time unlocked = absl::Now();
  Good(Ask(one_, &Cache::Unlock, UnlockOf("k", lock.token())));
  for (const auto& waits : waiting) {
    const Answered<v1::LockResponse> got = waits->Await();
    // A call may hear of the outage; none may hang.
    if (got.ok()) {
      EXPECT_TRUE(got.response.acquired());
    } else {
      EXPECT_EQ(ReasonOf(got.status), "BACKPLANE_UNAVAILABLE") << Describe(got.status);
    }
  }
  std::cout << "all ended " << absl::Now() - unlocked << " after the lock was given up\n";
  EXPECT_LT(absl::Now() - unlocked, absl::Seconds(10));
}

}  // namespace
}  // namespace actioncluster::cluster

// Those who wait for locks and items over all nodes: in the order in which they came, woken at once, and nobody waits for who is gone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/cache_calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::cluster {
namespace {

using testing::ElementsAreArray;

constexpr absl::Duration kLong = absl::Minutes(5);

std::vector<int> Range(int from, int to) {
  std::vector<int> numbers;
  for (int i = from; i < to; ++i) numbers.push_back(i);
  return numbers;
}

class CacheWaitingTest : public testing::Test {
 protected:
  // Each on the next node, and each in line before the next comes. Who got it is told to `got_`.
  void LineUpForLock(int count, const std::string& key = "k") {
    for (int i = 0; i < count; ++i) {
      const int number = static_cast<int>(locks_.size());
      const int64_t before = WaitingForLock(cluster_.redis(), key);
      locks_.push_back(WaitForLock(cluster_.node(1 + number % 3),
                                   LockOf(key, absl::StrCat("waits-", number), kLong, kLong),
                                   [this, number] { got_.Add(number); }));
      ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), key) == before + 1; })) << number;
    }
  }
  void LineUpForItem(int count) {
    for (int i = 0; i < count; ++i) {
      const int number = static_cast<int>(pops_.size());
      const int64_t before = WaitingForItem(cluster_.redis(), "k");
      pops_.push_back(
          WaitForItem(cluster_.node(1 + number % 3), PopOf("k", kLong), [this, number] { got_.Add(number); }));
      ASSERT_TRUE(Await([&] { return WaitingForItem(cluster_.redis(), "k") == before + 1; })) << number;
    }
  }
  // The next that has the lock; it gives it up through its own node.
  int NextTurn(const std::string& key = "k") {
    const int number = got_.Next();
    const Answered<v1::LockResponse> got = locks_[static_cast<size_t>(number)]->Await();
    EXPECT_TRUE(got.ok() && got.response.acquired()) << number << " " << Describe(got.status);
    if (got.ok()) Good(Ask(cluster_.node(1 + number % 3), &Cache::Unlock, UnlockOf(key, got.response.token())));
    return number;
  }
  std::vector<int> NextTurns(size_t count) {
    std::vector<int> turns;
    while (turns.size() < count) turns.push_back(NextTurn());
    return turns;
  }
  int64_t HoldLock(const std::string& key = "k") {
    return Good(Ask(one_, &Cache::Lock, LockOf(key, "holds", kLong))).token();
  }
  void GiveUp(int64_t token) { Good(Ask(one_, &Cache::Unlock, UnlockOf("k", token))); }
  bool AwaitNoKeys() {
    return Await([&] { return CacheKeysIn(cluster_.redis()).empty(); });
  }

  Cluster cluster_{3};
  Node& one_ = cluster_.node(1);
  Node& two_ = cluster_.node(2);
  Node& three_ = cluster_.node(3);
  const fakes::Waiter<int> got_;
  std::vector<std::unique_ptr<WaitingLock>> locks_;
  std::vector<std::unique_ptr<WaitingPop>> pops_;
};

TEST_F(CacheWaitingTest, AThousandOverThreeNodesGetTheLockInTheOrderInWhichTheyCame) {
  constexpr int kWaiting = 1000;
  const int64_t token = HoldLock();
  ASSERT_NO_FATAL_FAILURE(LineUpForLock(kWaiting));
  EXPECT_EQ(got_.size(), 0U);
  const absl::Time begun = absl::Now();
  GiveUp(token);
  EXPECT_THAT(NextTurns(kWaiting), ElementsAreArray(Range(0, kWaiting)));
  std::cout << kWaiting << " turns took " << absl::Now() - begun << "\n";
  int64_t last = token;
  for (const auto& lock : locks_) {
    EXPECT_GT(lock->Await().response.token(), last);
    last = lock->Await().response.token();
  }
  EXPECT_TRUE(AwaitNoKeys()) << testing::PrintToString(CacheKeysIn(cluster_.redis()));
}

TEST_F(CacheWaitingTest, ConnectionsThatAreKilledGiveTheirPlacesUp) {
  constexpr int kOfTheDead = 200;
  constexpr int kOthers = 30;
  const int64_t token = HoldLock();
  ASSERT_NO_FATAL_FAILURE(LineUpForLock(kOthers));
  std::vector<std::unique_ptr<Program>> dead;
  for (const Node& node : cluster_.nodes()) {
    dead.push_back(std::make_unique<Program>(std::vector<std::string>{"/usr/bin/python3", CACHE_CLIENT, "wait",
                                                                      node.address(), "k", absl::StrCat(kOfTheDead)},
                                             std::vector<std::string>{absl::StrCat("PYTHONPATH=", PYTHON_STUBS)}));
  }
  for (const auto& program : dead) ASSERT_TRUE(program->AwaitOut("waiting")) << program->Err();
  ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), "k") == kOthers + 3 * kOfTheDead; }));
  ASSERT_NO_FATAL_FAILURE(LineUpForLock(kOthers));

  const absl::Time killed = absl::Now();
  for (const auto& program : dead) program->Signal(SIGKILL);
  EXPECT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), "k") == 2 * kOthers; }))
      << WaitingForLock(cluster_.redis(), "k");
  std::cout << 3 * kOfTheDead << " places were free " << absl::Now() - killed << " after the kill\n";
  GiveUp(token);
  EXPECT_THAT(NextTurns(2 * kOthers), ElementsAreArray(Range(0, 2 * kOthers)));
  EXPECT_TRUE(AwaitNoKeys()) << testing::PrintToString(CacheKeysIn(cluster_.redis()));
}

TEST_F(CacheWaitingTest, WaitersOfANodeThatIsKilledHoldNobodyUpForLong) {
  constexpr int kEach = 50;
  const int64_t token = HoldLock();
  std::vector<std::unique_ptr<WaitingLock>> dead;
  for (int i = 0; i < kEach; ++i)
    dead.push_back(WaitForLock(three_, LockOf("k", absl::StrCat("dead-", i), kLong, kLong)));
  ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), "k") == kEach; }));
  const absl::Time end = absl::Now() + kPatience;
  const auto alive = WaitForLock(two_, LockOf("k", "alive", kLong, kLong));
  ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), "k") == kEach + 1; }));
  const absl::Time killed = absl::Now();
  three_.Kill();
  GiveUp(token);
  ASSERT_TRUE(Await([&] { return alive->has_ended(); }));
  EXPECT_TRUE(Good(alive->Await()).acquired());
  std::cout << "the first who lives had the lock " << absl::Now() - killed << " after the kill of the node of " << kEach
            << " before it\n";
  EXPECT_LT(absl::Now(), end);
  for (const auto& lock : dead) EXPECT_FALSE(lock->Await().ok());
  Good(Ask(two_, &Cache::Unlock, UnlockOf("k", alive->Await().response.token())));
  EXPECT_TRUE(AwaitNoKeys()) << testing::PrintToString(CacheKeysIn(cluster_.redis()));
}

TEST_F(CacheWaitingTest, ALockThatEndsByItselfWakesTheFirstAtOnce) {
  constexpr int kTimes = 40;
  std::vector<absl::Duration> late;
  for (int i = 0; i < kTimes; ++i) {
    const v1::LockResponse held =
        Good(Ask(cluster_.node(1 + i % 3), &Cache::Lock, LockOf("k", "dies", absl::Milliseconds(50), kLong)));
    const auto waits = WaitForLock(cluster_.node(1 + (i + 1) % 3), LockOf("k", "waits", kLong, kLong));
    const v1::LockResponse got = Good(waits->Await());
    late.push_back(absl::Now() - ToTime(held.expires_at()));
    EXPECT_GT(got.token(), held.token());
    // Tokens are times of Redis: it was not before the other's end.
    EXPECT_GE(absl::FromUnixMicros(got.token()), ToTime(held.expires_at()));
    Good(Ask(two_, &Cache::Unlock, UnlockOf("k", got.token())));
  }
  std::ranges::sort(late);
  std::cout << "the next had the lock " << late[kTimes / 2] << " after its end (median), " << late.back()
            << " at the most\n";
  EXPECT_LT(late[kTimes / 2], absl::Milliseconds(100));
  EXPECT_LT(late.back(), absl::Seconds(2));
}

TEST_F(CacheWaitingTest, ALockThatIsGivenUpWakesTheFirstAtOnce) {
  constexpr int kTimes = 60;
  std::vector<absl::Duration> late;
  for (int i = 0; i < kTimes; ++i) {
    const int64_t token = HoldLock();
    const auto waits = WaitForLock(cluster_.node(1 + i % 3), LockOf("k", "waits", kLong, kLong));
    auto load = On<v1::LoadRequest>("k");
    SetDuration(kLong, load.mutable_wait_for_lock());
    ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), "k") == 1; }));
    const absl::Time begun = absl::Now();
    GiveUp(token);
    const v1::LockResponse got = Good(waits->Await());
    late.push_back(absl::Now() - begun);
    // Who only waits to read is woken too.
    const auto reads = WaitForLoad(cluster_.node(1 + (i + 1) % 3), load);
    ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), "k") == 1; }));
    Good(Ask(two_, &Cache::Unlock, UnlockOf("k", got.token())));
    EXPECT_EQ(ReasonOf(reads->Await().status), "CACHE_KEY_NOT_FOUND");
  }
  std::ranges::sort(late);
  std::cout << "from the call that gives up to the next having the lock: " << late[kTimes / 2] << " (median), "
            << late.back() << " at the most\n";
  EXPECT_LT(late[kTimes / 2], absl::Milliseconds(100));
}

TEST_F(CacheWaitingTest, ReadersWhoWaitAreLetThroughAllTogether) {
  constexpr int kReaders = 60;
  Good(Ask(one_, &Cache::Save, SaveOf("k", "value")));
  const int64_t token = HoldLock();
  auto load = On<v1::LoadRequest>("k");
  SetDuration(kLong, load.mutable_wait_for_lock());
  std::vector<std::unique_ptr<WaitingLoad>> readers;
  for (int i = 0; i < kReaders; ++i) readers.push_back(WaitForLoad(cluster_.node(1 + i % 3), load));
  ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), "k") == kReaders; }));
  const absl::Time begun = absl::Now();
  GiveUp(token);
  for (const auto& reader : readers) EXPECT_EQ(Good(reader->Await()).data(), "value");
  std::cout << kReaders << " readers had the value within " << absl::Now() - begun << "\n";
  EXPECT_LT(absl::Now() - begun, absl::Seconds(5));
}

TEST_F(CacheWaitingTest, ThoseWhoWaitForItemsGetThemInTheOrderInWhichTheyCame) {
  constexpr int kWaiting = 60;
  ASSERT_NO_FATAL_FAILURE(LineUpForItem(kWaiting));
  std::vector<absl::Duration> took;
  for (int i = 0; i < kWaiting; ++i) {
    const absl::Time begun = absl::Now();
    Good(Ask(cluster_.node(1 + i % 2), &Cache::Push, PushOf("k", absl::StrCat(i))));
    EXPECT_EQ(got_.Next(), i);
    took.push_back(absl::Now() - begun);
    EXPECT_EQ(Good(pops_[static_cast<size_t>(i)]->Await()).data(), absl::StrCat(i));
  }
  std::ranges::sort(took);
  std::cout << "from a Push to the waiting Pop's answer: " << took[kWaiting / 2] << " (median), " << took.back()
            << " at the most\n";
  EXPECT_LT(took[kWaiting / 2], absl::Milliseconds(100));
  // Nobody who comes later is before those who wait, and what they leave is there for all.
  ASSERT_NO_FATAL_FAILURE(LineUpForItem(1));
  Good(Ask(one_, &Cache::Push, PushOf("k", "first")));
  Good(Ask(one_, &Cache::Push, PushOf("k", "second")));
  EXPECT_EQ(Good(pops_.back()->Await()).data(), "first");
  EXPECT_EQ(Good(Ask(two_, &Cache::Pop, PopOf("k"))).data(), "second");
  EXPECT_TRUE(AwaitNoKeys()) << testing::PrintToString(CacheKeysIn(cluster_.redis()));
}

TEST_F(CacheWaitingTest, AWaiterWhoseCallerWentAwaySwallowsNoItem) {
  // It is out of the line.
  ASSERT_NO_FATAL_FAILURE(LineUpForItem(3));
  pops_[0]->Cancel();
  ASSERT_TRUE(Await([&] { return WaitingForItem(cluster_.redis(), "k") == 2; }));
  Good(Ask(one_, &Cache::Push, PushOf("k", "for the second")));
  EXPECT_EQ(Good(pops_[1]->Await()).data(), "for the second");
  pops_[2]->Cancel();
  EXPECT_FALSE(pops_[2]->Await().ok());
  ASSERT_TRUE(Await([&] { return WaitingForItem(cluster_.redis(), "k") == 0; }));
  EXPECT_TRUE(AwaitNoKeys());

  // It goes away as its turn comes. What was popped for it is the answer to its request when that is repeated; or it is still in the list.
  constexpr int kTimes = 50;
  int answered = 0;
  int popped = 0;
  for (int i = 0; i < kTimes; ++i) {
    const std::string item = absl::StrCat("item-", i);
    v1::PopRequest request = PopOf("k", kLong);
    request.set_request_id(absl::StrCat("request-", i));
    const auto leaves = WaitForItem(cluster_.node(1 + i % 3), request);
    ASSERT_TRUE(Await([&] { return WaitingForItem(cluster_.redis(), "k") == 1; }));
    const WaitingCall<v1::PushRequest, v1::PushResponse> push(
        cluster_.node(1 + (i + 1) % 3), &v1::CacheService::StubInterface::async_interface::Push, PushOf("k", item));
    if (i % 2 == 0) absl::SleepFor(absl::Microseconds(50 * i));  // So that it is at another moment each time.
    leaves->Cancel();
    Good(push.Await());
    const Answered<v1::PopResponse> first = leaves->Await();
    if (first.ok()) {
      EXPECT_EQ(first.response.data(), item);
      ++answered;
      continue;
    }
    if (Good(Ask(two_, &Cache::ListLength, On<v1::ListLengthRequest>("k"))).length() == 0) ++popped;
    request.clear_wait_for();
    EXPECT_TRUE(Await([&] { return Good(Ask(three_, &Cache::Pop, request)).data() == item; })) << "it was swallowed";
  }
  std::cout << answered << " of " << kTimes << " were answered, " << popped << " had been popped for who was gone\n";
}

TEST_F(CacheWaitingTest, ATurnThatIsNotTakenPassesOn) {
  const int64_t token = HoldLock();
  ASSERT_NO_FATAL_FAILURE(LineUpForLock(3));
  ASSERT_NO_FATAL_FAILURE(LineUpForItem(3));
  one_.Pause();  // The first in both lines are its.
  absl::Time begun = absl::Now();
  Good(Ask(two_, &Cache::Unlock, UnlockOf("k", token)));
  const Answered<v1::LockResponse> second = locks_[1]->Await();
  EXPECT_TRUE(Good(second).acquired());
  std::cout << "the second had the lock " << absl::Now() - begun << " after its end\n";
  EXPECT_LT(absl::Now() - begun, absl::Seconds(5));
  begun = absl::Now();
  Good(Ask(two_, &Cache::Push, PushOf("k", "item")));
  EXPECT_EQ(Good(pops_[1]->Await()).data(), "item");
  std::cout << "the second had the item " << absl::Now() - begun << " after its push\n";
  EXPECT_LT(absl::Now() - begun, absl::Seconds(5));
  one_.Resume();
  // Whoever was passed over has not lost its wish.
  Good(Ask(two_, &Cache::Unlock, UnlockOf("k", second.response.token())));
  for (const size_t number : {2U, 0U}) {
    const Answered<v1::LockResponse> got = locks_[number]->Await();
    EXPECT_TRUE(Good(got).acquired()) << number;
    Good(Ask(two_, &Cache::Unlock, UnlockOf("k", got.response.token())));
  }
  for (const size_t number : {2U, 0U}) {
    Good(Ask(two_, &Cache::Push, PushOf("k", absl::StrCat(number))));
    EXPECT_EQ(Good(pops_[number]->Await()).data(), absl::StrCat(number));
  }
}

}  // namespace
}  // namespace actioncluster::cluster

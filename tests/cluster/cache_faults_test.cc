// Redis is full, only to be read, loading, or cut off: callers hear what it is, it works again afterwards, and what is repeated by its id has its effect once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/cache_calls.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::Duration kLong = absl::Minutes(1);

class CacheFaultsTest : public testing::Test {
 protected:
  explicit CacheFaultsTest(std::vector<std::string> redis_args = {})
      : cluster_(3, {.flags = {}, .redis = {.password = "", .args = std::move(redis_args)}}) {}

  void Configure(const std::string& name, const std::string& value) {
    ASSERT_FALSE(cluster_.redis().Command({"CONFIG", "SET", name, value}).view().is_error());
  }
  template <class Response>
  static void ExpectUnavailable(const Answered<Response>& answered, const std::string& because) {
    EXPECT_EQ(answered.status.error_code(), grpc::UNAVAILABLE) << Describe(answered.status);
    EXPECT_EQ(ReasonOf(answered.status), "BACKPLANE_UNAVAILABLE") << Describe(answered.status);
    EXPECT_THAT(absl::AsciiStrToLower(answered.status.error_message()), HasSubstr(because));
  }
  // What writes is refused, on all nodes and by all ways.
  void ExpectNoWrites(const std::string& because) {
    for (const Node& node : cluster_.nodes()) {
      ExpectUnavailable(Ask(node, &Cache::Save, SaveOf("new", "value")), because);
      ExpectUnavailable(Ask(node, &Cache::Push, PushOf("list", "item")), because);
      ExpectUnavailable(Ask(node, &Cache::Increment, On<v1::IncrementRequest>("count")), because);
      ExpectUnavailable(Ask(node, &Cache::Lock, LockOf("other", "me", kLong)), because);
      v1::SaveManyRequest many;
      *many.add_entries() = SaveOf("new", "value");
      const v1::SaveManyResponse outcomes = Good(Ask(node, &Cache::SaveMany, many));
      ASSERT_EQ(outcomes.outcomes_size(), 1);
      EXPECT_EQ(outcomes.outcomes(0).error().reason(), "BACKPLANE_UNAVAILABLE");
      std::vector<Pipeline::Operation> frame(2);
      *frame[0].mutable_save() = SaveOf("new", "value");
      *frame[1].mutable_load() = On<v1::LoadRequest>("old");
      const auto results = Pipeline(node).Do(frame);
      EXPECT_EQ(results[0].error().reason(), "BACKPLANE_UNAVAILABLE") << results[0].ShortDebugString();
      EXPECT_EQ(results[1].load().data(), "value") << results[1].ShortDebugString();
    }
  }
  void ExpectReads() {
    for (const Node& node : cluster_.nodes()) {
      EXPECT_EQ(Good(Ask(node, &Cache::Load, On<v1::LoadRequest>("old"))).data(), "value");
      EXPECT_GE(Good(Ask(node, &Cache::ListLength, On<v1::ListLengthRequest>("list"))).length(), 0);
      EXPECT_FALSE(Good(Ask(node, &Cache::CheckLock, On<v1::CheckLockRequest>("locked"))).obtainable());
    }
  }
  void ExpectAllWorks() {
    for (const Node& node : cluster_.nodes()) {
      EXPECT_TRUE(Await([&] { return Ask(node, &Cache::Save, SaveOf("new", "value")).ok(); }));
      Good(Ask(node, &Cache::Push, PushOf("list", "item")));
      EXPECT_EQ(Good(Ask(node, &Cache::Load, On<v1::LoadRequest>("new"))).data(), "value");
    }
  }
  // What there is before the fault.
  void Prepare() {
    Good(Ask(cluster_.node(1), &Cache::Save, SaveOf("old", "value")));
    for (int i = 0; i < 10; ++i) Good(Ask(cluster_.node(2), &Cache::Push, PushOf("list", absl::StrCat(i))));
    token_ = Good(Ask(cluster_.node(3), &Cache::Lock, LockOf("locked", "me", kLong))).token();
  }

  Cluster cluster_;
  int64_t token_ = 0;
};

TEST_F(CacheFaultsTest, AFullRedisIsNamedAndWhatMakesRoomStillWorks) {
  Prepare();
  const auto waits = WaitForLock(cluster_.node(1), LockOf("locked", "next", kLong, kLong));
  ASSERT_TRUE(Await([&] { return WaitingForLock(cluster_.redis(), "locked") == 1; }));
  Configure("maxmemory-policy", "noeviction");
  Configure("maxmemory", "1");
  ExpectNoWrites("maxmemory");
  ExpectReads();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Good(Ask(cluster_.node(1 + i), &Cache::Pop, PopOf("list"))).data(), absl::StrCat(i));
  }
  EXPECT_TRUE(Good(Ask(cluster_.node(2), &Cache::Destroy, On<v1::DestroyRequest>("old"))).destroyed());
  EXPECT_TRUE(Good(Ask(cluster_.node(3), &Cache::Unlock, UnlockOf("locked", token_))).released());
  Configure("maxmemory", "0");
  ExpectAllWorks();
  // Who waited has it now, or hears why not.
  ASSERT_TRUE(Await([&] { return waits->has_ended(); }));
  if (!waits->Await().ok()) ExpectUnavailable(waits->Await(), "maxmemory");
  EXPECT_TRUE(Good(Ask(cluster_.node(2), &Cache::Lock, LockOf("after", "me", kLong))).acquired());
}

TEST_F(CacheFaultsTest, ARedisThatIsOnlyToBeReadIsNamed) {
  Prepare();
  // Of a master that is not there.
  ASSERT_FALSE(cluster_.redis().Command({"REPLICAOF", "127.0.0.1", "1"}).view().is_error());
  ExpectNoWrites("read only");
  ExpectReads();
  ExpectUnavailable(Ask(cluster_.node(1), &Cache::Destroy, On<v1::DestroyRequest>("old")), "read only");
  ExpectUnavailable(Ask(cluster_.node(2), &Cache::Unlock, UnlockOf("locked", token_)), "read only");
  ASSERT_FALSE(cluster_.redis().Command({"REPLICAOF", "NO", "ONE"}).view().is_error());
  ExpectAllWorks();
  EXPECT_TRUE(Good(Ask(cluster_.node(2), &Cache::Unlock, UnlockOf("locked", token_))).released());
}

class CacheLoadingTest : public CacheFaultsTest {
 protected:
  // Each command that it loads takes a millisecond.
  CacheLoadingTest()
      : CacheFaultsTest({"--appendonly", "yes", "--appendfsync", "always", "--key-load-delay", "1000",
                         "--loading-process-events-interval-bytes", "1024"}) {}
};

TEST_F(CacheLoadingTest, ARedisThatIsLoadingIsNamed) {
  Prepare();
  v1::SaveManyRequest many;
  for (int i = 0; i < 1000; ++i) *many.add_entries() = SaveOf(absl::StrCat("k-", i), std::string(100, 'x'));
  Good(Ask(cluster_.node(1), &Cache::SaveMany, many));
  std::atomic<bool> over = false;
  std::vector<std::string> said;
  std::thread caller([&] {
    while (!over) {
      const auto answered = Ask(cluster_.node(2), &Cache::Load, On<v1::LoadRequest>("old"), absl::Seconds(5));
      if (answered.ok()) continue;
      said.push_back(Describe(answered.status));
      EXPECT_EQ(ReasonOf(answered.status), "BACKPLANE_UNAVAILABLE") << said.back();
    }
  });
  const absl::Time begun = absl::Now();
  cluster_.redis().Kill();
  cluster_.redis().Start();  // Ready when it returns.
  std::cout << "Redis loaded for " << absl::Now() - begun << "\n";
  // Each node finds out by itself that Redis is back.
  for (const Node& node : cluster_.nodes()) {
    EXPECT_TRUE(Await([&] { return Ask(node, &Cache::Load, On<v1::LoadRequest>("k-999")).ok(); }));
  }
  over = true;
  caller.join();
  EXPECT_THAT(said, testing::Contains(testing::AnyOf(HasSubstr("LOADING"), HasSubstr("loading"))));
  ExpectReads();
  ExpectAllWorks();
}

TEST_F(CacheFaultsTest, WhatIsRepeatedByItsIdOverAnotherNodeHasItsEffectOnce) {
  Good(Ask(cluster_.node(1), &Cache::Push, PushOf("list", "first")));
  auto increment = On<v1::IncrementRequest>("count");
  increment.set_by(7);
  auto push = PushOf("list", "second");
  auto pop = PopOf("list");
  auto compare = On<v1::CompareAndSaveRequest>("k");
  compare.set_data("value");
  increment.set_request_id("request");
  push.set_request_id("request");
  pop.set_request_id("request to pop");  // Of the same key as the Push.
  compare.set_request_id("request");
  const int64_t sum = Good(Ask(cluster_.node(1), &Cache::Increment, increment)).value();
  const int64_t length = Good(Ask(cluster_.node(1), &Cache::Push, push)).length();
  const std::string item = Good(Ask(cluster_.node(1), &Cache::Pop, pop)).data();
  const int64_t version = Good(Ask(cluster_.node(1), &Cache::CompareAndSave, compare)).version();
  EXPECT_EQ(item, "first");
  for (const Node& node : cluster_.nodes()) {
    EXPECT_EQ(Good(Ask(node, &Cache::Increment, increment)).value(), sum);
    EXPECT_EQ(Good(Ask(node, &Cache::Push, push)).length(), length);
    EXPECT_EQ(Good(Ask(node, &Cache::Pop, pop)).data(), item);
    EXPECT_EQ(Good(Ask(node, &Cache::CompareAndSave, compare)).version(), version);
    std::vector<Pipeline::Operation> frame(4);
    *frame[0].mutable_increment() = increment;
    *frame[1].mutable_push() = push;
    *frame[2].mutable_pop() = pop;
    *frame[3].mutable_compare_and_save() = compare;
    const auto results = Pipeline(node).Do(frame);
    EXPECT_EQ(results[0].increment().value(), sum) << results[0].ShortDebugString();
    EXPECT_EQ(results[1].push().length(), length) << results[1].ShortDebugString();
    EXPECT_EQ(results[2].pop().data(), item) << results[2].ShortDebugString();
    EXPECT_EQ(results[3].compare_and_save().version(), version) << results[3].ShortDebugString();
  }
  EXPECT_EQ(Good(Ask(cluster_.node(2), &Cache::ListLength, On<v1::ListLengthRequest>("list"))).length(), 1);
  // Without the same id it is another call.
  increment.set_request_id("another");
  EXPECT_EQ(Good(Ask(cluster_.node(2), &Cache::Increment, increment)).value(), 2 * sum);
  compare.clear_request_id();
  EXPECT_EQ(ReasonOf(Ask(cluster_.node(2), &Cache::CompareAndSave, compare).status), "VERSION_MISMATCH");
}

// Of what was under way when a connection is cut, some has been carried out and its answer lost: that must have its effect once.
TEST_F(CacheFaultsTest, ConnectionsToRedisThatAreCutAgainAndAgainCountNothingTwice) {
  constexpr int kClients = 8;
  constexpr int kCuts = 60;
  std::atomic<bool> over = false;
  std::atomic<int64_t> done = 0;
  std::atomic<int64_t> repeated = 0;
  std::vector<std::vector<std::string>> problems(kClients);
  std::vector<std::thread> threads;
  for (size_t client = 0; client < kClients; ++client) {
    threads.emplace_back([&, client] {
      size_t node = client;
      for (int64_t number = 0; !over; ++number) {
        auto increment = On<v1::IncrementRequest>("count");
        auto push = PushOf("list", absl::StrCat(client, " ", number));
        increment.set_request_id(absl::StrCat(client, "-", number));
        push.set_request_id(increment.request_id());
        const auto until_it_works = [&](const auto& call) {
          while (true) {
            const grpc::Status status = call(cluster_.node(1 + static_cast<int>(node % 3)));
            if (status.ok()) return;
            if (!IsOutage(status)) return problems[client].push_back(Describe(status));
            ++node;
            ++repeated;
            absl::SleepFor(absl::Milliseconds(1));
          }
        };
        until_it_works([&](const Node& by) { return Ask(by, &Cache::Increment, increment, absl::Seconds(5)).status; });
        until_it_works([&](const Node& by) { return Ask(by, &Cache::Push, push, absl::Seconds(5)).status; });
        ++done;
      }
    });
  }
  for (int i = 0; i < kCuts; ++i) {
    const int64_t before = done;
    EXPECT_TRUE(Await([&] { return done >= before + 20; })) << "after " << i << " cuts";
    cluster_.redis().Command({"CLIENT", "KILL", "TYPE", "normal"});
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  for (const auto& of_client : problems) EXPECT_THAT(of_client, IsEmpty());
  // Each node connects anew by itself after the last cut.
  for (const Node& node : cluster_.nodes()) {
    EXPECT_TRUE(Await([&] { return Ask(node, &Cache::Load, On<v1::LoadRequest>("count")).ok(); }));
  }
  const v1::LoadResponse count = Good(Ask(cluster_.node(1), &Cache::Load, On<v1::LoadRequest>("count")));
  EXPECT_EQ(count.value().number_value(), static_cast<double>(done));
  EXPECT_EQ(Good(Ask(cluster_.node(2), &Cache::ListLength, On<v1::ListLengthRequest>("list"))).length(), done);
  std::cout << done << " increments and pushes, " << repeated << " calls repeated over " << kCuts << " cuts\n";
}

}  // namespace
}  // namespace actioncluster::cluster

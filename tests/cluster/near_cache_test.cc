// Reads that a node may answer from its own memory: they come from there, and are never older than is promised, whatever happens to the connection on which Redis tells of changes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/cluster/cache_calls.h"

namespace actioncluster::cluster {
namespace {

// What LoadResponse.near promises.
constexpr absl::Duration kBound = absl::Seconds(5);
constexpr char kKey[] = "k";

v1::LoadRequest NearOf(const std::string& key) {
  auto request = On<v1::LoadRequest>(key);
  request.set_allow_near(true);
  return request;
}

class NearCacheTest : public testing::Test {
 protected:
  void Save(const std::string& key, const std::string& data) { Good(Ask(a_, &Cache::Save, SaveOf(key, data))); }
  Answered<v1::LoadResponse> LoadNear(const std::string& key) { return Ask(b_, &Cache::Load, NearOf(key)); }

  // Until it comes from the node's memory.
  bool AwaitNear(const std::string& key, const std::string& data) {
    return Await([&] {
      const auto loaded = LoadNear(key);
      return loaded.ok() && loaded.response.near() && loaded.response.data() == data;
    });
  }
  // How often Redis has been asked for values.
  int64_t Looks() {
    const redis::Reply stats = cluster_.redis().Command({"INFO", "commandstats"});
    const std::string text(*stats.view().String());
    const size_t at = text.find("cmdstat_mget:calls=");
    int64_t calls = 0;
    if (at != std::string::npos) {
      EXPECT_TRUE(absl::SimpleAtoi(text.substr(at + 19, text.find(',', at) - at - 19), &calls));
    }
    return calls;
  }
  // On which Redis tells the nodes of changes.
  std::vector<std::string> TrackingConnections() {
    std::vector<std::string> ids;
    const redis::Reply list = cluster_.redis().Command({"CLIENT", "LIST"});
    for (const absl::string_view line : absl::StrSplit(*list.view().String(), '\n')) {
      if (absl::StrContains(line, "-near ")) ids.emplace_back(line.substr(3, line.find(' ') - 3));
    }
    return ids;
  }
  void KillTrackingConnections() {
    for (const std::string& id : TrackingConnections()) cluster_.redis().Command({"CLIENT", "KILL", "ID", id});
  }

  Cluster cluster_{2, {.flags = {"--near-cache-bytes", "16MiB"}}};
  const Node& a_ = cluster_.node(1);
  const Node& b_ = cluster_.node(2);
};

TEST_F(NearCacheTest, WhatIsWrittenThroughOneNodeIsSoonReadThroughAnother) {
  std::vector<absl::Duration> delays;
  delays.reserve(200);
  Save(kKey, "0");
  for (int i = 1; i <= 200; ++i) {
    ASSERT_TRUE(AwaitNear(kKey, absl::StrCat(i - 1)));
    const std::string data = absl::StrCat(i);
    Save(kKey, data);
    const absl::Time saved = absl::Now();
    ASSERT_TRUE(Await([&] { return Good(LoadNear(kKey)).data() == data; }));
    delays.push_back(absl::Now() - saved);
  }
  std::ranges::sort(delays);
  std::cout << "after its answer, a write is read through another node within " << delays[100] << ", 99 of 100 within "
            << delays[198] << ", with the call\n";
  EXPECT_LT(delays.back(), kBound);
}

TEST_F(NearCacheTest, WhatIsWrittenThroughTheNodeItselfIsReadAtOnce) {
  Save(kKey, "0");
  for (int i = 1; i <= 500; ++i) {
    ASSERT_TRUE(AwaitNear(kKey, absl::StrCat(i - 1)));
    const std::string data = absl::StrCat(i);
    Good(Ask(b_, &Cache::Save, SaveOf(kKey, data)));
    ASSERT_EQ(Good(LoadNear(kKey)).data(), data);
  }
}

TEST_F(NearCacheTest, WhatIsNearTakesNothingOfRedis) {
  Save(kKey, "a");
  Save("l", "b");
  ASSERT_TRUE(AwaitNear(kKey, "a"));
  ASSERT_TRUE(AwaitNear("l", "b"));
  const int64_t before = Looks();
  for (int i = 0; i < 100; ++i) {
    const v1::LoadResponse loaded = Good(LoadNear(kKey));
    EXPECT_TRUE(loaded.near());
    EXPECT_EQ(loaded.data(), "a");
    EXPECT_GT(loaded.version(), 0);
    EXPECT_TRUE(loaded.has_created_at());
  }
  v1::LoadManyRequest many;
  many.add_keys(kKey);
  many.add_keys("l");
  many.set_allow_near(true);
  const v1::LoadManyResponse all = Good(Ask(b_, &Cache::LoadMany, many));
  ASSERT_EQ(all.outcomes_size(), 2);
  for (const auto& outcome : all.outcomes()) EXPECT_TRUE(outcome.entry().near());
  Pipeline::Operation operation;
  *operation.mutable_load() = NearOf(kKey);
  EXPECT_TRUE(Pipeline(b_).Do({operation}).at(0).load().near());
  EXPECT_EQ(Looks(), before);

  const v1::LoadResponse loaded = Good(Ask(b_, &Cache::Load, On<v1::LoadRequest>(kKey)));
  EXPECT_FALSE(loaded.near()) << "nobody allowed it";
  EXPECT_EQ(Looks(), before + 1);
}

TEST_F(NearCacheTest, ALockedKeyIsLockedThoughItsValueWasNear) {
  Save(kKey, "a");
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(AwaitNear(kKey, "a"));
    const v1::LockResponse lock = Good(Ask(a_, &Cache::Lock, LockOf(kKey, "me", absl::Minutes(1))));
    ASSERT_TRUE(lock.acquired());
    ASSERT_TRUE(Await([&] { return !LoadNear(kKey).ok(); }, kBound));
    // Who has the lock reads the value, and that is nobody else's to find.
    auto mine = NearOf(kKey);
    mine.set_holder("me");
    const v1::LoadResponse loaded = Good(Ask(b_, &Cache::Load, mine));
    EXPECT_EQ(loaded.data(), "a");
    EXPECT_FALSE(loaded.near());
    EXPECT_EQ(ReasonOf(LoadNear(kKey).status), "KEY_LOCKED");
    Good(Ask(a_, &Cache::Unlock, UnlockOf(kKey, lock.token())));
  }
  EXPECT_TRUE(AwaitNear(kKey, "a"));
}

TEST_F(NearCacheTest, AValueThatHasExpiredIsNotFoundFromThatMoment) {
  auto save = SaveOf(kKey, "a");
  SetDuration(absl::Milliseconds(500), save.mutable_expire_after());
  int near = 0;
  for (int i = 0; i < 4; ++i) {
    Good(Ask(a_, &Cache::Save, save));
    while (true) {
      const absl::Time asked = absl::Now();
      const auto loaded = LoadNear(kKey);
      if (!loaded.ok()) break;
      if (!loaded.response.near()) continue;
      ++near;
      // Redis and the nodes have one clock here.
      ASSERT_LT(asked, ToTime(loaded.response.expires_at()));
    }
    EXPECT_EQ(ReasonOf(LoadNear(kKey).status), "CACHE_KEY_NOT_FOUND");
  }
  EXPECT_GT(near, 0);
}

TEST_F(NearCacheTest, WhileRedisIsStoppedNothingOlderThanTheBoundIsRead) {
  Save(kKey, "a");
  ASSERT_TRUE(AwaitNear(kKey, "a"));
  cluster_.redis().Pause();
  const absl::Time paused = absl::Now();
  absl::Time last = paused;
  ASSERT_TRUE(Await([&] {
    const auto loaded = Ask(b_, &Cache::Load, NearOf(kKey), absl::Milliseconds(500));
    if (loaded.ok()) last = absl::Now();
    return !loaded.ok();
  }));
  cluster_.redis().Resume();
  EXPECT_LT(last - paused, kBound);
  EXPECT_GT(last - paused, absl::Seconds(1)) << "for a while it answers without Redis";
  std::cout << "a stopped Redis is noticed after " << last - paused << '\n';
  ASSERT_TRUE(Await([&] { return Ask(a_, &Cache::Save, SaveOf(kKey, "b")).ok(); }));
  EXPECT_TRUE(AwaitNear(kKey, "b"));
}

// Nobody tells of that change any more: only a doubt can.
TEST_F(NearCacheTest, WhatIsWrittenWhileItsConnectionIsAwayIsReadWithinTheBound) {
  Save(kKey, "0");
  for (int i = 1; i <= 20; ++i) {
    ASSERT_TRUE(AwaitNear(kKey, absl::StrCat(i - 1)));
    const std::string data = absl::StrCat(i);
    KillTrackingConnections();
    Save(kKey, data);
    ASSERT_TRUE(Await([&] { return Good(LoadNear(kKey)).data() == data; }, kBound));
  }
}

// A writer makes a value grow through one node; readers through the other compare it with what had been acknowledged when they asked.
TEST_F(NearCacheTest, UnderLoadWithItsConnectionKilledAgainAndAgainNoReadIsOlderThanTheBound) {
  struct Written {
    absl::Time at;
    int64_t number;
  };
  absl::Mutex mutex;
  std::deque<Written> written;
  std::atomic<bool> stop = false;
  std::atomic<int64_t> near = 0;
  absl::Duration oldest;
  Save(kKey, "0");
  ASSERT_TRUE(AwaitNear(kKey, "0"));

  std::thread writer([&] {
    for (int64_t number = 1; !stop; ++number) {
      if (!Ask(a_, &Cache::Save, SaveOf(kKey, absl::StrCat(number))).ok()) continue;
      {
        const absl::MutexLock lock(&mutex);
        written.push_back({absl::Now(), number});
      }
      absl::SleepFor(absl::Milliseconds(2));  // Or there is hardly anything near.
    }
  });
  const auto read = [&] {
    while (!stop) {
      const absl::Time asked = absl::Now();
      const auto loaded = LoadNear(kKey);
      int64_t number = 0;
      if (!loaded.ok() || !absl::SimpleAtoi(loaded.response.data(), &number)) continue;
      near += loaded.response.near() ? 1 : 0;
      const absl::MutexLock lock(&mutex);
      // What replaced it, and since when.
      const auto next = std::ranges::upper_bound(written, number, {}, &Written::number);
      if (next != written.end()) oldest = std::max(oldest, asked - next->at);
    }
  };
  std::vector<std::thread> readers;
  readers.reserve(2);
  for (int i = 0; i < 2; ++i) readers.emplace_back(read);

  for (int i = 0; i < 30; ++i) {
    const int64_t before = near;
    EXPECT_TRUE(Await([&] { return near > before + 20; })) << "it comes back, after " << i << " kills";
    KillTrackingConnections();
  }
  stop = true;
  writer.join();
  for (std::thread& reader : readers) reader.join();
  EXPECT_LT(oldest, kBound);
  std::cout << near << " near reads over 30 kills, the oldest had been replaced for " << oldest << '\n';
}

}  // namespace
}  // namespace actioncluster::cluster

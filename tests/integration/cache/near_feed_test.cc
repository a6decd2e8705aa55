#include "backplane/cache/near_feed.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/integration/redis/redis_test_base.h"

namespace actioncluster {
namespace {

using fakes::RedisServer;
using redis::Command;
using Kind = Keys::CacheKind;

constexpr absl::Duration kAskEvery = absl::Milliseconds(100);
constexpr absl::Duration kMaxAge = absl::Seconds(1);

bool Await(const std::function<bool()>& condition) {
  const absl::Time limit = MonotonicNow() + fakes::kPatience;
  while (!condition()) {
    if (MonotonicNow() > limit) return false;
    absl::SleepFor(absl::Microseconds(100));
  }
  return true;
}

// A node's near cache and what keeps it honest, on real Redis; others that write are the test.
class NearFeedTest : public testing::Test {
 protected:
  NearFeedTest() {
    redis::LinkOptions link = redis::OptionsFor(server_);
    link.stall_timeout = absl::Seconds(2);
    link.connect_timeout = absl::Milliseconds(500);
    thread_.Run([&] {
      commands_ = std::make_unique<redis::Client>(thread_.loop(), link, std::vector<redis::Script>());
      feed_ = std::make_unique<NearFeed>(thread_.loop(), *commands_, link, keys_, cache_, kAskEvery);
    });
    EXPECT_TRUE(AwaitProven());
  }
  ~NearFeedTest() override {
    thread_.Run([&] {
      feed_.reset();
      commands_.reset();
    });
  }

  bool AwaitProven() {
    return Await([&] {
      const auto fill = cache_.Open("probe", MonotonicNow());
      if (fill.has_value()) cache_.Close("probe", *fill, std::nullopt, absl::InfiniteFuture());
      return fill.has_value();
    });
  }

  std::optional<std::string> Find(const std::string& key) {
    const std::optional<CacheEntry> entry = cache_.Find(key, MonotonicNow());
    if (!entry.has_value()) return std::nullopt;
    return entry->content.body;
  }
  bool AwaitGone(const std::string& key) {
    return Await([&] { return !Find(key).has_value(); });
  }

  // By another client.
  void Write(const std::string& key, const std::string& body) { server_.Command({"SET", Name(key), body}); }
  std::string Name(const std::string& key) const { return keys_.Cache(Kind::kValue, key); }

  static CacheEntry Entry(const redis::Reply& reply) {
    CacheEntry entry;
    entry.content.body = std::string(reply.view().String().value_or(""));
    return entry;
  }
  // As the node does: opens, reads, closes. Gives what was read.
  std::string Fill(const std::string& key) {
    const fakes::Waiter<std::string> read;
    thread_.Run([&] {
      const auto fill = cache_.Open(key, MonotonicNow());
      commands_->Execute(Command({"GET", Name(key)}), [this, key, fill,
                                                       read](const absl::StatusOr<redis::Reply>& reply) {
        const std::string body = reply.ok() ? Entry(*reply).content.body : reply.status().ToString();
        if (fill.has_value()) {
          cache_.Close(key, *fill, reply.ok() ? std::optional(Entry(*reply)) : std::nullopt, absl::InfiniteFuture());
        }
        read.Add(body);
      });
    });
    return read.Next();
  }
  // A key that is in the near cache.
  void Keep(const std::string& key, const std::string& body) {
    Write(key, body);
    // The word of the write may overtake the first fill.
    ASSERT_TRUE(Await([&] {
      Fill(key);
      return Find(key) == body;
    }));
  }

  // The numbers of the connections with names that end so.
  std::vector<std::string> Connections(absl::string_view suffix) {
    std::vector<std::string> ids;
    const redis::Reply list = server_.Command({"CLIENT", "LIST"});
    for (const absl::string_view line : absl::StrSplit(*list.view().String(), '\n')) {
      if (!absl::StrContains(line, absl::StrCat("name=", suffix, " "))) continue;
      ids.emplace_back(line.substr(3, line.find(' ') - 3));
    }
    return ids;
  }
  void KillConnection(absl::string_view suffix) {
    const std::vector<std::string> ids = Connections(suffix);
    ASSERT_EQ(ids.size(), 1U);
    server_.Command({"CLIENT", "KILL", "ID", ids.front()});
  }

  RedisServer server_;
  const Keys keys_{fakes::kNamespace};
  NearCache cache_{size_t{1} << 20, kMaxAge};
  fakes::LoopThread thread_;
  std::unique_ptr<redis::Client> commands_;
  std::unique_ptr<NearFeed> feed_;
};

TEST_F(NearFeedTest, AWriteByAnotherDropsTheKeyWithinMilliseconds) {
  Keep("other", "x");
  std::vector<absl::Duration> delays;
  delays.reserve(100);
  for (int i = 0; i < 100; ++i) {
    const std::string body = absl::StrCat(i);
    Keep("k", body);
    const absl::Time before = MonotonicNow();
    Write("k", "next");
    ASSERT_TRUE(AwaitGone("k"));
    delays.push_back(MonotonicNow() - before);
  }
  EXPECT_EQ(Find("other"), "x");
  std::ranges::sort(delays);
  std::cout << "a write is seen after " << delays[50] << ", 99 of 100 within " << delays[98] << '\n';
  EXPECT_LT(delays[50], absl::Milliseconds(50));
}

TEST_F(NearFeedTest, EveryWayInWhichAKeyChangesIsHeard) {
  const std::string name = Name("k");
  const std::vector<std::vector<std::string>> changes = {
      {"DEL", name},
      {"UNLINK", name},
      {"APPEND", name, "x"},
      {"SETRANGE", name, "0", "x"},
      {"PEXPIRE", name, "3600000"},
      {"RENAME", name, "elsewhere"},
      {"GETDEL", name},
      {"EVAL", "redis.call('SET', KEYS[1], 'x')", "1", name},
      {"PEXPIRE", name, "5"},  // And so a second time, when that is over.
      {"SET", keys_.Cache(Kind::kLock, "k"), "someone"},
      {"DEL", keys_.Cache(Kind::kLock, "k")},
  };
  for (const std::vector<std::string>& change : changes) {
    Keep("k", "a");
    server_.Command(change);
    EXPECT_TRUE(AwaitGone("k")) << change[0];
  }
}

TEST_F(NearFeedTest, AValueThatRedisExpiresIsHeardOfThoughNobodyReadsIt) {
  server_.Command({"SET", Name("k"), "a", "PX", "2000"});
  ASSERT_TRUE(Await([&] { return Fill("k") == "a" && Find("k") == "a"; }));
  EXPECT_TRUE(AwaitGone("k"));
}

TEST_F(NearFeedTest, ListsAndLinesOfAKeyAreNotItsValue) {
  Keep("k", "a");
  server_.Command({"RPUSH", keys_.Cache(Kind::kList, "k"), "x"});
  for (const std::string& name : keys_.CacheLine(Kind::kLock, "k")) server_.Command({"RPUSH", name, "x"});
  server_.Command({"SET", Name("k") + "x", "x"});
  server_.Command({"SET", Keys("actioncluster-2").Cache(Kind::kValue, "k"), "x"});
  Keep("later", "b");
  Write("later", "c");
  ASSERT_TRUE(AwaitGone("later"));
  EXPECT_EQ(Find("k"), "a");
}

TEST_F(NearFeedTest, FlushAllDropsEverythingAndItFillsAgain) {
  Keep("k", "a");
  Keep("l", "b");
  server_.Command({"FLUSHALL"});
  EXPECT_TRUE(AwaitGone("k"));
  EXPECT_EQ(Find("l"), std::nullopt);
  Keep("k", "c");
}

TEST_F(NearFeedTest, WhatOthersPublishOnRedissChannelEmptiesItAndPutsNothingIn) {
  Keep("k", "a");
  server_.Command({"PUBLISH", "__redis__:invalidate", Name("other")});
  EXPECT_TRUE(AwaitGone("k"));
  EXPECT_EQ(Connections("test-near").size(), 1U) << "the connection stays";
  Keep("k", "a");
}

TEST_F(NearFeedTest, AfterItsConnectionIsKilledNothingOfBeforeIsFound) {
  for (int i = 0; i < 10; ++i) {
    Keep("k", "a");
    KillConnection("test-near");
    Write("k", "b");
    ASSERT_TRUE(AwaitGone("k"));
    ASSERT_TRUE(AwaitProven());
    EXPECT_EQ(Find("k"), std::nullopt) << "not heard: it was changed meanwhile";
  }
  Keep("k", "b");
}

TEST_F(NearFeedTest, TheLossOfTheConnectionForCommandsIsADoubtToo) {
  Keep("k", "a");
  const std::vector<std::string> before = Connections("test-near");
  KillConnection("test");
  EXPECT_TRUE(AwaitGone("k"));
  EXPECT_TRUE(Await([&] {
    const std::vector<std::string> now = Connections("test-near");
    return now.size() == 1 && now != before;
  }));
  ASSERT_TRUE(AwaitProven());
  EXPECT_EQ(Find("k"), std::nullopt);
}

TEST_F(NearFeedTest, OfARedisThatIsStoppedNothingIsFoundAfterTheLongestAge) {
  Keep("k", "a");
  server_.Pause();
  const absl::Time paused = MonotonicNow();
  absl::Time found = paused;
  EXPECT_TRUE(Await([&] {
    const absl::Time now = MonotonicNow();
    if (!cache_.Find("k", now).has_value()) return true;
    found = now;
    return false;
  }));
  EXPECT_LE(found, paused + kMaxAge);
  EXPECT_GT(found, paused) << "for a while it needs no Redis";
  server_.Resume();
  ASSERT_TRUE(AwaitProven());
  Keep("k", "b");
}

TEST_F(NearFeedTest, ARedisThatIsKilledAndStartedEmptyHasNothing) {
  Keep("k", "a");
  server_.Kill();
  EXPECT_TRUE(AwaitGone("k"));
  server_.Start();
  ASSERT_TRUE(AwaitProven());
  EXPECT_EQ(Find("k"), std::nullopt);
  Keep("k", "b");
}

// A writer makes a key's value grow, and says which is written; each time that Find begins, it may be no older than what was written kMaxAge before. The connections are killed all along.
TEST_F(NearFeedTest, UnderLoadAndKillsNothingIsOlderThanTheLongestAge) {
  struct Written {
    absl::Time at;
    int64_t number;
  };
  absl::Mutex mutex;
  std::deque<Written> written;
  std::atomic<bool> stop = false;
  Write("k", "0");
  fakes::LoopThread other;
  std::unique_ptr<redis::Client> writes;
  other.Run([&] {
    writes = std::make_unique<redis::Client>(other.loop(), redis::OptionsFor(server_), std::vector<redis::Script>());
  });
  std::thread writer([&] {
    for (int64_t number = 1; !stop; ++number) {
      const redis::Results done;
      other.Run([&] { writes->Execute(Command({"SET", Name("k"), absl::StrCat(number)}), done.Callback()); });
      if (number % 8 == 0) absl::SleepFor(absl::Milliseconds(2));  // Or there is hardly anything to be found.
      if (!done.Next().ok()) continue;
      const absl::MutexLock lock(&mutex);
      written.push_back({MonotonicNow(), number});
    }
  });

  int64_t found = 0;
  int kills = 0;
  absl::Duration oldest;
  const absl::Time end = MonotonicNow() + absl::Seconds(2);
  absl::Time kill_at = MonotonicNow();
  while (MonotonicNow() < end) {
    if (MonotonicNow() >= kill_at) {
      server_.Command({"CLIENT", "KILL", "TYPE", ++kills % 4 == 0 ? "normal" : "pubsub"});
      kill_at = MonotonicNow() + absl::Milliseconds(50);
    }
    Fill("k");
    for (int i = 0; i < 10; ++i) {
      const absl::Time now = MonotonicNow();
      const std::optional<std::string> body = Find("k");
      int64_t number;
      if (!body.has_value() || !absl::SimpleAtoi(*body, &number)) continue;
      ++found;
      const absl::MutexLock lock(&mutex);
      // The first that was written after what was found: since then that is old.
      const auto next = std::ranges::upper_bound(written, number, {}, &Written::number);
      if (next != written.end() && next->at < now) oldest = std::max(oldest, now - next->at);
    }
  }
  stop = true;
  writer.join();
  other.Run([&] { writes.reset(); });
  EXPECT_GT(found, 100);
  EXPECT_LE(oldest, kMaxAge);
  std::cout << found << " found over " << kills << " kills, the oldest had been replaced for " << oldest << '\n';
}

}  // namespace
}  // namespace actioncluster

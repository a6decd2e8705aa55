#include "backplane/cache/near_cache.h"

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using testing::Eq;
using testing::Optional;

constexpr size_t kBytes = size_t{1} << 20;
constexpr absl::Duration kMaxAge = absl::Seconds(4);
constexpr absl::Duration kMs = absl::Milliseconds(1);

CacheEntry Value(const std::string& body) {
  return {.content = {.kind = CacheContent::Kind::kBytes, .body = body},
          .created_at = absl::UnixEpoch(),
          .expires_at = std::nullopt,
          .version = 1,
          .read_at = std::nullopt};
}

class NearCacheTest : public testing::Test {
 protected:
  // What is found of the key now.
  std::optional<std::string> Find(const std::string& key) {
    const std::optional<CacheEntry> entry = cache_.Find(key, now_);
    if (!entry.has_value()) return std::nullopt;
    return entry->content.body;
  }
  std::optional<NearCache::Fill> Open(const std::string& key) { return cache_.Open(key, now_); }
  void Close(const std::string& key, std::optional<NearCache::Fill> fill, const std::string& body,
             absl::Time expires = absl::InfiniteFuture()) {
    ASSERT_TRUE(fill.has_value());
    cache_.Close(key, *fill, Value(body), expires);
  }
  void Fill(const std::string& key, const std::string& body, absl::Time expires = absl::InfiniteFuture()) {
    Close(key, Open(key), body, expires);
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  NearCache cache_{kBytes, kMaxAge};
};

// One that is proven now.
class ProvenNearCacheTest : public NearCacheTest {
 protected:
  ProvenNearCacheTest() { cache_.Proven(now_); }
};

TEST_F(NearCacheTest, WithoutAProofNothingIsFilled) { EXPECT_EQ(Open("k"), std::nullopt); }

TEST_F(ProvenNearCacheTest, WhatWasFilledIsFoundAsItWas) {
  EXPECT_EQ(Find("k"), std::nullopt);
  CacheEntry entry = Value("a");
  entry.expires_at = absl::UnixEpoch() + absl::Hours(5);
  entry.version = 7;
  cache_.Close("k", *Open("k"), entry, absl::InfiniteFuture());
  EXPECT_THAT(cache_.Find("k", now_), Optional(Eq(entry)));
  EXPECT_EQ(Find("K"), std::nullopt);
  EXPECT_EQ(cache_.stats().entries, 1U);
  EXPECT_EQ(cache_.stats().hits, 1U);
  EXPECT_EQ(cache_.stats().misses, 2U);
}

TEST_F(ProvenNearCacheTest, AChangeDropsTheKeyAndNoOther) {
  Fill("k", "a");
  Fill("other", "b");
  cache_.Changed({"k", "unknown"});
  EXPECT_EQ(Find("k"), std::nullopt);
  EXPECT_EQ(Find("other"), "b");
  EXPECT_EQ(cache_.stats().entries, 1U);
}

TEST_F(ProvenNearCacheTest, AFillThatAChangeOvertakesIsDropped) {
  const auto fill = Open("k");
  cache_.Changed({"k"});
  Close("k", fill, "old");
  EXPECT_EQ(Find("k"), std::nullopt);
}

TEST_F(ProvenNearCacheTest, AChangeOfAnotherKeyOvertakesNothing) {
  const auto fill = Open("k");
  cache_.Changed({"other"});
  Close("k", fill, "a");
  EXPECT_EQ(Find("k"), "a");
}

TEST_F(ProvenNearCacheTest, AfterAChangeANewFillIsKeptAndTheOvertakenOneIsNot) {
  const auto overtaken = Open("k");
  cache_.Changed({"k"});
  const auto fill = Open("k");
  Close("k", overtaken, "old");
  EXPECT_EQ(Find("k"), std::nullopt);
  Close("k", fill, "new");
  EXPECT_EQ(Find("k"), "new");
}

TEST_F(ProvenNearCacheTest, AnOvertakenFillDoesNotReplaceALaterOne) {
  const auto overtaken = Open("k");
  cache_.Changed({"k"});
  Fill("k", "new");
  Close("k", overtaken, "old");
  EXPECT_EQ(Find("k"), "new");
}

TEST_F(ProvenNearCacheTest, AKeyHasOneOpenFillAtATime) {
  const auto fill = Open("k");
  EXPECT_EQ(Open("k"), std::nullopt);
  Close("k", fill, "a");
  EXPECT_EQ(Find("k"), "a");
  EXPECT_NE(Open("k"), std::nullopt);
}

TEST_F(ProvenNearCacheTest, AFillCountsOnceForItsOwnKey) {
  const auto fill = Open("k");
  Close("other", fill, "b");
  EXPECT_EQ(Find("other"), std::nullopt);
  Close("k", fill, "a");
  cache_.Changed({"k"});
  Close("k", fill, "a");
  EXPECT_EQ(Find("k"), std::nullopt);
}

TEST_F(ProvenNearCacheTest, AFillThatFoundNothingDropsWhatWasKept) {
  Fill("k", "a");
  cache_.Close("k", *Open("k"), std::nullopt, absl::InfiniteFuture());
  EXPECT_EQ(Find("k"), std::nullopt);
  EXPECT_EQ(cache_.stats().fills, 0U);
}

TEST_F(ProvenNearCacheTest, DoubtDropsEverythingUntilTheNextProof) {
  Fill("k", "a");
  cache_.Doubt();
  EXPECT_EQ(Find("k"), std::nullopt);
  EXPECT_EQ(Open("k"), std::nullopt);
  EXPECT_EQ(cache_.stats().entries, 0U);
  cache_.Proven(now_ + kMs);
  EXPECT_EQ(Find("k"), std::nullopt) << "what was kept before is not proven by that";
  Fill("k", "b");
  EXPECT_EQ(Find("k"), "b");
}

TEST_F(ProvenNearCacheTest, AFillOverADoubtIsDroppedThoughItIsProvenAgain) {
  const auto fill = Open("k");
  cache_.Doubt();
  Close("k", fill, "old");
  cache_.Proven(now_);
  EXPECT_EQ(Find("k"), std::nullopt);
  const auto other = Open("other");
  cache_.Doubt();
  cache_.Proven(now_);
  Close("other", other, "old");
  EXPECT_EQ(Find("other"), std::nullopt);
}

TEST_F(ProvenNearCacheTest, ADoubtDuringWhatWasKeptBeforeGivesItsBytesBack) {
  for (int i = 0; i < 100; ++i) Fill(absl::StrCat("k", i), "body");
  EXPECT_GT(cache_.stats().bytes, 100 * 6U);
  cache_.Doubt();
  cache_.Proven(now_);
  EXPECT_EQ(cache_.stats().bytes, 0U);
}

TEST_F(NearCacheTest, WhatADoubtLeavesInMemoryForAWhileIsNotFound) {
  NearCache cache(size_t{64} << 20, kMaxAge);
  cache.Proven(now_);
  for (int i = 0; i < 25'000; ++i) {
    const std::string key = absl::StrCat(i);
    cache.Close(key, *cache.Open(key, now_), Value("a"), absl::InfiniteFuture());
  }
  cache.Doubt();
  cache.Proven(now_);
  ASSERT_GT(cache.stats().bytes, 0U);
  EXPECT_EQ(cache.Find("24999", now_), std::nullopt);
  cache.Close("24998", *cache.Open("24998", now_), Value("b"), absl::InfiniteFuture());
  cache.Proven(now_);
  cache.Proven(now_);
  EXPECT_EQ(cache.stats().entries, 1U);
  EXPECT_LT(cache.stats().bytes, 1000U);
  EXPECT_NE(cache.Find("24998", now_), std::nullopt);
}

TEST_F(ProvenNearCacheTest, OfAnEarlierEraChangesAndFillsMakeAnEnd) {
  Fill("changed", "a");
  Fill("found", "b");
  Fill("filled", "c");
  const size_t bytes = cache_.stats().bytes;
  cache_.Doubt();
  cache_.Changed({"changed"});
  EXPECT_LT(cache_.stats().bytes, bytes);
  cache_.Proven(now_);
  EXPECT_EQ(Find("found"), std::nullopt);
  Fill("filled", "new");
  EXPECT_EQ(Find("filled"), "new");
  EXPECT_EQ(cache_.stats().entries, 1U);
}

TEST_F(ProvenNearCacheTest, WithAProofThatIsTooOldNothingIsFoundOrFilled) {
  Fill("k", "a");
  now_ += kMaxAge;
  EXPECT_EQ(Find("k"), "a");
  now_ += kMs;
  EXPECT_EQ(Find("k"), std::nullopt);
  EXPECT_EQ(Open("other"), std::nullopt);
}

TEST_F(ProvenNearCacheTest, ALateProofIsAProofOfWhatWasKept) {
  Fill("k", "a");
  const auto open = Open("open");
  now_ += 2 * kMaxAge;
  EXPECT_EQ(Find("k"), std::nullopt);
  Close("open", open, "b");
  cache_.Proven(now_ - kMs);
  EXPECT_EQ(Find("k"), "a");
  EXPECT_EQ(Find("open"), "b");
}

TEST_F(ProvenNearCacheTest, AnOlderProofTakesNothingBack) {
  Fill("k", "a");
  cache_.Proven(now_ - kMaxAge);
  now_ += kMaxAge;
  EXPECT_EQ(Find("k"), "a");
}

TEST_F(ProvenNearCacheTest, WhatExpiresIsNotFoundFromThatMoment) {
  Fill("k", "a", now_ + 2 * kMs);
  now_ += kMs;
  EXPECT_EQ(Find("k"), "a");
  now_ += kMs;
  EXPECT_EQ(Find("k"), std::nullopt);
  EXPECT_EQ(cache_.stats().bytes, 0U);
}

TEST_F(ProvenNearCacheTest, TheLeastRecentlyUsedGoFirst) {
  const std::string body(kBytes / 10, 'x');
  for (int i = 0; i < 9; ++i) Fill(absl::StrCat("k", i), body);
  EXPECT_EQ(Find("k0"), body);
  EXPECT_LE(cache_.stats().bytes, kBytes);
  Fill("one more", body);
  EXPECT_EQ(Find("k1"), std::nullopt);
  EXPECT_EQ(Find("k0"), body);
  EXPECT_EQ(Find("k2"), body);
  EXPECT_EQ(Find("one more"), body);
  EXPECT_LE(cache_.stats().bytes, kBytes);
}

TEST_F(ProvenNearCacheTest, ManySmallOnesCostMoreThanTheirContents) {
  for (int i = 0; i < 100'000; ++i) Fill(absl::StrCat(i), "");
  EXPECT_LE(cache_.stats().bytes, kBytes);
  EXPECT_LT(cache_.stats().entries, kBytes / 200);
  EXPECT_EQ(Find("99999"), "");
  EXPECT_EQ(Find("0"), std::nullopt);
}

TEST_F(ProvenNearCacheTest, WhatIsLargerThanAnEighthIsNotKept) {
  Fill("k", std::string(kBytes / 8, 'x'));
  EXPECT_EQ(Find("k"), std::nullopt);
  EXPECT_EQ(cache_.stats().bytes, 0U);
  Fill("k", std::string(kBytes / 8 - 1000, 'x'));
  EXPECT_NE(Find("k"), std::nullopt);
}

TEST_F(ProvenNearCacheTest, OpenFillsAreBounded) {
  std::vector<std::pair<std::string, NearCache::Fill>> open;
  const auto fill_up = [&] {
    for (int i = 0; i < 100'000; ++i) {
      const std::string key = absl::StrCat("k", i);
      if (const auto fill = Open(key); fill.has_value()) open.emplace_back(key, *fill);
    }
  };
  fill_up();
  const size_t most = open.size();
  EXPECT_GT(most, 500U);
  EXPECT_LE(cache_.stats().bytes, kBytes / 8);
  for (const auto& [key, fill] : open) cache_.Close(key, fill, std::nullopt, absl::InfiniteFuture());
  EXPECT_EQ(cache_.stats().bytes, 0U);
  open.clear();
  fill_up();
  EXPECT_EQ(open.size(), most) << "they can be opened again";
  cache_.Doubt();
  EXPECT_EQ(cache_.stats().bytes, 0U);
}

TEST_F(ProvenNearCacheTest, OvertakenFillsMakeRoomForOthers) {
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_NE(Open("k"), std::nullopt) << i;
    cache_.Changed({"k"});
  }
}

// A key's values are numbers that grow; the change to each is heard before the read that gives it: none that is found may be older than what was heard before Find.
TEST_F(ProvenNearCacheTest, ThreadsFindNothingThatWasChangedBefore) {
  std::atomic<int> heard = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  readers.reserve(2);
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const int before = heard;
        if (const auto entry = cache_.Find("k", now_)) {
          EXPECT_GE(std::stoi(entry->content.body), before);
        }
      }
    });
  }
  for (int i = 1; i < 20'000; ++i) {
    const auto late = cache_.Open("k", now_);
    cache_.Changed({"k"});
    heard = i;
    if (late.has_value()) cache_.Close("k", *late, Value(absl::StrCat(i - 1)), absl::InfiniteFuture());
    Fill("k", absl::StrCat(i));
    if (i % 100 == 0) {
      cache_.Doubt();
      cache_.Proven(now_);
    }
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace actioncluster

#include <cstdint>
#include <limits>
#include <string>

#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "gtest/gtest.h"
#include "tests/integration/cache/cache_client.h"

// What the scripts do with values and who may touch them; on a single Redis and on a cluster of one.
namespace actioncluster {
namespace {

class ValuesTest : public testing::TestWithParam<bool> {
 protected:
  v1::ErrorReason ReasonOfSave(const SaveOptions& options) { return ReasonOf(cache_.Save(options).status()); }
  // Awaits that the lock, or the value, is gone by its expiry.
  template <class Gone>
  void Await(Gone gone) {
    const absl::Time give_up = absl::Now() + fakes::kPatience;
    while (!gone()) ASSERT_LT(absl::Now(), give_up);
  }
  int64_t KeyCount() { return *redis_.Command({"DBSIZE"}).view().Integer(); }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(GetParam());
  CacheClient cache_{redis_};
};

INSTANTIATE_TEST_SUITE_P(Redis, ValuesTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Cluster" : "Single"; });

TEST_P(ValuesTest, WhatIsSavedIsLoadedWithAllThatIsKnownOfIt) {
  const absl::Time before = absl::Now() - absl::Seconds(1);
  SaveOptions options = CacheClient::SaveOf(std::string("a\0b", 3));
  options.expire_after = absl::Minutes(1);
  const absl::StatusOr<SaveOutcome> first = cache_.Save(options);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(first->replaced);
  const absl::StatusOr<CacheEntry> entry = cache_.Look();
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_EQ(options.content, entry->content);
  EXPECT_EQ(first->version, entry->version);
  EXPECT_GT(entry->created_at, before);
  ASSERT_TRUE(entry->expires_at.has_value());
  EXPECT_GE(*entry->expires_at, entry->created_at + absl::Minutes(1));
  EXPECT_LE(*entry->expires_at, entry->created_at + absl::Minutes(1) + absl::Milliseconds(1));
  EXPECT_FALSE(entry->read_at.has_value());

  const absl::StatusOr<SaveOutcome> second = cache_.Save("other");
  EXPECT_TRUE(second->replaced);
  EXPECT_GT(second->version, first->version);
  EXPECT_FALSE(cache_.Look()->expires_at.has_value()) << "it was saved without";
}

TEST_P(ValuesTest, AValueIsGoneWhenItExpires) {
  SaveOptions options = CacheClient::SaveOf("x");
  options.expire_after = absl::Milliseconds(20);
  ASSERT_TRUE(cache_.Save(options).ok());
  Await([&] { return !cache_.Look().ok(); });
  EXPECT_EQ(v1::ERROR_REASON_CACHE_KEY_NOT_FOUND, ReasonOf(cache_.Look().status()));
  EXPECT_EQ(0, KeyCount());
}

TEST_P(ValuesTest, ReadingCanSetTheExpiryAndBeNoted) {
  ASSERT_TRUE(cache_.Save("x").ok());
  LoadOptions options;
  options.key = CacheClient::kKey;
  options.track_reads = true;
  EXPECT_FALSE(cache_.Load(options)->got->read_at.has_value());
  const CacheEntry second = *cache_.Load(options)->got;
  ASSERT_TRUE(second.read_at.has_value());
  EXPECT_GE(*second.read_at, second.created_at);
  EXPECT_GT(*cache_.Look()->read_at, *second.read_at);
  EXPECT_FALSE(second.expires_at.has_value());

  options.track_reads = false;
  options.expire_after = absl::Minutes(1);
  EXPECT_TRUE(cache_.Load(options)->got->expires_at.has_value());
  EXPECT_EQ("x", cache_.Look()->content.body);
  options.expire_after = absl::Milliseconds(30);
  EXPECT_TRUE(cache_.Load(options).ok());
  Await([&] { return !cache_.Look().ok(); });
  EXPECT_EQ(v1::ERROR_REASON_CACHE_KEY_NOT_FOUND, ReasonOf(cache_.Load(options).status()));
}

TEST_P(ValuesTest, DestroyTakesTheValueAndSaysWhetherThereWasOne) {
  ASSERT_TRUE(cache_.Save("x").ok());
  EXPECT_TRUE(*cache_.Destroy());
  EXPECT_FALSE(*cache_.Destroy());
  EXPECT_EQ(0, KeyCount());
}

TEST_P(ValuesTest, AVersionNeverComesAgain) {
  const int64_t first = cache_.Save("x")->version;
  ASSERT_TRUE(cache_.Destroy().ok());
  EXPECT_GT(cache_.Save("x")->version, first);
}

TEST_P(ValuesTest, CompareAndSaveTakesOnlyTheVersionThatItNames) {
  SaveOptions options = CacheClient::SaveOf("1");
  options.expected_version = 0;
  const int64_t version = cache_.Save(options)->version;
  const absl::Status there = cache_.Save(options).status();
  EXPECT_EQ(v1::ERROR_REASON_VERSION_MISMATCH, ReasonOf(there));
  EXPECT_EQ(absl::StrCat(version), MetadataOf(there)["version"]);
  options.expected_version = version;
  options.content.body = "2";
  EXPECT_TRUE(cache_.Save(options).ok());
  EXPECT_EQ(v1::ERROR_REASON_VERSION_MISMATCH, ReasonOfSave(options));
  ASSERT_TRUE(cache_.Destroy().ok());
  const absl::Status gone = cache_.Save(options).status();
  EXPECT_EQ("0", MetadataOf(gone)["version"]);
}

TEST_P(ValuesTest, ARequestThatIsRepeatedHasItsEffectOnce) {
  SaveOptions options = CacheClient::SaveOf("1");
  options.expected_version = 0;
  options.request_id = "r";
  const int64_t version = cache_.Save(options)->version;
  ASSERT_TRUE(cache_.Save("2").ok());
  EXPECT_EQ(version, cache_.Save(options)->version);
  EXPECT_EQ("2", cache_.Look()->content.body);

  ASSERT_TRUE(cache_.Destroy().ok());
  EXPECT_EQ(5, cache_.Increment(5, "i")->value);
  EXPECT_EQ(5, cache_.Increment(5, "i")->value);
  EXPECT_EQ(10, cache_.Increment(5, "j")->value);
}

TEST_P(ValuesTest, SumsAreExactOverTheWholeRange) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(1, cache_.Increment(1)->value);
  EXPECT_EQ(kMax - 1, cache_.Increment(kMax - 2)->value);
  EXPECT_EQ(kMax, cache_.Increment(1)->value);
  EXPECT_EQ(absl::StatusCode::kOutOfRange, cache_.Increment(1).status().code());
  EXPECT_EQ(-1, cache_.Increment(std::numeric_limits<int64_t>::min())->value);
  EXPECT_EQ(absl::StrCat(-1), cache_.Look()->content.body);
  EXPECT_EQ(1, KeyCount()) << "no scratch is left";
}

TEST_P(ValuesTest, ANumberThatWasSavedIsAddedToIfItIsAnInteger) {
  const auto save = [&](double number) {
    google::protobuf::Value value;
    value.set_number_value(number);
    SaveOptions options = CacheClient::SaveOf("");
    options.content = {.kind = CacheContent::Kind::kJson, .body = value.SerializeAsString()};
    ASSERT_TRUE(cache_.Save(options).ok());
  };
  save(-0.0);
  EXPECT_EQ(2, cache_.Increment(2)->value);
  save(9007199254740992.0);
  EXPECT_EQ(9007199254740993, cache_.Increment(1)->value);
  for (const double number : {1.5, 1e300, 9007199254740994.0}) {
    save(number);
    EXPECT_EQ(v1::ERROR_REASON_NOT_AN_INTEGER, ReasonOf(cache_.Increment(1).status())) << number;
  }
  ASSERT_TRUE(cache_.Save("7").ok());
  EXPECT_EQ(v1::ERROR_REASON_NOT_AN_INTEGER, ReasonOf(cache_.Increment(1).status())) << "bytes are no number";
}

TEST_P(ValuesTest, IncrementKeepsExpiryAndBirthOfWhatIsThere) {
  SaveOptions options = CacheClient::SaveOf("");
  google::protobuf::Value value;
  value.set_number_value(1);
  options.content = {.kind = CacheContent::Kind::kJson, .body = value.SerializeAsString()};
  options.expire_after = absl::Minutes(1);
  ASSERT_TRUE(cache_.Save(options).ok());
  const CacheEntry before = *cache_.Look();
  ASSERT_TRUE(cache_.Increment(1).ok());
  const CacheEntry after = *cache_.Look();
  EXPECT_EQ(before.created_at, after.created_at);
  EXPECT_EQ(before.expires_at, after.expires_at);
  EXPECT_GT(after.version, before.version);
}

TEST_P(ValuesTest, OnlyTheHolderOfALockTouchesItsKey) {
  ASSERT_TRUE(cache_.Save("x").ok());
  const int64_t token = cache_.MustLock("me");
  const absl::Status other = cache_.Save("y").status();
  EXPECT_EQ(v1::ERROR_REASON_KEY_LOCKED, ReasonOf(other));
  EXPECT_EQ("me", MetadataOf(other)["held_by"]);
  EXPECT_EQ(v1::ERROR_REASON_KEY_LOCKED, ReasonOf(cache_.Save("y", {.holder = "you"}).status()));
  EXPECT_EQ(v1::ERROR_REASON_KEY_LOCKED, ReasonOf(cache_.Look().status()));
  EXPECT_EQ(v1::ERROR_REASON_KEY_LOCKED, ReasonOf(cache_.Destroy().status()));
  EXPECT_EQ(v1::ERROR_REASON_KEY_LOCKED, ReasonOf(cache_.Increment(1).status()));
  EXPECT_EQ("x", cache_.Look("me")->content.body);
  EXPECT_TRUE(cache_.Save("y", {.holder = "me"}).ok());
  EXPECT_TRUE(cache_.Save("z", {.holder = "", .token = token}).ok());
  EXPECT_EQ(v1::ERROR_REASON_LEASE_LOST, ReasonOf(cache_.Save("y", {.holder = "me", .token = token - 1}).status()));
  EXPECT_TRUE(*cache_.Destroy({.holder = "me"}));
  EXPECT_EQ("me", (*cache_.CheckLock())->holder) << "the lock stays";
}

TEST_P(ValuesTest, ATokenWhoseLockHasEndedIsRefusedEvenIfNobodyHasTheLock) {
  const int64_t token = cache_.MustLock("me", {}, absl::Milliseconds(20));
  Await([&] { return !cache_.CheckLock()->has_value(); });
  EXPECT_EQ(v1::ERROR_REASON_LEASE_LOST, ReasonOf(cache_.Save("late", {.holder = "me", .token = token}).status()));
  EXPECT_EQ(v1::ERROR_REASON_LEASE_LOST, ReasonOf(cache_.Unlock({.holder = "me", .token = token}).status()));
  EXPECT_EQ(0, KeyCount());
}

TEST_P(ValuesTest, OfEachStepThatMayChangeAKeyItIsToldWhenItIsSentAndBeforeItEnds) {
  ASSERT_TRUE(cache_.Save("x").ok());
  EXPECT_EQ(2, cache_.TakeChanges());
  ASSERT_TRUE(cache_.Destroy().ok());
  EXPECT_EQ(2, cache_.TakeChanges());
  ASSERT_TRUE(cache_.Increment(1).ok());
  EXPECT_EQ(2, cache_.TakeChanges());
  cache_.MustLock("me");
  EXPECT_EQ(2, cache_.TakeChanges());
  ASSERT_TRUE(cache_.Unlock({.holder = "me"}).ok());
  EXPECT_EQ(2, cache_.TakeChanges());
  ASSERT_TRUE(cache_.Look().ok());
  ASSERT_TRUE(cache_.Push("item").ok());
  EXPECT_EQ("item", cache_.Popped());
  EXPECT_EQ(0, cache_.TakeChanges());
}

}  // namespace
}  // namespace actioncluster

#include "server/services/cache_proto.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

v1::LoadResponse WithInteger(int64_t number) {
  v1::LoadResponse response;
  SetCacheContent({.kind = CacheContent::Kind::kInteger, .body = absl::StrCat(number)}, &response);
  return response;
}

TEST(CacheProtoTest, AnIntegerIsANumberAsLongAsThatIsExactAndThenItsDigits) {
  constexpr int64_t kMost = int64_t{1} << 53;
  EXPECT_EQ(WithInteger(-7).value().number_value(), -7);
  EXPECT_EQ(WithInteger(kMost).value().number_value(), 9007199254740992.0);
  EXPECT_EQ(WithInteger(-kMost).value().number_value(), -9007199254740992.0);
  EXPECT_EQ(WithInteger(kMost + 1).value().string_value(), "9007199254740993");
  EXPECT_EQ(WithInteger(-kMost - 1).value().string_value(), "-9007199254740993");
  EXPECT_EQ(WithInteger(std::numeric_limits<int64_t>::min()).value().string_value(), "-9223372036854775808");
}

TEST(CacheProtoTest, WhatRedisShouldNotHaveLeavesAValueThatIsNotSet) {
  v1::LoadResponse response;
  SetCacheContent({.kind = CacheContent::Kind::kInteger, .body = "seven"}, &response);
  EXPECT_EQ(response.value().kind_case(), google::protobuf::Value::KIND_NOT_SET);
}

TEST(CacheProtoTest, NoBytesAreContentAndNoContentIsNone) {
  v1::SaveRequest request;
  request.set_key("k");
  EXPECT_EQ(SaveOptionsOf(request, {}).status().code(), absl::StatusCode::kInvalidArgument);
  request.set_data("");
  const auto options = SaveOptionsOf(request, {});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->content, (CacheContent{.kind = CacheContent::Kind::kBytes, .body = ""}));
  v1::LoadResponse response;
  SetCacheContent(options->content, &response);
  EXPECT_TRUE(response.has_data());
}

TEST(CacheProtoTest, WhatIsAtALimitPassesAndOneByteMoreDoesNot) {
  const CacheLimits limits{.key_bytes = 3, .value_bytes = 4, .batch = 2};
  EXPECT_TRUE(ValidateCacheKey("abc", limits).ok());
  EXPECT_EQ(MetadataOf(ValidateCacheKey("abcd", limits)).at("limit"), "cache_key_bytes");
  EXPECT_EQ(ValidateCacheKey("", limits).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(CacheBytesOf("1234", limits).ok());
  EXPECT_EQ(MetadataOf(CacheBytesOf("12345", limits).status()).at("limit"), "cache_value_bytes");
  EXPECT_TRUE(ValidateCacheBatch(2, "keys", limits).ok());
  EXPECT_EQ(MetadataOf(ValidateCacheBatch(3, "keys", limits)).at("limit"), "cache_batch");
  EXPECT_EQ(ValidateCacheBatch(0, "keys", limits).code(), absl::StatusCode::kInvalidArgument);
}

TEST(CacheProtoTest, ALockIsForTenSecondsUnlessItIsSaid) {
  v1::LockRequest request;
  request.set_key("k");
  EXPECT_EQ(LockOptionsOf(request, {}).status().message(), "holder must not be empty");
  request.set_holder("me");
  EXPECT_EQ(LockOptionsOf(request, {})->expire_after, absl::Seconds(10));
  request.mutable_expire_after()->set_seconds(7 * 24 * 3600);
  EXPECT_EQ(LockOptionsOf(request, {})->expire_after, absl::Hours(7 * 24));
  request.mutable_expire_after()->set_nanos(1);
  EXPECT_EQ(LockOptionsOf(request, {}).status().message(), "expire_after must be at most 7 days");
  request.mutable_expire_after()->Clear();
  EXPECT_EQ(LockOptionsOf(request, {}).status().message(), "expire_after must be at least 1ms");
}

TEST(CacheProtoTest, AnEntryIsNotLargerThanItIsSaidToBe) {
  const absl::Time late = absl::FromUnixSeconds(250'000'000'000);
  const CacheEntry entry{.content = {.kind = CacheContent::Kind::kBytes, .body = std::string(70'000, 'x')},
                         .created_at = late + absl::Microseconds(999'999),
                         .expires_at = late + absl::Microseconds(999'999),
                         .version = std::numeric_limits<int64_t>::max(),
                         .read_at = late + absl::Microseconds(999'999)};
  v1::LoadResponse response;
  SetCacheEntry(entry, &response);
  response.set_near(true);
  EXPECT_LE(response.ByteSizeLong(), SizeOf(entry));
}

}  // namespace
}  // namespace actioncluster

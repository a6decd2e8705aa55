// The unary calls of CacheService through whole nodes inside this process.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <string>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/integration/server/cache_service_test_base.h"

namespace actioncluster {
namespace {

using google::protobuf::Value;
using google::protobuf::util::MessageDifferencer;
using testing::HasSubstr;

std::string RandomBytes(size_t size) {
  absl::BitGen random;
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(absl::Uniform<int>(random, 0, 256));
  return bytes;
}

// `depth` arrays within each other.
Value Nested(int depth) {
  Value value;
  Value* at = &value;
  for (int i = 1; i < depth; ++i) at = at->mutable_list_value()->add_values();
  at->mutable_list_value();
  return value;
}

v1::SaveRequest WithValue(Value value) {
  v1::SaveRequest request;
  request.set_key("k");
  *request.mutable_value() = std::move(value);
  return request;
}

class CacheValuesTest : public CacheServiceTest {
 protected:
  grpc::Status Save(const v1::SaveRequest& request) {
    v1::SaveResponse response;
    return CallWith(one_, &Stub::Save, request, &response);
  }
  grpc::Status SaveValue(double number) {
    Value value;
    value.set_number_value(number);
    return Save(WithValue(value));
  }
};

TEST_F(CacheValuesTest, SavedOnOneNodeAValueIsReadOnTheOtherAndOnceDestroyedItIsGone) {
  const auto saved = Ask(one_, &Stub::Save, R"({"key":"k","value":{"n":1},"expireAfter":"60s"})");
  EXPECT_FALSE(saved.replaced());
  const auto loaded = Ask(two_, &Stub::Load, R"({"key":"k"})");
  EXPECT_EQ(loaded.value().struct_value().fields().at("n").number_value(), 1);
  EXPECT_EQ(loaded.version(), saved.version());
  EXPECT_EQ(loaded.expires_at().seconds(), loaded.created_at().seconds() + 60);
  EXPECT_FALSE(loaded.has_read_at());
  EXPECT_FALSE(loaded.near());
  const auto again = Ask(two_, &Stub::Save, R"({"key":"k","value":2})");
  EXPECT_TRUE(again.replaced());
  EXPECT_GT(again.version(), saved.version());
  EXPECT_TRUE(Ask(two_, &Stub::Destroy, R"({"key":"k"})").destroyed());
  EXPECT_FALSE(Ask(one_, &Stub::Destroy, R"({"key":"k"})").destroyed());
  const grpc::Status gone = Fail(one_, &Stub::Load, R"({"key":"k"})");
  EXPECT_EQ(gone.error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(ReasonOf(gone), "CACHE_KEY_NOT_FOUND");
  EXPECT_EQ(DetailOf(gone, "key"), "k");
}

TEST_F(CacheValuesTest, JsonOfEveryShapeComesBackEqual) {
  std::vector<Value> values;
  for (const char* const json : {"[]", "{}", "null", "1e308", "-0.5", "9007199254740992", "-9007199254740992", "true",
                                 "\"\"", "\"\xf0\x9f\xa6\x8a\"", R"({"":[{"a":[]},null,{}]})"}) {
    values.push_back(FromJson<Value>(json));
  }
  values.push_back(Nested(32));
  for (const Value& value : values) {
    ASSERT_TRUE(Save(WithValue(value)).ok()) << value.ShortDebugString();
    const auto loaded = Ask(two_, &Stub::Load, R"({"key":"k"})");
    EXPECT_TRUE(loaded.has_value());
    EXPECT_TRUE(MessageDifferencer::Equals(loaded.value(), value)) << loaded.value().ShortDebugString();
  }
}

TEST_F(CacheValuesTest, BytesComeBackEqualUpToFourMebibytes) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{100'000}, size_t{4} << 20}) {
    v1::SaveRequest request;
    request.set_key("\xf0\x9f\xa6\x8a {} %");
    request.set_data(RandomBytes(size));
    ASSERT_TRUE(Save(request).ok()) << size;
    v1::LoadRequest load;
    load.set_key(request.key());
    v1::LoadResponse loaded;
    const grpc::Status status = CallWith(two_, &Stub::Load, load, &loaded);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(loaded.has_data());
    EXPECT_TRUE(loaded.data() == request.data()) << size;
  }
}

TEST_F(CacheValuesTest, WhatIsNoJsonIsRefusedAndChangesNothing) {
  for (const double number : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    const grpc::Status status = SaveValue(number);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("NaN or infinite"));
  }
  EXPECT_THAT(Save(WithValue(Value())).error_message(), HasSubstr("not set"));
  EXPECT_THAT(Save(WithValue(Nested(33))).error_message(), HasSubstr("nested more than 32 deep"));
  // Deeper than any message may be: gRPC itself refuses it, and does not say why.
  EXPECT_EQ(Save(WithValue(Nested(64))).error_code(), grpc::UNIMPLEMENTED);
  v1::SaveRequest nothing;
  nothing.set_key("k");
  EXPECT_EQ(Save(nothing).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(Fail(one_, &Stub::Load, R"({"key":"k"})")), "CACHE_KEY_NOT_FOUND");
}

TEST_F(CacheValuesTest, WhatIsTooLongOrTooLargeNamesItsLimit) {
  v1::SaveRequest request;
  request.set_key(std::string(1025, 'k'));
  request.set_data("x");
  grpc::Status status = Save(request);
  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(status, "limit"), "cache_key_bytes");
  request.set_key(std::string(1024, 'k'));
  EXPECT_TRUE(Save(request).ok());
  request.set_data(std::string((size_t{4} << 20) + 1, 'x'));
  status = Save(request);
  EXPECT_EQ(ReasonOf(status), "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(status, "limit"), "cache_value_bytes");
}

TEST_F(CacheValuesTest, WhatIsWrongIsSaid) {
  const std::string long_holder(257, 'h');
  EXPECT_EQ(Fail(one_, &Stub::Load, "{}").error_message(), "key must not be empty");
  EXPECT_EQ(Fail(one_, &Stub::Load, R"({"key":"k","waitForLock":"-1s"})").error_message(),
            "wait_for_lock must not be negative");
  EXPECT_EQ(Fail(one_, &Stub::Load, R"({"key":"k","waitForLock":"3601s"})").error_message(),
            "wait_for_lock must be at most 1h");
  EXPECT_EQ(Fail(one_, &Stub::Save, R"({"key":"k","value":1,"expireAfter":"0s"})").error_message(),
            "expire_after must be at least 1ms");
  EXPECT_EQ(Fail(one_, &Stub::Save, R"({"key":"k","value":1,"expireAfter":"-1s"})").error_message(),
            "expire_after must not be negative");
  EXPECT_EQ(Fail(one_, &Stub::Save, R"({"key":"k","value":1,"expireAfter":"400000000s"})").error_message(),
            "expire_after must be at most 10 years");
  EXPECT_EQ(Fail(one_, &Stub::Destroy, absl::StrCat(R"({"key":"k","holder":")", long_holder, R"("})")).error_message(),
            "holder must have at most 256 bytes");
  EXPECT_EQ(Fail(one_, &Stub::Increment, absl::StrCat(R"({"key":"k","requestId":")", std::string(65, 'r'), R"("})"))
                .error_message(),
            "request_id must have at most 64 bytes");
  EXPECT_EQ(Fail(one_, &Stub::Lock, R"({"key":"k"})").error_message(), "holder must not be empty");
  EXPECT_EQ(Fail(one_, &Stub::Unlock, R"({"key":"k"})").error_message(), "it takes holder or token");
  EXPECT_EQ(Fail(one_, &Stub::Push, R"({"key":"k"})").error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(CacheValuesTest, AReadMovesTheExpiryAndIsNotedIfThatIsAskedFor) {
  Ask(one_, &Stub::Save, R"({"key":"k","value":1,"expireAfter":"60s"})");
  auto loaded = Ask(one_, &Stub::Load, R"({"key":"k","expireAfter":"3600s","trackReads":true})");
  EXPECT_FALSE(loaded.has_read_at());
  EXPECT_GT(loaded.expires_at().seconds(), loaded.created_at().seconds() + 3000);
  loaded = Ask(two_, &Stub::Load, R"({"key":"k","trackReads":true})");
  EXPECT_TRUE(loaded.has_read_at());
}

TEST_F(CacheValuesTest, AnExpiredValueIsGone) {
  Ask(one_, &Stub::Save, R"({"key":"k","value":1,"expireAfter":"0.005s"})");
  const absl::Time limit = absl::Now() + fakes::kPatience;
  while (Fail(one_, &Stub::Load, R"({"key":"k"})").ok()) ASSERT_LT(absl::Now(), limit);
}

TEST_F(CacheValuesTest, CompareAndSaveReplacesOnlyTheVersionThatItNames) {
  const auto first = Ask(one_, &Stub::CompareAndSave, R"({"key":"k","value":1})");
  const grpc::Status there = Fail(two_, &Stub::CompareAndSave, R"({"key":"k","value":2})");
  EXPECT_EQ(there.error_code(), grpc::ABORTED);
  EXPECT_EQ(ReasonOf(there), "VERSION_MISMATCH");
  EXPECT_EQ(DetailOf(there, "version"), absl::StrCat(first.version()));
  const auto second =
      Ask(two_, &Stub::CompareAndSave, absl::StrCat(R"({"key":"k","value":2,"version":")", first.version(), R"("})"));
  EXPECT_GT(second.version(), first.version());
  EXPECT_EQ(Ask(one_, &Stub::Load, R"({"key":"k"})").value().number_value(), 2);
}

TEST_F(CacheValuesTest, ARepeatedChangeWithAnIdHasItsEffectOnce) {
  EXPECT_EQ(Ask(one_, &Stub::Increment, R"({"key":"n","requestId":"a"})").value(), 1);
  EXPECT_EQ(Ask(two_, &Stub::Increment, R"({"key":"n","requestId":"a"})").value(), 1);
  EXPECT_EQ(Ask(two_, &Stub::Increment, R"({"key":"n"})").value(), 2);
  EXPECT_EQ(Ask(one_, &Stub::Push, R"({"key":"q","value":1,"requestId":"a"})").length(), 1);
  EXPECT_EQ(Ask(two_, &Stub::Push, R"({"key":"q","value":1,"requestId":"a"})").length(), 1);
  const auto popped = Ask(one_, &Stub::Pop, R"({"key":"q","requestId":"b"})");
  EXPECT_EQ(Ask(two_, &Stub::Pop, R"({"key":"q","requestId":"b"})").value().number_value(),
            popped.value().number_value());
}

TEST_F(CacheValuesTest, SumsAreExactOverTheWholeRangeAndNotBeyond) {
  EXPECT_EQ(Ask(one_, &Stub::Increment, R"({"key":"n","by":"9007199254740992"})").value(), int64_t{1} << 53);
  EXPECT_EQ(Ask(one_, &Stub::Load, R"({"key":"n"})").value().number_value(), 9007199254740992.0);
  EXPECT_EQ(Ask(two_, &Stub::Increment, R"({"key":"n"})").value(), (int64_t{1} << 53) + 1);
  EXPECT_EQ(Ask(one_, &Stub::Load, R"({"key":"n"})").value().string_value(), "9007199254740993");
  EXPECT_EQ(Fail(one_, &Stub::Increment, R"({"key":"n","by":"9223372036854775807"})").error_code(), grpc::OUT_OF_RANGE);
  Ask(one_, &Stub::Save, R"({"key":"n","value":"text"})");
  const grpc::Status text = Fail(one_, &Stub::Increment, R"({"key":"n"})");
  EXPECT_EQ(text.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(text), "NOT_AN_INTEGER");
}

TEST_F(CacheValuesTest, ALockedKeyIsForItsHolderAndForWhoShowsTheToken) {
  const auto lock = Ask(one_, &Stub::Lock, R"({"key":"k","holder":"ann"})");
  ASSERT_TRUE(lock.acquired());
  const grpc::Status locked = Fail(two_, &Stub::Save, R"({"key":"k","value":1,"holder":"bob"})");
  EXPECT_EQ(locked.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(locked), "KEY_LOCKED");
  EXPECT_EQ(DetailOf(locked, "key"), "k");
  EXPECT_EQ(DetailOf(locked, "held_by"), "ann");
  EXPECT_EQ(ReasonOf(Fail(two_, &Stub::Load, R"({"key":"k"})")), "KEY_LOCKED");
  EXPECT_EQ(ReasonOf(Fail(two_, &Stub::Increment, R"({"key":"k"})")), "KEY_LOCKED");
  Ask(two_, &Stub::Save, R"({"key":"k","value":1,"holder":"ann"})");
  Ask(two_, &Stub::Save, absl::StrCat(R"({"key":"k","value":2,"token":")", lock.token(), R"("})"));
  const grpc::Status lost =
      Fail(two_, &Stub::Save, absl::StrCat(R"({"key":"k","value":3,"token":")", lock.token() - 1, R"("})"));
  EXPECT_EQ(lost.error_code(), grpc::ABORTED);
  EXPECT_EQ(ReasonOf(lost), "LEASE_LOST");
  EXPECT_EQ(Ask(one_, &Stub::Load, R"({"key":"k","holder":"ann"})").value().number_value(), 2);
}

TEST_F(CacheValuesTest, ALockIsSeenRenewedAndGivenUp) {
  const auto lock = Ask(one_, &Stub::Lock, R"({"key":"k","holder":"ann"})");
  EXPECT_EQ(Ask(two_, &Stub::Lock, R"({"key":"k","holder":"ann","expireAfter":"60s"})").token(), lock.token());
  const auto other = Ask(two_, &Stub::Lock, R"({"key":"k","holder":"bob"})");
  EXPECT_FALSE(other.acquired());
  EXPECT_EQ(other.held_by(), "ann");
  auto check = Ask(two_, &Stub::CheckLock, R"({"key":"k","holder":"bob"})");
  EXPECT_FALSE(check.obtainable());
  EXPECT_EQ(check.held_by(), "ann");
  EXPECT_GT(check.expires_at().seconds(), lock.expires_at().seconds());
  EXPECT_TRUE(Ask(two_, &Stub::CheckLock, R"({"key":"k","holder":"ann"})").obtainable());
  EXPECT_EQ(ReasonOf(Fail(two_, &Stub::Unlock, R"({"key":"k","holder":"bob"})")), "KEY_LOCKED");
  EXPECT_EQ(ReasonOf(Fail(two_, &Stub::Unlock, R"({"key":"k","token":"1"})")), "LEASE_LOST");
  EXPECT_TRUE(Ask(two_, &Stub::Unlock, R"({"key":"k","holder":"ann"})").released());
  EXPECT_FALSE(Ask(two_, &Stub::Unlock, R"({"key":"k","holder":"ann"})").released());
  check = Ask(two_, &Stub::CheckLock, R"({"key":"k"})");
  EXPECT_TRUE(check.obtainable());
  EXPECT_EQ(check.held_by(), "");
  EXPECT_FALSE(check.has_expires_at());
}

TEST_F(CacheValuesTest, AListGivesItsItemsInTheirOrderAndThenNone) {
  EXPECT_EQ(Ask(one_, &Stub::Push, R"({"key":"q","value":[]})").length(), 1);
  EXPECT_EQ(Ask(two_, &Stub::Push, R"({"key":"q","data":"AAE="})").length(), 2);
  EXPECT_EQ(Ask(one_, &Stub::ListLength, R"({"key":"q"})").length(), 2);
  EXPECT_TRUE(Ask(two_, &Stub::Pop, R"({"key":"q"})").value().has_list_value());
  EXPECT_EQ(Ask(one_, &Stub::Pop, R"({"key":"q"})").data(), std::string("\0\1", 2));
  EXPECT_EQ(Ask(one_, &Stub::Pop, R"({"key":"q"})").content_case(), v1::PopResponse::CONTENT_NOT_SET);
  EXPECT_EQ(Ask(two_, &Stub::ListLength, R"({"key":"q"})").length(), 0);
}

TEST_F(CacheValuesTest, LimitsAreAsTheyAreSet) {
  Settings settings;
  settings.cache_key_bytes = 2;
  settings.cache_value_bytes = int64_t{6} << 20;
  settings.cache_batch = 1;
  settings.cache_list_length = 1;
  LocalNode node(redis_.endpoint(), settings);
  EXPECT_EQ(DetailOf(Fail(node, &Stub::Load, R"({"key":"abc"})"), "limit"), "cache_key_bytes");
  EXPECT_EQ(DetailOf(Fail(node, &Stub::LoadMany, R"({"keys":["a","b"]})"), "limit"), "cache_batch");
  Ask(node, &Stub::Push, R"({"key":"q","value":1})");
  const grpc::Status full = Fail(node, &Stub::Push, R"({"key":"q","value":1})");
  EXPECT_EQ(ReasonOf(full), "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(full, "limit"), "cache_list_length");
  v1::SaveRequest request;
  request.set_key("k");
  request.set_data(RandomBytes(size_t{6} << 20));
  v1::SaveResponse saved;
  EXPECT_TRUE(CallWith(node, &Stub::Save, request, &saved).ok());
  EXPECT_TRUE(Ask(node, &Stub::Load, R"({"key":"k"})").data() == request.data());
  // Somewhat too large is told by us; twice as much, by gRPC.
  request.mutable_data()->resize((size_t{6} << 20) + 1);
  EXPECT_EQ(DetailOf(CallWith(node, &Stub::Save, request, &saved), "limit"), "cache_value_bytes");
}

TEST_F(CacheValuesTest, ANearLoadIsAnsweredFromTheNodesOwnMemoryAndHearsOfChanges) {
  Settings settings;
  settings.near_cache_bytes = 1 << 20;
  LocalNode node(redis_.endpoint(), settings);
  Ask(one_, &Stub::Save, R"({"key":"k","value":1})");
  const absl::Time limit = absl::Now() + fakes::kPatience;
  while (!Ask(node, &Stub::Load, R"({"key":"k","allowNear":true})").near()) ASSERT_LT(absl::Now(), limit);
  EXPECT_TRUE(Ask(node, &Stub::LoadMany, R"({"keys":["k"],"allowNear":true})").outcomes(0).entry().near());
  EXPECT_FALSE(Ask(node, &Stub::Load, R"({"key":"k"})").near());
  EXPECT_FALSE(Ask(node, &Stub::Load, R"({"key":"k","allowNear":true,"trackReads":true})").near());
  Ask(one_, &Stub::Save, R"({"key":"k","value":2})");
  while (Ask(node, &Stub::Load, R"({"key":"k","allowNear":true})").value().number_value() != 2) {
    ASSERT_LT(absl::Now(), limit);
  }
}

}  // namespace
}  // namespace actioncluster

#include "backplane/domain/error.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/rpc/error_info.pb.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

google::rpc::ErrorInfo PayloadOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  EXPECT_TRUE(info.ParseFromString(std::string(*status.GetPayload(kErrorInfoTypeUrl))));
  return info;
}

TEST(ErrorTest, CarriesCodeMessageAndErrorInfoAsCallersSeeIt) {
  const absl::Status status = MakeError(v1::ERROR_REASON_NODE_NOT_FOUND, "no such node", {{"node_id", "n1"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "no such node");
  EXPECT_EQ(PayloadOf(status).domain(), "actioncluster");
  EXPECT_EQ(PayloadOf(status).reason(), "NODE_NOT_FOUND");
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_NODE_NOT_FOUND);
  EXPECT_THAT(MetadataOf(status), ElementsAre(Pair("node_id", "n1")));
}

TEST(ErrorTest, EveryReasonButTheUnspecifiedHasItsNameAndComesBackFromAProto) {
  for (int number = v1::ErrorReason_MIN; number <= v1::ErrorReason_MAX; ++number) {
    const auto reason = static_cast<v1::ErrorReason>(number);
    const absl::Status status = MakeError(reason, "m");
    EXPECT_EQ(absl::StrCat("ERROR_REASON_", ReasonName(reason)), v1::ErrorReason_Name(reason));
    EXPECT_EQ(ReasonOf(status), reason);
    EXPECT_EQ(FromProto(ToProto(status)), status);
  }
}

TEST(ErrorTest, ReasonsHaveTheCodesOfTheContract) {
  EXPECT_EQ(MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, "").code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "").code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(MakeError(v1::ERROR_REASON_KEY_LOCKED, "").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MakeError(v1::ERROR_REASON_LEASE_LOST, "").code(), absl::StatusCode::kAborted);
  EXPECT_EQ(MakeError(v1::ERROR_REASON_ROOM_EXISTS, "").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(MakeError(v1::ERROR_REASON_UNAUTHENTICATED, "").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(BackplaneUnavailable("").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(BackplaneUnavailable("")), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

TEST(ErrorTest, StatusWithoutOurInfoHasNoReason) {
  absl::Status status = absl::NotFoundError("x");
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_THAT(MetadataOf(status), IsEmpty());
  status.SetPayload(kErrorInfoTypeUrl, absl::Cord("\xff garbage"));
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_UNSPECIFIED);
  google::rpc::ErrorInfo foreign;
  foreign.set_domain("elsewhere.example");
  foreign.set_reason("NODE_NOT_FOUND");
  status.SetPayload(kErrorInfoTypeUrl, absl::Cord(foreign.SerializeAsString()));
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_UNSPECIFIED);
}

TEST(ErrorTest, TheFirstToNameAMetadataEntryIsRight) {
  const absl::Status named = WithMetadata(MakeError(v1::ERROR_REASON_HANDLER_FAILED, "m"), "node_id", "first");
  EXPECT_THAT(MetadataOf(WithMetadata(named, "node_id", "second")), ElementsAre(Pair("node_id", "first")));
  EXPECT_EQ(ReasonOf(named), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_THAT(MetadataOf(WithMetadata(absl::UnknownError("m"), "a", "b")), ElementsAre(Pair("a", "b")));
  EXPECT_TRUE(WithMetadata(absl::OkStatus(), "a", "b").ok());
}

TEST(ErrorTest, CodesThatAreNoneBecomeUnknown) {
  for (const int code : {0, -1, 17, 1 << 30}) {
    v1::Error error;
    error.set_code(code);
    EXPECT_EQ(FromProto(error).code(), absl::StatusCode::kUnknown) << code;
    EXPECT_EQ(HandlerError(error).code(), absl::StatusCode::kUnknown) << code;
  }
}

TEST(ErrorTest, ReasonOfALaterVersionPassesThrough) {
  v1::Error error;
  error.set_code(5);
  error.set_reason("MOON_NOT_FOUND");
  EXPECT_EQ(ReasonOf(FromProto(error)), v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_EQ(ToProto(FromProto(error)).reason(), "MOON_NOT_FOUND");
}

TEST(ErrorTest, HandlerKeepsItsCodeButNotTheReasonItClaims) {
  v1::Error error;
  error.set_code(static_cast<int>(absl::StatusCode::kOutOfRange));
  error.set_message("too far");
  error.set_reason("UNAUTHENTICATED");
  (*error.mutable_metadata())["k"] = "v";
  const absl::Status status = HandlerError(error);
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(status.message(), "too far");
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_THAT(MetadataOf(status), ElementsAre(Pair("k", "v")));
}

TEST(ErrorTest, HandlerCannotSayWhichNodeItRanOn) {
  v1::Error error;
  (*error.mutable_metadata())["node_id"] = "another";
  (*error.mutable_metadata())["k"] = "v";
  EXPECT_THAT(MetadataOf(HandlerError(error)), ElementsAre(Pair("k", "v")));
}

TEST(ErrorTest, WhateverRedisSaysIsThatTheBackplaneIsUnavailable) {
  EXPECT_TRUE(AsBackplaneError(absl::OkStatus()).ok());
  const absl::Status status = AsBackplaneError(absl::PermissionDeniedError("NOPERM"));
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(status.message(), "NOPERM");
}

TEST(ErrorTest, HandlersMessageIsCutAtACharacter) {
  v1::Error error;
  error.set_message(absl::StrCat(std::string((8 << 10) - 1, 'a'), "\xC3\xA4", "tail"));
  EXPECT_EQ(HandlerError(error).message(), std::string((8 << 10) - 1, 'a'));
  error.set_message(std::string(8 << 10, 'a'));
  EXPECT_EQ(HandlerError(error).message().size(), 8u << 10);
}

TEST(ErrorTest, HandlersMetadataIsCutAtItsLimits) {
  v1::Error many;
  for (int i = 0; i < 100; ++i) (*many.mutable_metadata())[absl::StrCat("key", i)] = "v";
  EXPECT_EQ(MetadataOf(HandlerError(many)).size(), 16u);
  v1::Error large;
  (*large.mutable_metadata())["a"] = std::string(4095, 'x');
  (*large.mutable_metadata())["b"] = "y";
  EXPECT_THAT(MetadataOf(HandlerError(large)), ElementsAre(Pair("a", std::string(4095, 'x'))));
}

TEST(ErrorTest, BytesThatAreNoUtf8DoNotMakeAMessageUnreadable) {
  const std::string bad = "ok \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80 \xC3( \xED\xA0\x80 \xC0\xAF \xF5 \xE2\x82";
  const absl::Status status = MakeError(v1::ERROR_REASON_BACKPLANE_UNAVAILABLE, bad, {{bad, bad}});
  v1::Error parsed;
  ASSERT_TRUE(parsed.ParseFromString(ToProto(status).SerializeAsString()));
  EXPECT_EQ(parsed.message(), "ok \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80 ?( ??? ?? ? ??");
  EXPECT_EQ(ReasonOf(FromProto(parsed)), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

}  // namespace
}  // namespace actioncluster

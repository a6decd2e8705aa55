#include "actioncluster/status.h"

#include <string>

#include "gmock/gmock.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"

namespace actioncluster::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

grpc::Status FromNode(const std::string& domain, const std::string& reason, const std::string& node_id) {
  google::rpc::ErrorInfo info;
  info.set_domain(domain);
  info.set_reason(reason);
  (*info.mutable_metadata())["node_id"] = node_id;
  google::rpc::Status details;
  details.add_details()->PackFrom(google::rpc::Status());  // Something else that the details may hold.
  details.add_details()->PackFrom(info);
  return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such node", details.SerializeAsString());
}

TEST(ClientStatusTest, OkIsOk) { EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok()); }

TEST(ClientStatusTest, EveryCodeKeepsItsNumberAndItsMessage) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status = FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.code()), code);
    EXPECT_EQ(status.message(), "why");
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_UNSPECIFIED);
    EXPECT_EQ(ReasonNameOf(status), "");
    EXPECT_EQ(NodeIdOf(status), "");
  }
}

TEST(ClientStatusTest, ReasonAndNodeOfANodesErrorAreKept) {
  const absl::Status status = FromGrpc(FromNode("actioncluster", "NODE_NOT_FOUND", "n-1"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_NODE_NOT_FOUND);
  EXPECT_EQ(ReasonNameOf(status), "NODE_NOT_FOUND");
  EXPECT_EQ(NodeIdOf(status), "n-1");
  EXPECT_THAT(MetadataOf(status), ElementsAre(Pair("node_id", "n-1")));
}

TEST(ClientStatusTest, AReasonOfALaterVersionKeepsItsName) {
  const absl::Status status = FromGrpc(FromNode("actioncluster", "OUT_OF_CHEESE", "n-1"));
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_EQ(ReasonNameOf(status), "OUT_OF_CHEESE");
}

TEST(ClientStatusTest, TheReasonsOfOthersAreNotTakenForOurs) {
  const absl::Status status = FromGrpc(FromNode("pubsub.example.com", "NODE_NOT_FOUND", "n-1"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_UNSPECIFIED);
  EXPECT_THAT(MetadataOf(status), IsEmpty());
}

TEST(ClientStatusTest, DetailsThatAreNoneAreIgnored) {
  const absl::Status status = FromGrpc(grpc::Status(grpc::StatusCode::ABORTED, "why", "\xff\xff not a status"));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(status.message(), "why");
}

TEST(ClientStatusTest, AnErrorInsideAMessageSaysTheSame) {
  v1::Error error;
  error.set_code(4);
  error.set_message("no answer");
  error.set_reason("RPC_TIMEOUT");
  (*error.mutable_metadata())["node_id"] = "n-2";
  const absl::Status status = FromProto(error);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), "no answer");
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_RPC_TIMEOUT);
  EXPECT_EQ(NodeIdOf(status), "n-2");
}

TEST(ClientStatusTest, ACodeThatIsNoneIsUnknown) {
  v1::Error error;
  for (const int code : {0, -1, 17, 1000}) {
    error.set_code(code);
    EXPECT_EQ(FromProto(error).code(), absl::StatusCode::kUnknown) << code;
  }
}

TEST(ClientStatusTest, AHandlersErrorTravelsWithItsMetadata) {
  const absl::Status failed =
      WithMetadata(WithMetadata(absl::OutOfRangeError("out of cheese"), "wanted", "brie"), "wanted", "cheddar");
  const v1::Error error = ToProto(failed);
  EXPECT_EQ(error.code(), 11);
  EXPECT_EQ(error.message(), "out of cheese");
  EXPECT_EQ(error.metadata().at("wanted"), "cheddar");
  EXPECT_EQ(error.metadata().size(), 1U);
}

TEST(ClientStatusTest, MetadataIsAddedToWhatANodeHasSaid) {
  const absl::Status status = WithMetadata(FromGrpc(FromNode("actioncluster", "NODE_NOT_FOUND", "n-1")), "more", "1");
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_NODE_NOT_FOUND);
  EXPECT_THAT(MetadataOf(status), ElementsAre(Pair("more", "1"), Pair("node_id", "n-1")));
}

TEST(ClientStatusTest, WhatIsNotUtf8IsMadeSo) {
  const v1::Error error = ToProto(WithMetadata(absl::UnknownError("\xc3\xa4 \xff\xc3"), "\x80", "\xed\xa0\x80"));
  EXPECT_EQ(error.message(), "\xc3\xa4 ??");
  EXPECT_EQ(error.metadata().at("?"), "???");
}

TEST(ClientStatusTest, OkTakesNoMetadataAndIsNoError) {
  EXPECT_TRUE(WithMetadata(absl::OkStatus(), "key", "value").ok());
  EXPECT_EQ(ToProto(absl::OkStatus()).code(), 2);
}

}  // namespace
}  // namespace actioncluster::client

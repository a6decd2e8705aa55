#include "server/grpc/status_bridge.h"

#include <string>

#include "actioncluster/v1/errors.pb.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::Le;
using ::testing::StartsWith;

constexpr size_t kClientsTake = 8 * 1024;

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::ErrorInfo info;
  const google::rpc::Status details = DetailsOf(status);
  EXPECT_EQ(details.details_size(), 1);
  EXPECT_TRUE(details.details_size() > 0 && details.details(0).UnpackTo(&info));
  return info;
}

// As HTTP/2 counts the trailers, at their largest: percent-encoding, base64, names.
size_t TrailersOf(const grpc::Status& status) {
  size_t size = 32 + 11 + 2 + 32 + 12 + 32 + 23 + status.error_details().size() * 4 / 3 + 4;
  for (const char c : status.error_message()) size += c >= ' ' && c <= '~' && c != '%' ? 1 : 3;
  return size;
}

TEST(StatusBridgeTest, OkIsOk) { EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok()); }

TEST(StatusBridgeTest, EveryCodeKeepsItsNumber) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status = ToGrpc(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "why");
    EXPECT_EQ(status.error_details(), "");
  }
}

TEST(StatusBridgeTest, TheErrorInfoIsInTheDetails) {
  const grpc::Status status = ToGrpc(MakeError(v1::ERROR_REASON_NODE_NOT_FOUND, "no such node", {{"node_id", "n-1"}}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailsOf(status).code(), 5);
  EXPECT_EQ(DetailsOf(status).message(), "no such node");
  const google::rpc::ErrorInfo info = InfoOf(status);
  EXPECT_EQ(info.domain(), "actioncluster");
  EXPECT_EQ(info.reason(), "NODE_NOT_FOUND");
  EXPECT_EQ(info.metadata().at("node_id"), "n-1");
}

TEST(StatusBridgeTest, TheLargestErrorOfAHandlerFitsWithAllItsMetadata) {
  v1::Error error;
  error.set_code(9);
  error.set_message(std::string(8 << 10, 'x'));
  for (char key = 'a'; key < 'a' + 16; ++key) (*error.mutable_metadata())[std::string(1, key)] = std::string(255, 'v');
  const grpc::Status status = ToGrpc(WithMetadata(HandlerError(error), "node_id", std::string(256, 'n')));
  EXPECT_THAT(TrailersOf(status), Le(kClientsTake));
  EXPECT_EQ(InfoOf(status).reason(), "HANDLER_FAILED");
  EXPECT_EQ(InfoOf(status).metadata().size(), 17u);
  EXPECT_EQ(InfoOf(status).metadata().at("p").size(), 255u);
  EXPECT_THAT(status.error_message(), StartsWith("xxxx"));
  EXPECT_EQ(DetailsOf(status).message(), status.error_message());
}

TEST(StatusBridgeTest, AMessageIsCutBetweenCharacters) {
  std::string message;
  while (message.size() < 8000) message += "€";
  const std::string cut = ToGrpc(absl::UnknownError(message)).error_message();
  EXPECT_LT(cut.size(), message.size());
  EXPECT_GT(cut.size(), 500u);
  EXPECT_EQ(cut.size() % 3, 0u);
  EXPECT_THAT(TrailersOf(ToGrpc(absl::UnknownError(message))), Le(kClientsTake));
}

TEST(StatusBridgeTest, AListInTheMetadataThatIsTooLongIsCut) {
  const grpc::Status status = ToGrpc(MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "no answer",
                                               {{"missing_nodes", std::string(20'000, 'n')}, {"limit", "time"}}));
  EXPECT_THAT(TrailersOf(status), Le(kClientsTake));
  EXPECT_EQ(status.error_message(), "no answer");
  EXPECT_EQ(InfoOf(status).metadata().at("limit"), "time");
  EXPECT_GT(InfoOf(status).metadata().at("missing_nodes").size(), 1000u);
}

}  // namespace
}  // namespace actioncluster

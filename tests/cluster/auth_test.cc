// Who may call what.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "actioncluster/v1/connections.pb.h"
#include "actioncluster/v1/rooms.pb.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {
namespace {

using testing::HasSubstr;

constexpr char kToken[] = "an API token of this test";

// Every rpc of our services, as a path: one that is added later is asked too.
std::vector<std::string> AllRpcs() {
  std::vector<std::string> paths;
  for (const google::protobuf::FileDescriptor* file :
       {v1::CallRequest::descriptor()->file(), v1::ListNodesRequest::descriptor()->file(),
        v1::PublishRequest::descriptor()->file(), v1::EnqueueRequest::descriptor()->file(),
        v1::SaveRequest::descriptor()->file(), v1::OpenRequest::descriptor()->file(),
        v1::WatchRoomRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        paths.push_back(absl::StrCat("/", file->service(s)->full_name(), "/", file->service(s)->method(m)->name()));
      }
    }
  }
  return paths;
}

class AuthTest : public testing::Test {
 protected:
  AuthTest() {
    WriteFile(dir_ / "api-token", absl::StrCat(kToken, "\n"));
    cluster_.emplace(1, Cluster::Options{.flags = {"--api-token-file", dir_ / "api-token"}});
  }
  const std::shared_ptr<grpc::Channel>& channel() { return cluster_->node(1).channel(); }

  const TempDir dir_;
  std::optional<Cluster> cluster_;
};

TEST_F(AuthTest, EveryRpcAsksForTheToken) {
  ASSERT_GE(AllRpcs().size(), 70U);
  const std::vector<std::map<std::string, std::string>> bad = {
      {},
      {{"authorization", "Bearer of bad news, a wrong token"}},
      {{"authorization", kToken}},
      {{"authorization", absl::StrCat("Basic ", kToken)}},
      {{"authorization", "Bearer "}},
      {{"authorization", absl::StrCat("Bearer ", kToken, "x")}}};
  for (const std::string& path : AllRpcs()) {
    for (const auto& metadata : bad) {
      const RawAnswer answer = CallRaw(channel(), path, "", metadata);
      EXPECT_EQ(answer.status.error_code(), grpc::UNAUTHENTICATED) << path << ": " << answer.status.error_message();
      EXPECT_EQ(ErrorInfoOf(answer.status).reason(), "UNAUTHENTICATED") << path;
      EXPECT_THAT(answer.status.error_message(), testing::Not(HasSubstr(kToken)));
    }
  }
}

TEST_F(AuthTest, EveryRpcTakesTheToken) {
  for (const std::string& path : AllRpcs()) {
    const RawAnswer answer = CallRaw(channel(), path, "", {{"authorization", absl::StrCat("Bearer ", kToken)}});
    // An empty request is a bad one for some of them; that is what they then say.
    EXPECT_THAT(answer.status.error_code(), testing::AnyOf(grpc::OK, grpc::INVALID_ARGUMENT))
        << path << ": " << answer.status.error_message();
  }
}

TEST_F(AuthTest, HealthAndReflectionAreOpenToAll) {
  EXPECT_EQ(Health(channel()), "SERVING");
  // A ServerReflectionRequest: the field 7 asks for the list of services.
  const RawAnswer services =
      CallRaw(channel(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*");
  EXPECT_TRUE(services.status.ok()) << services.status.error_message();
  EXPECT_THAT(services.message, HasSubstr("actioncluster.v1.RpcService"));
  EXPECT_THAT(services.message, HasSubstr("actioncluster.v1.ClusterService"));
}

}  // namespace
}  // namespace actioncluster::cluster

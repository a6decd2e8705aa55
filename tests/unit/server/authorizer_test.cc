#include "server/grpc/authorizer.h"

#include <grpcpp/test/server_context_test_spouse.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "actioncluster/v1/cache.pb.h"
#include "actioncluster/v1/cluster.pb.h"
#include "actioncluster/v1/connections.pb.h"
#include "actioncluster/v1/pubsub.pb.h"
#include "actioncluster/v1/rooms.pb.h"
#include "actioncluster/v1/rpc.pb.h"
#include "actioncluster/v1/tasks.pb.h"
#include "backplane/domain/error.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

constexpr char kCall[] = "/actioncluster.v1.RpcService/Call";

// Every rpc of the files that have our services.
std::vector<std::string> AllRpcs() {
  std::vector<std::string> rpcs;
  for (const google::protobuf::FileDescriptor* file :
       {v1::CallRequest::descriptor()->file(), v1::Node::descriptor()->file(), v1::PublishRequest::descriptor()->file(),
        v1::EnqueueRequest::descriptor()->file(), v1::SaveRequest::descriptor()->file(),
        v1::OpenRequest::descriptor()->file(), v1::WatchRoomRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        rpcs.push_back(absl::StrCat("/", file->service(s)->full_name(), "/", file->service(s)->method(m)->name()));
      }
    }
  }
  return rpcs;
}

// What becomes of a call whose metadata has this as `authorization`.
absl::Status AdmitWith(const Authorizer& authorizer, const std::string& authorization, const std::string& rpc = kCall) {
  grpc::ServerContext context;
  grpc::testing::ServerContextTestSpouse spouse(&context);
  spouse.AddClientMetadata("authorization", authorization);
  return authorizer.Admit(rpc, context);
}

TEST(AuthorizerTest, EveryRpcOfOursIsInTheTableAndAsksForTheToken) {
  const Authorizer open("");
  const Authorizer closed("a token of some length");
  const grpc::ServerContext nothing;
  EXPECT_GE(AllRpcs().size(), 70u);
  for (const std::string& rpc : AllRpcs()) {
    EXPECT_TRUE(open.Admit(rpc, nothing).ok()) << rpc;
    EXPECT_EQ(ReasonOf(closed.Admit(rpc, nothing)), v1::ERROR_REASON_UNAUTHENTICATED) << rpc;
    EXPECT_TRUE(AdmitWith(closed, "Bearer a token of some length", rpc).ok()) << rpc;
  }
}

TEST(AuthorizerTest, WhatIsNotInTheTableIsDeniedToEveryone) {
  const Authorizer open("");
  const Authorizer closed("token");
  for (const std::string rpc : {"", "/", "/actioncluster.v1.RpcService/call", "/actioncluster.v1.RpcService/Call2",
                                "/actioncluster.v1.Secret/Call"}) {
    EXPECT_FALSE(open.Admit(rpc, grpc::ServerContext()).ok()) << rpc;
    EXPECT_FALSE(AdmitWith(closed, "Bearer token", rpc).ok()) << rpc;
  }
}

TEST(AuthorizerTest, HealthAsksForNothing) {
  EXPECT_TRUE(Authorizer("token").Admit("/grpc.health.v1.Health/Check", grpc::ServerContext()).ok());
}

TEST(AuthorizerTest, OnlyTheExactTokenIsAdmitted) {
  const Authorizer authorizer("0123456789abcdef");
  EXPECT_TRUE(AdmitWith(authorizer, "Bearer 0123456789abcdef").ok());
  EXPECT_TRUE(AdmitWith(authorizer, "bearer 0123456789abcdef").ok());
  for (const std::string wrong : {"", "Bearer", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef",
                                  "Bearer 0123456789abcde", "Bearer 0123456789abcdefg", "Bearer 0123456789ABCDEF",
                                  "Bearer  0123456789abcdef", "Bearer 0123456789abcdef "}) {
    EXPECT_EQ(ReasonOf(AdmitWith(authorizer, wrong)), v1::ERROR_REASON_UNAUTHENTICATED) << wrong;
  }
  EXPECT_FALSE(AdmitWith(authorizer, std::string("Bearer 0123456789abcdef\0x", 25)).ok());
}

TEST(AuthorizerTest, AnEmptyTokenOpensOnlyANodeThatHasNone) {
  EXPECT_FALSE(AdmitWith(Authorizer("token"), "Bearer ").ok());
  EXPECT_TRUE(AdmitWith(Authorizer(""), "Bearer whatever").ok());
}

TEST(AuthorizerTest, ARefusalShowsNoToken) {
  const absl::Status refused = AdmitWith(Authorizer("our secret token"), "Bearer their secret token");
  EXPECT_EQ(refused.ToString().find("secret"), std::string::npos) << refused;
}

}  // namespace
}  // namespace actioncluster

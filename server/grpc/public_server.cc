#include "server/grpc/public_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include <array>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace actioncluster {
namespace {

constexpr std::array kHealthNames = {"",
                                     "actioncluster.v1.RpcService",
                                     "actioncluster.v1.ClusterService",
                                     "actioncluster.v1.PubSubService",
                                     "actioncluster.v1.TaskService",
                                     "actioncluster.v1.CacheService",
                                     "actioncluster.v1.ConnectionService",
                                     "actioncluster.v1.RoomService"};

void PrepareGrpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Never given back: with the last server gRPC would be shut down, and wait up to ten seconds for a thread that still polls a connection whose
    // peer was slow to read.
    grpc_init();
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<PublicServer>> PublicServer::Start(const std::string& address, Port port,
                                                                  const std::vector<grpc::Service*>& services,
                                                                  int max_receive_bytes) {
  PrepareGrpc();
  grpc::ServerBuilder builder;
  int bound_port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &bound_port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, port == Port::kShared ? 1 : 0);
  builder.SetMaxReceiveMessageSize(max_receive_bytes);
  // A peer whose machine is gone is found within half a minute, although no byte says so.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || bound_port == 0) {
    return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", address, ": is the port taken?"));
  }
  auto started = std::unique_ptr<PublicServer>(new PublicServer(std::move(server)));
  started->SetServing(false);
  return started;
}

PublicServer::~PublicServer() {
  if (shutting_down_.joinable()) {
    shutting_down_.join();
  } else {
    server_->Shutdown(absl::ToChronoTime(absl::Now()));
    server_->Wait();
  }
}

void PublicServer::SetServing(bool serving) {
  for (const char* name : kHealthNames) server_->GetHealthCheckService()->SetServingStatus(name, serving);
}

// Without a limit: at one gRPC would cancel what runs, which to clients would look as if it had not been begun.
void PublicServer::BeginShutdown() {
  shutting_down_ = std::thread([this] {
    server_->Shutdown();
    ended_.Notify();
  });
}

}  // namespace actioncluster

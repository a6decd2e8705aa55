#include "client/callback_threads.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <memory>
#include <new>

#include "actioncluster/v1/cluster.grpc.pb.h"

namespace actioncluster::client {
namespace {

struct Pin {
  // Without credentials it is a channel that goes nowhere, and fails each call at once.
  std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel("", nullptr, grpc::ChannelArguments());
  std::unique_ptr<v1::ClusterService::Stub> stub = v1::ClusterService::NewStub(channel);
  grpc::ClientContext context;
  v1::GetNodeRequest request;
  v1::GetNodeResponse response;
};

}  // namespace

void KeepCallbackThreads() {
  // The first call makes the channel take hold of the threads. Never destroyed: whenever that were, a callback might run. In place, where a look for leaks
  // sees that it is still held.
  alignas(Pin) static unsigned char place[sizeof(Pin)];
  [[maybe_unused]] static const bool made = [] {
    auto* const pin = new (place) Pin;
    pin->stub->async()->GetNode(&pin->context, &pin->request, &pin->response, [](const grpc::Status&) {});
    return true;
  }();
}

}  // namespace actioncluster::client

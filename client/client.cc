#include "actioncluster/client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "actioncluster/status.h"
#include "client/channel.h"
#include "client/coalescer.h"
#include "client/duration.h"

namespace actioncluster::client {
namespace {

// For the node's answer that the time is over: it is worth more than ours, as it knows who did not answer.
constexpr absl::Duration kMargin = absl::Seconds(1);
// What nodes take for a drain without a timeout; see cluster.proto.
constexpr absl::Duration kDrainTimeout = absl::Seconds(10);

// A nonsensical timeout is the node's to refuse: it must get there.
absl::Duration WithMargin(absl::Duration timeout) { return std::max(timeout, absl::ZeroDuration()) + kMargin; }

// So long from now, by the wall clock as it is. Not by absl::Now(), which notices up to two seconds later that the clock was set.
std::chrono::system_clock::time_point DeadlineIn(absl::Duration duration) {
  return absl::ToChronoTime(absl::FromChrono(std::chrono::system_clock::now()) + duration);
}

template <class Response>
absl::StatusOr<Response> Result(const grpc::Status& status, Response response) {
  if (!status.ok()) return FromGrpc(status);
  return response;
}

}  // namespace

struct Client::Impl {
  ClientOptions options;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::RpcService::StubInterface> rpc;
  std::unique_ptr<v1::ClusterService::StubInterface> cluster;
  std::unique_ptr<v1::PubSubService::StubInterface> pubsub;
  std::unique_ptr<v1::TaskService::StubInterface> tasks;
  std::unique_ptr<v1::CacheService::StubInterface> cache;
  std::unique_ptr<v1::ConnectionService::StubInterface> connections;
  std::unique_ptr<v1::RoomService::StubInterface> rooms;
  std::unique_ptr<Coalescer> coalescer;  // The first to go: its streams do with all the others.
};

absl::StatusOr<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  absl::StatusOr<std::string> target = TargetOf(options.addresses);
  if (!target.ok()) return target.status();
  if (options.timeout <= absl::ZeroDuration() || options.timeout > absl::Hours(1)) {
    return absl::InvalidArgumentError("the timeout must be more than 0, and at most 1 h");
  }
  if (!std::all_of(options.api_token.begin(), options.api_token.end(), [](char c) { return c > ' ' && c <= '~'; })) {
    return absl::InvalidArgumentError("the API token has characters that no header can carry");
  }
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->channel = Connect(*target);
  impl->rpc = v1::RpcService::NewStub(impl->channel);
  impl->cluster = v1::ClusterService::NewStub(impl->channel);
  impl->pubsub = v1::PubSubService::NewStub(impl->channel);
  impl->tasks = v1::TaskService::NewStub(impl->channel);
  impl->cache = v1::CacheService::NewStub(impl->channel);
  impl->connections = v1::ConnectionService::NewStub(impl->channel);
  impl->rooms = v1::RoomService::NewStub(impl->channel);
  std::unique_ptr<Client> client(new Client(std::move(impl)));
  client->impl_->coalescer = std::make_unique<Coalescer>(*client, client->impl_->channel);
  return client;
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

absl::StatusOr<v1::CallResponse> Client::Call(const v1::CallRequest& request) {
  // Without one the node's own default would count, which nobody here knows: what it is to be must travel.
  if (!request.has_timeout()) {
    v1::CallRequest complete = request;
    *complete.mutable_timeout() = ToProto(options().timeout);
    return Call(complete);
  }
  grpc::ClientContext context;
  Prepare(context, WithMargin(FromProto(request.timeout())));
  v1::CallResponse response;
  const grpc::Status status = rpc().Call(&context, request, &response);
  return Result(status, std::move(response));
}

absl::Status Client::CallAll(const v1::CallAllRequest& request,
                             absl::FunctionRef<void(const v1::CallAllResponse&)> on_reply) {
  if (!request.has_timeout()) {
    v1::CallAllRequest complete = request;
    *complete.mutable_timeout() = ToProto(options().timeout);
    return CallAll(complete, on_reply);
  }
  grpc::ClientContext context;
  Prepare(context, WithMargin(FromProto(request.timeout())));
  const auto stream = rpc().CallAll(&context, request);
  for (v1::CallAllResponse reply; stream->Read(&reply);) on_reply(reply);
  return FromGrpc(stream->Finish());
}

absl::StatusOr<v1::NotifyResponse> Client::Notify(const v1::NotifyRequest& request) {
  grpc::ClientContext context;
  Prepare(context, options().timeout);
  v1::NotifyResponse response;
  const grpc::Status status = rpc().Notify(&context, request, &response);
  return Result(status, std::move(response));
}

absl::StatusOr<v1::ListMethodsResponse> Client::ListMethods(const v1::ListMethodsRequest& request) {
  grpc::ClientContext context;
  Prepare(context, options().timeout);
  v1::ListMethodsResponse response;
  const grpc::Status status = rpc().ListMethods(&context, request, &response);
  return Result(status, std::move(response));
}

absl::StatusOr<v1::ListNodesResponse> Client::ListNodes() {
  grpc::ClientContext context;
  Prepare(context, options().timeout);
  v1::ListNodesResponse response;
  const grpc::Status status = cluster().ListNodes(&context, {}, &response);
  return Result(status, std::move(response));
}

absl::StatusOr<v1::GetNodeResponse> Client::GetNode(const v1::GetNodeRequest& request) {
  grpc::ClientContext context;
  Prepare(context, options().timeout);
  v1::GetNodeResponse response;
  const grpc::Status status = cluster().GetNode(&context, request, &response);
  return Result(status, std::move(response));
}

absl::StatusOr<v1::DrainResponse> Client::Drain(const v1::DrainRequest& request) {
  grpc::ClientContext context;
  Prepare(context, WithMargin(request.has_timeout() ? FromProto(request.timeout()) : kDrainTimeout));
  v1::DrainResponse response;
  const grpc::Status status = cluster().Drain(&context, request, &response);
  return Result(status, std::move(response));
}

absl::Status Client::WatchNodes(absl::FunctionRef<bool(const v1::WatchNodesResponse&)> on_event) {
  grpc::ClientContext context;
  Prepare(context, absl::InfiniteDuration());
  context.set_wait_for_ready(false);  // Nothing would end that.
  const auto stream = cluster().WatchNodes(&context, {});
  for (v1::WatchNodesResponse event; stream->Read(&event);) {
    if (on_event(event)) continue;
    context.TryCancel();
    while (stream->Read(&event)) continue;
    stream->Finish();
    return absl::OkStatus();
  }
  return FromGrpc(stream->Finish());
}

absl::StatusOr<v1::PublishResponse> Client::Publish(const v1::PublishRequest& request) {
  grpc::ClientContext context;
  Prepare(context, options().timeout);
  v1::PublishResponse response;
  const grpc::Status status = pubsub().Publish(&context, request, &response);
  return Result(status, std::move(response));
}

v1::RpcService::StubInterface& Client::rpc() { return *impl_->rpc; }
v1::ClusterService::StubInterface& Client::cluster() { return *impl_->cluster; }
v1::PubSubService::StubInterface& Client::pubsub() { return *impl_->pubsub; }
v1::TaskService::StubInterface& Client::tasks() { return *impl_->tasks; }
v1::CacheService::StubInterface& Client::cache() { return *impl_->cache; }
v1::ConnectionService::StubInterface& Client::connections() { return *impl_->connections; }
v1::RoomService::StubInterface& Client::rooms() { return *impl_->rooms; }
Coalescer& Client::coalescer() { return *impl_->coalescer; }
void Client::AwaitConnection(absl::Duration most) { impl_->channel->WaitForConnected(DeadlineIn(most)); }

void Client::Prepare(grpc::ClientContext& context, absl::Duration timeout) const {
  if (!options().api_token.empty()) {
    context.AddMetadata("authorization", absl::StrCat("Bearer ", options().api_token));
  }
  if (timeout < absl::InfiniteDuration()) context.set_deadline(DeadlineIn(timeout));
}

const ClientOptions& Client::options() const { return impl_->options; }

}  // namespace actioncluster::client

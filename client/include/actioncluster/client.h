#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_CLIENT_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_CLIENT_H_

#include <grpcpp/client_context.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "actioncluster/v1/cluster.grpc.pb.h"
#include "actioncluster/v1/connections.grpc.pb.h"
#include "actioncluster/v1/pubsub.grpc.pb.h"
#include "actioncluster/v1/rooms.grpc.pb.h"
#include "actioncluster/v1/rpc.grpc.pb.h"
#include "actioncluster/v1/tasks.grpc.pb.h"

namespace actioncluster::client {

class Coalescer;

struct ClientOptions {
  // Where nodes listen: `host:port`, `[v6]:port` or `unix:/path`. Several must all be IP addresses of one family: they are tried in this order.
  // A single one may be a name, which may stand for many addresses.
  std::vector<std::string> addresses = {"127.0.0.1:7400"};
  // Shown with every call, as `authorization: Bearer TOKEN`. Empty: none.
  std::string api_token = "";
  // How long a call may take that does not say so itself: what Call and CallAll then tell the node. More than 0, at most 1 h.
  absl::Duration timeout = absl::Seconds(5);
  // Whether calls of the cache that are made at the same moment share a stream: see cache.h.
  bool coalesce = true;
};

// One application's way into the cluster: one gRPC channel to whichever node answers, and calls as plain functions. A thin layer over the
// generated stubs: each function is one rpc, takes and gives that rpc's own messages, and adds
//   the API token;
//   a deadline: the request's `timeout`, else ClientOptions::timeout, and where the node keeps it too a second more, so that its own answer arrives;
//   the errors' reason and node: see status.h;
//   retries, but only where they can do no harm: as proto/actioncluster/v1/service_config.json says. What changes nothing, or nothing more when it is done twice (marked in the protos by
//   `idempotency_level`; streams until their first answer), waits for a connection and is tried up to 5 times on UNAVAILABLE and CANCELLED, 50 ms to 1 s apart, within its deadline. All others
//   are repeated only if no node has begun them (so it is when a node stops), and fail at once if no node is reached.
//
// Thread-safe: all functions may be called from any thread, at the same time. They block until the call ends; for calls without blocking take the stubs.
// It outlives the MethodHosts, Subscribers, Workers and Connections that are made with it.
class Client {
 public:
  // Connects when first needed: no node need be there yet. INVALID_ARGUMENT: an address is none, or they do not go together.
  static absl::StatusOr<std::unique_ptr<Client>> Create(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // RpcService. See proto/actioncluster/v1/rpc.proto for the fields and errors.
  absl::StatusOr<v1::CallResponse> Call(const v1::CallRequest& request);
  // `on_reply` runs in this call, on this thread, for each node's reply or error as it comes. The status is the whole call's.
  absl::Status CallAll(const v1::CallAllRequest& request, absl::FunctionRef<void(const v1::CallAllResponse&)> on_reply);
  absl::StatusOr<v1::NotifyResponse> Notify(const v1::NotifyRequest& request);
  absl::StatusOr<v1::ListMethodsResponse> ListMethods(const v1::ListMethodsRequest& request = {});

  // ClusterService.
  absl::StatusOr<v1::ListNodesResponse> ListNodes();
  absl::StatusOr<v1::GetNodeResponse> GetNode(const v1::GetNodeRequest& request = {});
  absl::StatusOr<v1::DrainResponse> Drain(const v1::DrainRequest& request = {});
  // Until `on_event` returns false (then OK), or the stream ends (then why). Without a deadline.
  absl::Status WatchNodes(absl::FunctionRef<bool(const v1::WatchNodesResponse&)> on_event);

  // PubSubService. To subscribe: subscriber.h.
  absl::StatusOr<v1::PublishResponse> Publish(const v1::PublishRequest& request);

  // TaskService: tasks.h; to run tasks: worker.h. CacheService: cache.h. ConnectionService and RoomService: rooms.h; to be a connection: connection.h.

  // The stubs of the same channel, for calls in gRPC's other styles. Give their contexts to Prepare first.
  v1::RpcService::StubInterface& rpc();
  v1::ClusterService::StubInterface& cluster();
  v1::PubSubService::StubInterface& pubsub();
  v1::TaskService::StubInterface& tasks();
  v1::CacheService::StubInterface& cache();
  v1::ConnectionService::StubInterface& connections();
  v1::RoomService::StubInterface& rooms();
  // Adds the token, and a deadline from now if `timeout` is finite.
  void Prepare(grpc::ClientContext& context, absl::Duration timeout) const;

  const ClientOptions& options() const;

 private:
  friend class Cache;
  struct Impl;
  Coalescer& coalescer();
  // Blocks until there is a connection, but no longer than `most`.
  void AwaitConnection(absl::Duration most);
  explicit Client(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_CLIENT_H_

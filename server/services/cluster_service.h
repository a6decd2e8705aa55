#ifndef ACTIONCLUSTER_SERVER_SERVICES_CLUSTER_SERVICE_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CLUSTER_SERVICE_H_

#include <string>

#include "absl/time/time.h"
#include "actioncluster/v1/cluster.grpc.pb.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "server/grpc/authorizer.h"
#include "server/grpc/offload.h"
#include "server/grpc/unary_call.h"
#include "server/methods/drain_sequence.h"
#include "server/services/node_stream.h"

namespace actioncluster {

// ClusterService of the public API: validates, converts, delegates. One instance may be registered with several servers. Any thread.
class ClusterService final : public v1::ClusterService::CallbackService {
 public:
  // All outlive the servers that this is registered with.
  struct Rooms {
    Loop& loop;
    Membership& membership;
    Rpc& rpc;
    DrainSequence& drain;
    NodeWatchers& watchers;
    const Authorizer& authorizer;
    Offload& offload;
  };

  explicit ClusterService(Rooms rooms) : rooms_(rooms) {}

  grpc::ServerUnaryReactor* ListNodes(grpc::CallbackServerContext* context, const v1::ListNodesRequest* request,
                                      v1::ListNodesResponse* response) override;
  grpc::ServerUnaryReactor* GetNode(grpc::CallbackServerContext* context, const v1::GetNodeRequest* request,
                                    v1::GetNodeResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchNodesResponse>* WatchNodes(grpc::CallbackServerContext* context,
                                                               const v1::WatchNodesRequest* request) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context, const v1::DrainRequest* request,
                                  v1::DrainResponse* response) override;

 private:
  void DrainOther(UnaryCall* call, const std::string& node_id, absl::Duration timeout, v1::DrainResponse* response);

  const Rooms rooms_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CLUSTER_SERVICE_H_

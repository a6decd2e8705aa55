#ifndef ACTIONCLUSTER_SERVER_SERVICES_NODE_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_NODE_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <map>
#include <memory>

#include "absl/status/status.h"
#include "actioncluster/v1/cluster.pb.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"

namespace actioncluster {

class NodeStream;

// Those who watch the nodes. Confined to the I/O thread.
class NodeWatchers {
 public:
  explicit NodeWatchers(Membership& membership);

  // The stream hears what is there, then every event, until it is removed.
  void Add(std::shared_ptr<NodeStream> stream);
  void Remove(NodeStream* stream);
  // Ends all streams with this status.
  void CloseAll(const absl::Status& why);

 private:
  Membership& membership_;
  std::map<NodeStream*, std::shared_ptr<NodeStream>> streams_;
};

// The server's side of one WatchNodes. Owns itself until gRPC is done with it.
class NodeStream final : public grpc::ServerWriteReactor<v1::WatchNodesResponse>,
                         public std::enable_shared_from_this<NodeStream> {
 public:
  // Not `admitted`: the stream ends at once with that status.
  static grpc::ServerWriteReactor<v1::WatchNodesResponse>* Start(Loop& loop, NodeWatchers& watchers, Offload& offload,
                                                                 const absl::Status& admitted);

  // A watcher that cannot keep up is ended. I/O thread.
  void Send(const NodeEvent& event);
  void End(const absl::Status& status, bool flush) { outbox_.End(status, flush); }

 private:
  NodeStream(Loop& loop, NodeWatchers& watchers, Offload& offload);
  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override { outbox_.End(absl::UnavailableError("the watcher went away"), /*flush=*/false); }
  void OnDone() override;

  Loop& loop_;
  NodeWatchers& watchers_;
  Outbox<v1::WatchNodesResponse> outbox_;
  std::shared_ptr<NodeStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_NODE_STREAM_H_

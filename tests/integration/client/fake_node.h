#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_CLIENT_FAKE_NODE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_CLIENT_FAKE_NODE_H_

#include <grpcpp/server.h>
#include <grpcpp/server_context.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "actioncluster/v1/cluster.grpc.pb.h"
#include "actioncluster/v1/pubsub.grpc.pb.h"
#include "actioncluster/v1/rpc.grpc.pb.h"
#include "actioncluster/v1/tasks.grpc.pb.h"

namespace actioncluster::client {

// What a client takes for a node, doing what the test says: for orders of events that a real node goes through by chance only. Runs scripts on
// threads of its own, and ends what is open when it is destroyed.
class FakeNode {
 public:
  using ServeStream = grpc::ServerReaderWriter<v1::ServeResponse, v1::ServeRequest>;
  using WorkStream = grpc::ServerReaderWriter<v1::WorkResponse, v1::WorkRequest>;
  using PipelineStream = grpc::ServerReaderWriter<v1::PipelineResponse, v1::PipelineRequest>;
  using SubscribeWriter = grpc::ServerWriter<v1::SubscribeResponse>;
  struct Scripts {
    std::function<grpc::Status(ServeStream& stream)> serve = nullptr;
    std::function<grpc::Status(grpc::ServerContext& context, SubscribeWriter& writer)> subscribe = nullptr;
    std::function<grpc::Status(WorkStream& stream)> work = nullptr;
    std::function<grpc::Status(PipelineStream& stream)> pipeline = nullptr;
    std::function<grpc::Status(const v1::LoadRequest& request, v1::LoadResponse* response)> load = nullptr;
    std::function<grpc::Status(grpc::ServerWriter<v1::ListKeysResponse>& writer)> list_keys = nullptr;
    std::function<grpc::Status(grpc::ServerWriter<v1::DumpResponse>& writer)> dump = nullptr;
    std::function<grpc::Status(grpc::ServerReader<v1::RestoreRequest>& reader, v1::RestoreResponse* response)> restore =
        nullptr;
  };

  // Whatever has no script fails with UNAVAILABLE.
  FakeNode() : FakeNode(Scripts()) {}
  explicit FakeNode(Scripts scripts);
  ~FakeNode();
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;

  const std::string& address() const { return address_; }
  // How often each rpc was called.
  std::map<std::string, int> calls() const;

 private:
  class Rpc;
  class Cluster;
  class PubSub;
  class Tasks;
  class Cache;

  grpc::Status Count(const std::string& rpc);

  const Scripts scripts_;
  mutable absl::Mutex mutex_;
  std::map<std::string, int> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

// Frames of a node.
v1::ServeResponse Registered();
v1::ServeResponse CallFrame(const std::string& call_id, const std::string& method);
v1::ServeResponse Draining(const std::vector<std::string>& alternatives);
v1::WorkResponse Started(absl::Duration heartbeat_every = absl::Minutes(1));
v1::WorkResponse TaskFrame(const std::string& id, int64_t token, const std::string& name = "work");
v1::WorkResponse RevokedFrame(const std::string& id, int64_t token, const std::string& reason);
v1::WorkResponse WorkDraining(const std::vector<std::string>& alternatives);

// Confirms each `register`, and goes on until the application has ended its half.
grpc::Status ConfirmAll(FakeNode::ServeStream& stream);
// How a node ends a stream for this reason.
grpc::Status FailingWith(const std::string& reason, const std::map<std::string, std::string>& metadata);
// How a node that drains ends a subscription.
grpc::Status GoneTo(const std::string& alternatives);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_CLIENT_FAKE_NODE_H_

#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_LOCAL_NODE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_LOCAL_NODE_H_

#include <grpcpp/channel.h>

#include <memory>
#include <optional>
#include <string>

#include "actioncluster/v1/cache.grpc.pb.h"
#include "actioncluster/v1/cluster.grpc.pb.h"
#include "actioncluster/v1/connections.grpc.pb.h"
#include "actioncluster/v1/pubsub.grpc.pb.h"
#include "actioncluster/v1/rooms.grpc.pb.h"
#include "actioncluster/v1/rpc.grpc.pb.h"
#include "actioncluster/v1/tasks.grpc.pb.h"
#include "backplane/redis/endpoint.h"
#include "server/config/settings.h"
#include "server/grpc/authorizer.h"
#include "server/grpc/offload.h"
#include "server/grpc/public_server.h"
#include "server/rooms.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {

// A whole node inside the test's process: rooms on a loop of their own, services on a unix socket. It has joined when the constructor returns, and leaves in
// the destructor. One thread.
class LocalNode {
 public:
  explicit LocalNode(const redis::Endpoint& endpoint) : LocalNode(endpoint, Settings()) {}
  LocalNode(const redis::Endpoint& endpoint, const Settings& settings);
  ~LocalNode();
  LocalNode(const LocalNode&) = delete;
  LocalNode& operator=(const LocalNode&) = delete;

  const std::string& id() const { return id_; }
  // As the directory has it.
  const std::string& address() const { return address_; }
  v1::RpcService::Stub& rpc() { return *rpc_stub_; }
  v1::ClusterService::Stub& cluster() { return *cluster_stub_; }
  v1::PubSubService::Stub& pubsub() { return *pubsub_stub_; }
  v1::TaskService::Stub& tasks() { return *task_stub_; }
  v1::CacheService::Stub& cache() { return *cache_stub_; }
  v1::ConnectionService::Stub& connections() { return *connection_stub_; }
  v1::RoomService::Stub& chat() { return *room_stub_; }
  // A connection to it of one's own: what is left unread there holds up no other.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  // Its atomics, and what runs on the loop by io().
  Rooms& rooms() { return *rooms_; }
  fakes::LoopThread& io() { return io_; }
  // `node.shutdown` was called.
  const fakes::Waiter<bool>& shutdowns() const { return shutdowns_; }

 private:
  struct Services;  // Their headers take long to compile.

  fakes::LoopThread io_;
  fakes::Waiter<bool> shutdowns_;
  std::unique_ptr<Rooms> rooms_;  // Made and destroyed on the loop.
  std::string id_;
  std::string address_;
  const Authorizer authorizer_{""};
  std::optional<Offload> offload_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<PublicServer> server_;
  std::unique_ptr<v1::RpcService::Stub> rpc_stub_;
  std::unique_ptr<v1::ClusterService::Stub> cluster_stub_;
  std::unique_ptr<v1::PubSubService::Stub> pubsub_stub_;
  std::unique_ptr<v1::TaskService::Stub> task_stub_;
  std::unique_ptr<v1::CacheService::Stub> cache_stub_;
  std::unique_ptr<v1::ConnectionService::Stub> connection_stub_;
  std::unique_ptr<v1::RoomService::Stub> room_stub_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_LOCAL_NODE_H_

#ifndef ACTIONCLUSTER_TESTS_CLUSTER_CLUSTER_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_CLUSTER_H_

#include <grpcpp/channel.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "actioncluster/v1/cluster.grpc.pb.h"
#include "actioncluster/v1/connections.grpc.pb.h"
#include "actioncluster/v1/pubsub.grpc.pb.h"
#include "actioncluster/v1/rooms.grpc.pb.h"
#include "actioncluster/v1/rpc.grpc.pb.h"
#include "actioncluster/v1/tasks.grpc.pb.h"
#include "tests/cluster/ports.h"
#include "tests/cluster/program.h"
#include "tests/fakes/redis_server.h"

namespace actioncluster::cluster {

// A node process of a cluster under test, and the way to it by its own port. Calls on the stubs are for any thread, the
// rest for one at a time.
class Node {
 public:
  // Its clients show the token, if there is one.
  Node(std::shared_ptr<Program> program, std::string id, std::string data_dir, std::string host, int port,
       std::string api_token);

  const std::string& id() const { return id_; }
  const std::string& data_dir() const { return data_dir_; }
  std::string address() const;
  // A connection to it of the caller's own, which no other calls share.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  v1::RpcService::Stub& rpc() const { return *rpc_; }
  v1::ClusterService::Stub& cluster() const { return *cluster_; }
  v1::PubSubService::Stub& pubsub() const { return *pubsub_; }
  v1::TaskService::Stub& tasks() const { return *tasks_; }
  v1::CacheService::Stub& cache() const { return *cache_; }
  v1::ConnectionService::Stub& connections() const { return *connections_; }
  v1::RoomService::Stub& rooms() const { return *rooms_; }
  // `actioncluster start`, of this node and maybe of others.
  Program& program() const { return *program_; }

  // As gRPC's health service says.
  bool IsServing() const;
  // The process, by its pid file; 0 without one.
  pid_t pid() const;
  std::string log() const;
  std::string pid_path() const { return data_dir_ + "/" + id_ + ".pid"; }

  // SIGKILL to the node and to `start`, which would start another, and their ends awaited. Only of a node that was started by itself.
  void Kill() const;
  // SIGSTOP and SIGCONT.
  void Pause() const;
  void Resume() const;

 private:
  friend class Cluster;

  std::shared_ptr<Program> program_;
  std::string id_;
  std::string data_dir_;
  std::string host_;
  int port_;
  std::string api_token_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::RpcService::Stub> rpc_;
  std::unique_ptr<v1::ClusterService::Stub> cluster_;
  std::unique_ptr<v1::PubSubService::Stub> pubsub_;
  std::unique_ptr<v1::TaskService::Stub> tasks_;
  std::unique_ptr<v1::CacheService::Stub> cache_;
  std::unique_ptr<v1::ConnectionService::Stub> connections_;
  std::unique_ptr<v1::RoomService::Stub> rooms_;
};

// Real node processes on one Redis of the test's own. Those that are started all serve when Start returns; if that
// cannot be, it fails the program. If the test has failed, the destructor prints the ends of all logs. Nothing outlives
// it. To be used from the test's main thread.
class Cluster {
 public:
  struct Options {
    absl::Duration lease = absl::Seconds(2);
    std::vector<std::string> flags = {};  // Of every start.
    fakes::RedisServer::Options redis = {};
    std::string redis_url =
        "";  // Not empty: one of the test's own, that it has started itself; then `redis` is not looked at.
    bool embedded_redis = false;  // Each start has its own, as by default, and is told no more than it must be.
    std::string api_token = "";   // Not empty: nodes ask for it.
  };
  struct StartOptions {
    int workers = 1;
    std::vector<std::string> flags = {};
    std::vector<std::string> environment = {};
    std::string redis_url = "";       // Not empty: another way to Redis than the cluster's.
    std::string data_dir = "";        // Empty: a fresh one.
    std::optional<int> network = {};  // The network namespace (a file) they live in, if not this process's own;
    std::string host = "";            // and the address there.
  };

  // `nodes`, each by an `actioncluster start` of its own, one after the other, so that the I-th is called
  // actioncluster-worker-I.
  explicit Cluster(int nodes) : Cluster(nodes, Options()) {}
  Cluster(int nodes, Options options);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // From 1, in the order of their starts.
  Node& node(int number) { return nodes_.at(static_cast<size_t>(number) - 1); }
  std::deque<Node>& nodes() { return nodes_; }
  // Not with a `redis_url`, nor with embedded ones.
  fakes::RedisServer& redis() { return redis_.value(); }
  const TempDir& dir() const { return dir_; }

  // One more `actioncluster start`; gives the first of its nodes, the others follow.
  Node& Start(StartOptions options);
  Node& Start() { return Start(StartOptions()); }
  // The node was killed, and is started again at its address, on its data directory. Serves when it returns. It may have another name now, if its own was still
  // taken. Only of a node that was started by itself, without flags, a Redis or a network of its own; its stubs and its channel stay, and may be in use meanwhile.
  void StartAgain(Node& node);

  // The names of the live nodes as this one lists them, sorted; nothing if it fails.
  static std::optional<std::vector<std::string>> ListedBy(const Node& node);
  // The live node as `by` has it; nothing if it is not there.
  static std::optional<v1::Node> Find(const Node& by, const std::string& id);

 private:
  // The flags of `actioncluster start`, but those of one start.
  std::vector<std::string> Flags(int workers, int port, const std::string& data_dir,
                                 const std::string& redis_url) const;

  const Options options_;
  const TempDir dir_;
  std::optional<fakes::RedisServer> redis_;
  std::string redis_url_;  // Empty: embedded.
  std::deque<Ports> ports_;
  std::deque<Node> nodes_;
  int starts_ = 0;
};

// The command line of the program under test.
std::vector<std::string> StartCommand(const std::vector<std::string>& flags);

// SIGTERM: it ends with status 0, and nothing that it had started is left. Reports failures to the test.
void ExpectCleanStop(Program& program);
// Everything of `pids` ends within the limit. Reports failures to the test.
void ExpectGone(const std::vector<pid_t>& pids, absl::Duration limit = kPatience);

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_CLUSTER_H_

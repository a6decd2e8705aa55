#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_CLIENT_CONNECTION_NODE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_CLIENT_CONNECTION_NODE_H_

#include <grpcpp/server.h>
#include <grpcpp/server_context.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/v1/connections.grpc.pb.h"
#include "actioncluster/v1/rooms.grpc.pb.h"

namespace actioncluster::client {

// What a connection's client takes for a node, doing what the test says. Each Open runs the script on a thread of its own; what is open when this is destroyed ends. All else fails
// with UNAVAILABLE, and is counted.
class ConnectionNode {
 public:
  using Stream = grpc::ServerReaderWriter<v1::OpenResponse, v1::OpenRequest>;
  using Script = std::function<grpc::Status(Stream& stream)>;

  explicit ConnectionNode(Script script = nullptr);
  ~ConnectionNode();
  ConnectionNode(const ConnectionNode&) = delete;
  ConnectionNode& operator=(const ConnectionNode&) = delete;

  const std::string& address() const { return address_; }
  // How often each rpc was called.
  std::map<std::string, int> calls() const;

 private:
  class Connections;
  class Rooms;

  grpc::Status Count(const std::string& rpc);

  const Script script_;
  mutable absl::Mutex mutex_;
  std::map<std::string, int> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

// Frames of a node.
v1::OpenResponse WelcomeFrame(const std::string& id, const std::vector<std::string>& rooms = {}, bool resumed = false);
v1::OpenResponse MessageFrame(const std::string& room, int number, uint64_t offset);
v1::OpenResponse ReplyFrame(const v1::OpenRequest::Verb& verb);
v1::OpenResponse InvokeFrame(const std::string& call_id, const std::string& method);
v1::OpenResponse GoodbyeFrame(const std::string& reason, const std::vector<std::string>& alternatives = {});
// How a hello is refused.
grpc::Status ConnectionExists();

// The first frame, which must be a hello.
v1::OpenRequest::Hello ReadHello(ConnectionNode::Stream& stream);
// Reads until the client has ended its half or is gone.
grpc::Status Linger(ConnectionNode::Stream& stream);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_CLIENT_CONNECTION_NODE_H_

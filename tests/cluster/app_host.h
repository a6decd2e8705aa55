#ifndef ACTIONCLUSTER_TESTS_CLUSTER_APP_HOST_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_APP_HOST_H_

#include <grpcpp/client_context.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/v1/rpc.grpc.pb.h"
#include "tests/cluster/cluster.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::cluster {

// An application in this process, attached to a node with Serve. Reads frames on a thread of its own; what comes is
// there to be awaited, each kind by itself. Sending is for any thread.
class AppHost {
 public:
  using Frame = v1::ServeResponse;
  using Reply = v1::ServeRequest::Reply;
  // What to answer (its `call_id` is filled in); nothing: not yet, Send does it later, or never. Runs on the reading
  // thread and may not block.
  using Handler = std::function<std::optional<Reply>(const Frame::Call& call)>;
  // By method; `connection/NAME` is offered for connections, `hook/NAME` is a hook of rooms.
  using Handlers = std::map<std::string, Handler>;
  struct Options {
    uint32_t max_in_flight = 0;
    std::optional<absl::Duration> heartbeat_timeout = std::nullopt;
    bool send_register = true;
    bool stays = false;  // While its node drains.
  };

  // Registered when it returns: fails the program if the node does not say so.
  AppHost(const Node& node, Handlers handlers) : AppHost(node, std::move(handlers), Options()) {}
  AppHost(const Node& node, Handlers handlers, const Options& options);
  // Closes the stream and awaits its end.
  ~AppHost();
  AppHost(const AppHost&) = delete;
  AppHost& operator=(const AppHost&) = delete;

  bool Send(const v1::ServeRequest& frame);
  // Offers nothing any more; confirmed when it returns.
  void Withdraw();
  void SendReply(const std::string& call_id, Reply reply);
  // The stream is torn, as by a process that dies.
  void HangUp() { context_.TryCancel(); }
  // How the stream ended; awaits that.
  grpc::Status AwaitEnd() const { return end_.Next(); }

  const fakes::Waiter<Frame::Call>& calls() const { return calls_; }
  const fakes::Waiter<std::string>& cancels() const { return cancels_; }
  const fakes::Waiter<Frame::Draining>& drainings() const { return drainings_; }

 private:
  void Read();

  const Handlers handlers_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ServeRequest, v1::ServeResponse>> stream_;
  absl::Mutex writing_;
  fakes::Waiter<std::string> registered_;  // The node's id; empty: the stream ended.
  fakes::Waiter<Frame::Call> calls_;
  fakes::Waiter<std::string> cancels_;
  fakes::Waiter<Frame::Draining> drainings_;
  fakes::Waiter<grpc::Status> end_;
  std::thread reader_;
};

// Handlers that many tests need.
AppHost::Handler Returning(absl::string_view json);
AppHost::Handler NeverAnswering();
// Its first argument, or its bytes.
AppHost::Handler Echoing();
AppHost::Reply ResultOf(absl::string_view json);
AppHost::Reply ErrorOf(grpc::StatusCode code, const std::string& message);

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_APP_HOST_H_

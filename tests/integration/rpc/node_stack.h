#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_RPC_NODE_STACK_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_RPC_NODE_STACK_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/bus/bus.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/presence/presence.h"
#include "backplane/redis/client.h"
#include "backplane/rpc/rpc.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {

// Runs calls by handlers that a test gives, and notes what it is told. Declines what it has no handler for. Handlers
// are set on the I/O thread, or before the node joins.
class FakeMethods : public LocalMethods {
 public:
  using Done = absl::AnyInvocable<void(Outcome) &&>;
  using Handler = absl::AnyInvocable<void(const IncomingCall& call, Done done)>;

  void Run(IncomingCall call, Done done) override;
  void Cancel(const NodeRef& caller, uint64_t id) override;
  void CallerLost(const NodeRef& caller) override { callers_lost.Add(caller); }
  bool Holds(absl::string_view connection_id) const override { return held.contains(connection_id); }

  std::map<std::string, Handler> handlers;
  std::set<std::string, std::less<>> held;  // Connections. I/O thread.
  // What ran, was cancelled, was lost; await them from the test's thread.
  fakes::Waiter<IncomingCall> ran;
  fakes::Waiter<uint64_t> cancelled;
  fakes::Waiter<NodeRef> callers_lost;
};

// Handlers: one that returns bytes, one that fails, one that declines, one that keeps the call until its node is gone.
FakeMethods::Handler Returns(const std::string& bytes);
FakeMethods::Handler Fails(const absl::Status& error);
FakeMethods::Handler Declines(const absl::Status& why);
FakeMethods::Handler Hangs();
// What a node with one method offers.
std::map<std::string, FakeMethods::Handler> OnlyMethod(const std::string& method, FakeMethods::Handler handler);

// A node of a cluster, from its connections to Redis up to Rpc, with an I/O thread of its own.
class NodeStack {
 public:
  static constexpr char kToken[] = "a server token for tests";
  // Ways to Redis, instead of its own socket.
  struct Ways {
    std::optional<redis::Endpoint> commands = {};
    std::optional<redis::Endpoint> subscriber = {};
  };
  // Joined when the constructor returns. Offers the methods, whose handlers are these.
  NodeStack(const fakes::RedisServer& redis, std::map<std::string, FakeMethods::Handler> handlers)
      : NodeStack(redis, std::move(handlers), Ways()) {}
  NodeStack(const fakes::RedisServer& redis, std::map<std::string, FakeMethods::Handler> handlers, const Ways& ways);
  // Dies without a word to anybody.
  ~NodeStack();

  // Makes the directory as true as Redis is, so that a call expects everyone who is there.
  void Refresh();
  void Leave();
  NodeRef self();
  // The node holds the connection.
  void Claim(const std::string& connection_id);
  // Stops offering anything, and listening for it.
  void Withdraw();
  // From now on the directory names these for it, whatever it listens to, and tells all others so.
  void Announce(const std::vector<std::string>& methods);
  void SetDraining();
  // Listens on one more channel.
  void Listen(const std::string& channel);

  // Blocking versions, and their beginnings.
  absl::StatusOr<CallResult> Call(const std::string& method, CallTarget target, absl::Duration timeout);
  fakes::Waiter<absl::StatusOr<CallResult>> StartCall(const std::string& method, CallTarget target,
                                                      absl::Duration timeout, Rpc::CallId* id = nullptr);
  struct All {
    std::map<std::string, absl::StatusOr<Content>> shares;
    absl::Status end;
  };
  All CallAll(const std::string& method, absl::Duration timeout);
  fakes::Waiter<All> StartCallAll(const std::string& method, absl::Duration timeout);
  absl::StatusOr<int> Notify(const std::string& method, CallTarget target);

  // As the bus says: whether it can speak and hear.
  bool IsWell();

  Rpc& rpc() { return *parts_->rpc; }
  FakeMethods& methods() { return methods_; }
  void DestroyRpc();
  // On the I/O thread; returns when it has run.
  void Do(absl::FunctionRef<void()> task) { thread_.Run(task); }

 private:
  struct Parts {
    Parts(Loop& loop, const redis::LinkOptions& commands, const redis::LinkOptions& subscriber, FakeMethods& methods);

    Keys keys{fakes::kNamespace};
    redis::Client client;
    Bus bus;
    Presence presence;
    Membership membership;
    std::optional<Rpc> rpc;
  };

  FakeMethods methods_;
  fakes::LoopThread thread_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_RPC_NODE_STACK_H_

#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_METHOD_HOST_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_METHOD_HOST_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/attachment_event.h"
#include "actioncluster/client.h"
#include "actioncluster/v1/rpc.pb.h"
#include "google/protobuf/struct.pb.h"

namespace actioncluster::client {

// One call that the application is to answer, once. Keep it and answer later, from any thread, or answer in the handler. One that is destroyed
// unanswered is answered with INTERNAL. Movable; used by one thread at a time, but for OnCancel's callback.
class Invocation {
 public:
  Invocation(Invocation&&) noexcept;
  Invocation& operator=(Invocation&&) noexcept;
  ~Invocation();

  // Method, content (args or data), caller_node_id, connection_id, deadline, notification; of what is offered for connections also the scope, the
  // connection's details, the room and who says it: see rpc.proto.
  const v1::ServeResponse::Call& call() const;
  // Nobody waits for the answer any more: the caller gave up, the deadline passed, or the node is gone.
  bool IsCancelled() const;
  // Runs `cancelled` when that happens, on one of gRPC's threads; at once if it has. At most once, and never after the answer.
  // A second one takes the place of the first.
  void OnCancel(absl::AnyInvocable<void() &&> cancelled);

  // The answer. One that nobody waits for is dropped.
  void Return(google::protobuf::Value result) &&;
  void ReturnBytes(std::string data) &&;
  void ReturnNothing() &&;
  // The caller sees HANDLER_FAILED with this code and message, and the metadata of WithMetadata. OK is taken for UNKNOWN.
  void Fail(const absl::Status& error) &&;

 private:
  friend class CallState;
  struct Impl;
  explicit Invocation(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Runs on one of the host's threads, and may block it. What it throws is answered with UNKNOWN and the exception's text.
using Handler = std::function<void(Invocation invocation)>;
// A handler that answers with what `function` returns.
Handler Returning(std::function<absl::StatusOr<google::protobuf::Value>(const v1::ServeResponse::Call& call)> function);

struct MethodHostOptions {
  // What is offered for connections, beside methods, by names. Methods of connections: ConnectionService.Apply calls them, with the connection's details.
  std::map<std::string, Handler> connection_methods = {};
  // Hooks of rooms: `join`, `leave`, `say.receive`, `say.deliver`. Fail refuses what is about to happen. What Return and ReturnBytes give is said instead;
  // with ReturnNothing it goes on as it is.
  std::map<std::string, Handler> hooks = {};
  int threads = 4;                                       // That run handlers; at least 1.
  uint32_t max_in_flight = 64;                           // Calls that the node sends at once; at most 4,096. 0: 64.
  absl::Duration heartbeat_timeout = absl::Seconds(15);  // 1 s … 1 h of silence, then the node gives this host up.
  AttachmentListener on_event = nullptr;
};

// Offers methods, and what is for connections, to the cluster for as long as it lives: attached to one node at a time, and to another as soon as that is lost or drains (then it finishes
// there what runs, and is attached to the next one before it lets go of the first). Calls that ran when a node was lost end there with
// HANDLER_FAILED; nothing is run twice.
//
// Thread-safe.
class MethodHost {
 public:
  // Begins to attach. The client outlives this.
  MethodHost(Client& client, std::map<std::string, Handler> methods, MethodHostOptions options = {});
  // Stop without grace.
  ~MethodHost();
  MethodHost(const MethodHost&) = delete;
  MethodHost& operator=(const MethodHost&) = delete;

  // OK once the methods are offered. DEADLINE_EXCEEDED: not within `limit`; or why it has given up.
  absl::Status AwaitAttached(absl::Duration limit);

  // Withdraws the methods, lets running handlers finish for up to `grace`, and closes the stream; the rest is cancelled. No handler runs when it
  // returns, so one that neither ends nor heeds OnCancel holds it up; no handler may call it. Again: nothing happens.
  void Stop(absl::Duration grace = absl::Seconds(10));

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_METHOD_HOST_H_

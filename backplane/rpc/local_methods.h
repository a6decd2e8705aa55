#ifndef ACTIONCLUSTER_BACKPLANE_RPC_LOCAL_METHODS_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_LOCAL_METHODS_H_

#include <cstdint>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/domain/content.h"
#include "backplane/domain/node_ref.h"

namespace actioncluster {

// A call as it arrives at the node that is to run it.
struct IncomingCall {
  NodeRef caller;   // The node that asks, and its boot.
  uint64_t id = 0;  // Unique within the caller's boot.
  std::string method;
  Content arguments;
  std::string connection_id;  // Empty: it was not addressed to a connection.
  absl::Time deadline;        // Monotonic.
  bool notification = false;  // Nobody awaits a reply.
  std::string subject =
      {};  // What it is about, for the application: a serialized internal CallSubject. Empty: nothing.
  uint32_t round =
      0;  // How often its caller has looked for somebody to run it: who has declined it may be asked again.
};

// What a node says of a call.
struct Outcome {
  enum class Kind {
    kResult,    // `result`
    kError,     // `error`, of a handler or of the node itself
    kDeclined,  // Not run, and safe to ask another; `error` says why.
  };
  Kind kind = Kind::kResult;
  Content result;
  absl::Status error;
};

// What runs calls on a node: its own methods and those of the applications attached to it. Implemented by
// server/methods. Confined to the I/O thread.
class LocalMethods {
 public:
  virtual ~LocalMethods() = default;

  // Runs the call. `done` is called exactly once (for a notification too), perhaps before Run returns. It ends at the
  // deadline by itself: then with kError and RPC_TIMEOUT.
  virtual void Run(IncomingCall call, absl::AnyInvocable<void(Outcome) &&> done) = 0;

  // Nobody waits for it any more. Its `done` is still called.
  virtual void Cancel(const NodeRef& caller, uint64_t id) = 0;

  // The calling node is gone, and with it everything it asked for.
  virtual void CallerLost(const NodeRef& caller) = 0;

  // This node holds the connection, as far as it knows: then nobody else is asked who does.
  virtual bool Holds(absl::string_view connection_id) const = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_LOCAL_METHODS_H_

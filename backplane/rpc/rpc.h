#ifndef ACTIONCLUSTER_BACKPLANE_RPC_RPC_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_RPC_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/bus/bus.h"
#include "backplane/domain/content.h"
#include "backplane/membership/membership.h"
#include "backplane/presence/presence.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/local_methods.h"

namespace actioncluster {

// Who is asked.
struct AllNodes {};                          // All that offer the method.
struct AnyNode {};                           // One of those: this node if it does.
struct OneNode { std::string node_id; };
struct NodeOfConnection { std::string connection_id; };
using CallTarget = std::variant<AllNodes, AnyNode, OneNode, NodeOfConnection>;

struct CallSpec {
  std::string method;
  Content arguments;
  CallTarget target;
  absl::Time deadline;  // Monotonic.
};

// A result, and whose it is.
struct CallResult {
  std::string node_id;
  Content result;
};

struct RpcCounters {
  std::atomic<uint64_t> calls{0};           // Begun here.
  std::atomic<uint64_t> executed{0};        // Run here, for whomever.
  std::atomic<uint64_t> unmatched{0};       // Replies that nobody waited for: late or duplicate.
  std::atomic<uint64_t> refused_late{0};    // Calls that came after their deadline, or while this node did not serve.
};

// Calls methods on other nodes and on this one, and answers the calls of others.
//
// Who is expected to answer is decided when the call is begun, from the directory. A share of a call ends by the node's reply, by its loss, when it
// turns out to be out of reach, or when it withdraws the method; the call ends when it has its first answer (Call) or all shares have ended (CallAll), at its deadline, at
// Cancel, or when the bus breaks, since replies may then be lost: each exactly once, whatever the order.
//
// Any thread may begin and cancel calls; callbacks run on the I/O thread, never inside the call that began it, and may begin others.
class Rpc {
 public:
  using CallId = uint64_t;
  using Done = absl::AnyInvocable<void(absl::StatusOr<CallResult>) &&>;
  // One node's share: its result, or its error (with `node_id` in the metadata).
  using OnShare = absl::AnyInvocable<void(const std::string& node_id, absl::StatusOr<Content> result)>;
  using AllDone = absl::AnyInvocable<void(absl::Status) &&>;

  // The references outlive this. `local` runs the calls that arrive here.
  Rpc(Loop& loop, Bus& bus, Membership& membership, Presence& presence, const Keys& keys, LocalMethods& local);
  ~Rpc();

  // The first reply. Errors: METHOD_NOT_FOUND, NODE_NOT_FOUND, CONNECTION_NOT_FOUND (each only when Redis has confirmed it),
  // BACKPLANE_UNAVAILABLE, RPC_TIMEOUT, HANDLER_FAILED and what handlers chose, LIMIT_EXCEEDED when all that might answer are overloaded.
  CallId Call(CallSpec spec, Done done);

  // Every reply. Ends OK when every share has ended, else as above, RPC_TIMEOUT with `missing_nodes` in the metadata: names, sorted, comma-separated.
  CallId CallAll(CallSpec spec, OnShare on_share, AllDone done);

  // No reply. Gives the number of nodes that it was sent to.
  void Notify(CallSpec spec, absl::AnyInvocable<void(absl::StatusOr<int>) &&> done);

  // The caller is gone: those that run the call are told, and its callbacks end with CANCELLED. Unknown or ended: nothing happens.
  void Cancel(CallId id);

  // Calls that await replies now. Any thread.
  uint32_t waiting() const;
  const RpcCounters& counters() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_RPC_H_

#ifndef ACTIONCLUSTER_BACKPLANE_RPC_RPC_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_RPC_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "backplane/bus/bus.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/presence/presence.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/call.h"
#include "backplane/rpc/local_methods.h"

namespace actioncluster {

struct RpcCounters {
  std::atomic<uint64_t> calls{0};         // Begun here.
  std::atomic<uint64_t> executed{0};      // Run here, for whomever.
  std::atomic<uint64_t> unmatched{0};     // Replies that nobody waited for: late or duplicate.
  std::atomic<uint64_t> refused_late{0};  // Calls that came after their deadline, or while this node did not serve.
};

// Calls methods on other nodes and on this one, and answers the calls of others.
//
// Who is expected to answer is decided when the call is begun, from the directory. A share of a call ends by the node's
// reply, by its loss, when it turns out to be out of reach, or when it withdraws the method before it is known to have
// the call; see PendingCalls. The call ends when it has its first answer (Call) or all shares have ended (CallAll), at
// its deadline, at Cancel, or when the bus breaks, since replies may then be lost (what this node runs itself goes on):
// each exactly once, whatever the order. A node that is killed is missed by a probe, within half a second; its lease
// would take longer.
//
// Any thread may begin and cancel calls; callbacks run on the I/O thread, never inside the call that began it, and may
// begin others.
class Rpc {
 public:
  using CallId = actioncluster::CallId;
  using Done = CallDone;
  using NotifyDone = absl::AnyInvocable<void(absl::StatusOr<int>) &&>;

  // On the I/O thread, or before the loop runs, and before Bus::Begin. The references outlive this. `local` runs the
  // calls that arrive here.
  Rpc(Loop& loop, Bus& bus, Membership& membership, Presence& presence, const Keys& keys, LocalMethods& local);
  // On the I/O thread (not inside a callback), or when the loop no longer runs. Every call that still waits ends with
  // BACKPLANE_UNAVAILABLE, inside the destructor.
  ~Rpc();

  // The first reply. Errors: METHOD_NOT_FOUND, NODE_NOT_FOUND, CONNECTION_NOT_FOUND: when Redis has confirmed it, or every
  // node that was asked says that it does not offer the method; BACKPLANE_UNAVAILABLE, RPC_TIMEOUT, HANDLER_FAILED and what
  // handlers chose, LIMIT_EXCEEDED when all that might answer are overloaded.
  CallId Call(CallSpec spec, Done done);

  // Every reply of those that the target names. Ends OK when every share has ended, else as above, RPC_TIMEOUT with
  // `missing_nodes` in the metadata: names, sorted, comma-separated.
  CallId CallAll(CallSpec spec, OnShare on_share, AllDone done);

  // No reply. Gives the number of nodes that it was sent to.
  // Those that were known before it was sent are its errors; one node that nobody listens for is BACKPLANE_UNAVAILABLE.
  void Notify(CallSpec spec, NotifyDone done);

  // The caller is gone: those that run the call are told, and its callbacks end with CANCELLED. Unknown or ended:
  // nothing happens.
  void Cancel(CallId id);

  // Calls that await replies now. Any thread.
  uint32_t waiting() const;
  // The call that was begun last; 0 before the first. Any thread.
  CallId newest() const;
  // Of the calls up to that one, those that await replies now. I/O thread.
  uint32_t WaitingUpTo(CallId newest) const;
  // Answers that could not be sent yet. I/O thread.
  size_t unsent() const;
  const RpcCounters& counters() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_RPC_H_

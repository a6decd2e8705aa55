#ifndef ACTIONCLUSTER_SERVER_METHODS_DRAIN_SEQUENCE_H_
#define ACTIONCLUSTER_SERVER_METHODS_DRAIN_SEQUENCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "server/methods/method_host.h"

namespace actioncluster {

// Takes this node out of service: the directory says so, its applications, workers and subscribers are told where else to go, no tasks are taken, and what runs goes on. Others call its applications
// only if nobody else offers the method, and these stay until they are elsewhere; when they have gone, or have not though they had time for it, calls are declined.
//
// Confined to the I/O thread.
class DrainSequence {
 public:
  using Done = absl::AnyInvocable<void(uint32_t running) &&>;

  // What may still be begun here meanwhile.
  enum class Calls {
    kGoOn,  // Callers that do not listen go on: only what has begun before is waited for, or a drain would never end.
    kAreOver,  // This node's servers take no more calls: all are waited for.
  };

  DrainSequence(Loop& loop, Membership& membership, MethodHost& host, const Rpc& rpc);

  // Begins, if it has not; then `done` hears how many calls, tasks and operations are still running, or have an answer that could not be sent yet: 0 as soon as there are none, else what is left after `timeout`.
  // Never inside this call.
  void Begin(absl::Duration timeout, Done done, Calls calls = Calls::kGoOn);

  bool begun() const { return begun_; }

  // Counts what else is running, and has to be waited for; all that are given count. Before the first Begin.
  void AlsoWaitFor(absl::AnyInvocable<size_t() const> running) { also_.push_back(std::move(running)); }

  // Counts who else was told to go elsewhere, and is still here: they are waited for, for half of the first timeout and at most three seconds; applications that
  // stay until they are elsewhere for four fifths of it. Before the first Begin.
  void AlsoAwaitLeaving(absl::AnyInvocable<size_t() const> staying) { leaving_.push_back(std::move(staying)); }

  // Hears, once, that the drain begins, and the addresses of other nodes. It may not call Begin.
  void OnBegin(absl::AnyInvocable<void(const std::vector<std::string>& alternatives)> listener) {
    on_begin_ = std::move(listener);
  }

 private:
  struct Waiter {
    absl::Time until;
    Done done;
  };

  // Whoever is attached, where else to go.
  void Tell();
  void Check();
  bool HaveLeft(absl::Time now) const;
  uint32_t Busy() const;
  bool IsOurs(const std::string& address) const;

  Membership& membership_;
  MethodHost& host_;
  const Rpc& rpc_;
  bool begun_ = false;
  bool told_ = false;
  absl::Time leave_until_;
  absl::Time stay_until_;
  absl::Duration settle_;
  absl::Time settled_at_ = absl::InfiniteFuture();  // Set once calls are declined.
  CallId newest_ = 0;                               // The last call that the drain waits for.
  absl::AnyInvocable<void(const std::vector<std::string>&)> on_begin_;
  std::vector<absl::AnyInvocable<size_t() const>> also_;
  std::vector<absl::AnyInvocable<size_t() const>> leaving_;
  std::vector<Waiter> waiters_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  Timer timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_METHODS_DRAIN_SEQUENCE_H_

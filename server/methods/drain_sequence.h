#ifndef ACTIONCLUSTER_SERVER_METHODS_DRAIN_SEQUENCE_H_
#define ACTIONCLUSTER_SERVER_METHODS_DRAIN_SEQUENCE_H_

#include <cstddef>
#include <cstdint>
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

// Takes this node out of service: the directory says so, its applications, workers and subscribers are told where else to go, new calls are declined, no tasks are taken, and what runs goes on.
// Confined to the I/O thread.
class DrainSequence {
 public:
  using Done = absl::AnyInvocable<void(uint32_t running) &&>;

  DrainSequence(Loop& loop, Membership& membership, MethodHost& host, const Rpc& rpc);

  // Begins, if it has not; then `done` hears how many calls, tasks and operations are still running: 0 as soon as there are none, else what is left after `timeout`.
  // Never inside this call.
  void Begin(absl::Duration timeout, Done done);

  bool begun() const { return begun_; }

  // Counts what else is running, and has to be waited for; all that are given count. Before the first Begin.
  void AlsoWaitFor(absl::AnyInvocable<size_t() const> running) { also_.push_back(std::move(running)); }

  // Hears, once, that the drain begins, and the addresses of other nodes. It may not call Begin.
  void OnBegin(absl::AnyInvocable<void(const std::vector<std::string>& alternatives)> listener) {
    on_begin_ = std::move(listener);
  }

 private:
  struct Waiter {
    absl::Time until;
    Done done;
  };

  void Check();
  uint32_t Busy() const;
  bool IsOurs(const std::string& address) const;

  Membership& membership_;
  MethodHost& host_;
  const Rpc& rpc_;
  bool begun_ = false;
  CallId newest_ = 0;  // The last call that the drain waits for.
  absl::AnyInvocable<void(const std::vector<std::string>&)> on_begin_;
  std::vector<absl::AnyInvocable<size_t() const>> also_;
  std::vector<Waiter> waiters_;
  Timer timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_METHODS_DRAIN_SEQUENCE_H_

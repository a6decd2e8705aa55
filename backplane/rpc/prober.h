#ifndef ACTIONCLUSTER_BACKPLANE_RPC_PROBER_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_PROBER_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "backplane/bus/bus.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/pending_calls.h"

namespace actioncluster {

// Finds nodes that died with calls in their hands, sooner than their leases would tell: while calls wait, it asks Redis
// five times a second, in one round trip, whether the awaited boots still listen. One that does not in two probes in a
// row is gone, or cut off: its shares are lost. (One probe is not enough: a subscriber may be reconnecting.)
//
// Confined to the I/O thread. The references outlive it.
class Prober : public std::enable_shared_from_this<Prober> {
 public:
  Prober(Loop& loop, Bus& bus, PendingCalls& pending);

  // A call waits. The prober goes on by itself until none does.
  void Arm();

 private:
  void Probe();
  void Heard(const absl::StatusOr<std::vector<std::string>>& deaf);

  Bus& bus_;
  PendingCalls& pending_;
  bool armed_ = false;          // The timer is set, or a probe is under way.
  std::set<std::string> deaf_;  // By the last probe.
  Timer timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_PROBER_H_

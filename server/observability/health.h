#ifndef ACTIONCLUSTER_SERVER_OBSERVABILITY_HEALTH_H_
#define ACTIONCLUSTER_SERVER_OBSERVABILITY_HEALTH_H_

#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "backplane/bus/bus.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "server/methods/drain_sequence.h"

namespace actioncluster {

// Says whether this node serves: Redis answers, canaries come back over the bus, its lease holds, and it does not drain. Asked of these four, so it cannot
// differ from them; looked at when one of them reports, and every 200 ms, as a lease runs out by the clock. Confined to the I/O thread.
class Health {
 public:
  // `changed` hears the first time that it serves, and every change.
  Health(Loop& loop, Bus& bus, Membership& membership, const DrainSequence& drain,
         absl::AnyInvocable<void(bool serving)> changed);

 private:
  void Look();

  Bus& bus_;
  Membership& membership_;
  const DrainSequence& drain_;
  absl::AnyInvocable<void(bool serving)> changed_;
  bool serving_ = false;
  Timer timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_OBSERVABILITY_HEALTH_H_

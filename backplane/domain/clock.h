#ifndef ACTIONCLUSTER_BACKPLANE_DOMAIN_CLOCK_H_
#define ACTIONCLUSTER_BACKPLANE_DOMAIN_CLOCK_H_

#include "absl/time/time.h"

namespace actioncluster {

// The machine's monotonic clock. It never goes back, goes on while the process is stopped, and its origin means
// nothing: compare it only with itself. All deadlines and timers inside a node are in this time. Any thread.
absl::Time MonotonicNow();

// What this node knows of Redis's clock, which is the cluster's clock: the wall clocks of nodes decide nothing.
//
// Fed with the answers to TIME; keeps the most certain one, and lets its certainty decay with time, since clocks drift
// apart. A sample that contradicts what was known (another Redis after a failover, a stepped clock) replaces it at
// once. Does no I/O and reads no clock. Confined to the I/O thread.
class RedisClock {
 public:
  // TIME was sent at `sent`, its reply came at `received` (both monotonic), and it said `redis`.
  void Observe(absl::Time sent, absl::Time received, absl::Time redis);

  // Before the first sample nothing below may be used.
  bool known() const { return known_; }

  // Redis's time at a monotonic instant, and by how much that may be wrong.
  absl::Time At(absl::Time monotonic) const;
  absl::Duration Uncertainty(absl::Time monotonic) const;

  // The monotonic instant of a time of Redis's.
  absl::Time ToMonotonic(absl::Time redis) const;

 private:
  bool known_ = false;
  absl::Duration offset_;     // Redis's time minus monotonic time.
  absl::Duration half_trip_;  // The uncertainty of the kept sample when it was taken.
  absl::Time observed_at_;    // Monotonic.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_DOMAIN_CLOCK_H_

#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_BACKOFF_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_BACKOFF_H_

#include "absl/time/time.h"

namespace actioncluster::redis {

// How long to wait before the next attempt to connect: anything up to a limit that doubles with each attempt, so that
// many nodes that lost the same Redis do not come back in one moment. Draws no random numbers itself. Confined to one
// thread.
class Backoff {
 public:
  Backoff(absl::Duration min, absl::Duration max) : min_(min), max_(max), limit_(min) {}

  // `random` is uniform in [0, 1).
  absl::Duration Next(double random);

  // An attempt went well: begin anew.
  void Reset() { limit_ = min_; }

 private:
  const absl::Duration min_;
  const absl::Duration max_;
  absl::Duration limit_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_BACKOFF_H_

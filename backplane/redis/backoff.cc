#include "backplane/redis/backoff.h"

#include <algorithm>

namespace actioncluster::redis {

absl::Duration Backoff::Next(double random) {
  const absl::Duration delay = limit_ * random;
  limit_ = std::min(limit_ * 2, max_);
  return delay;
}

}  // namespace actioncluster::redis

#include "client/clock.h"

#include <time.h>

namespace actioncluster::client {

absl::Time MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::TimeFromTimespec(now);
}

}  // namespace actioncluster::client

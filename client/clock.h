#ifndef ACTIONCLUSTER_CLIENT_CLOCK_H_
#define ACTIONCLUSTER_CLIENT_CLOCK_H_

#include "absl/time/time.h"

namespace actioncluster::client {

// The machine's monotonic clock, which no step of the wall clock moves; its origin means nothing: compare it only with itself. All waiting is in
// this time. Any thread.
absl::Time MonotonicNow();

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_CLOCK_H_

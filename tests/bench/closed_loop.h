#ifndef ACTIONCLUSTER_TESTS_BENCH_CLOSED_LOOP_H_
#define ACTIONCLUSTER_TESTS_BENCH_CLOSED_LOOP_H_

#include <cstdint>
#include <functional>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace actioncluster::bench {

// One operation: begins, returns, and calls `done` once, later, on any thread.
using Operation = std::function<void(absl::AnyInvocable<void(bool ok) &&> done)>;

struct Measurement {
  uint64_t operations = 0;
  uint64_t failures = 0;
  absl::Duration length;  // From the first start to the last end.
  absl::Duration p50;
  absl::Duration p99;

  double PerSecond() const { return static_cast<double>(operations) / absl::ToDoubleSeconds(length); }
};

// Keeps `in_flight` operations going for this long: each that ends begins the next. Returns when all have ended. So a server that slows down is asked less:
// the numbers say what it can do, not how it does under a given load.
Measurement RunClosedLoop(int in_flight, absl::Duration length, const Operation& operation);
// As long as `goes_on` says so, which is asked at the end of each operation, on any thread.
Measurement RunWhile(int in_flight, const std::function<bool()>& goes_on, const Operation& operation);
// With operations that block, each on a thread of its own; they give whether they succeeded.
Measurement RunThreads(int threads, absl::Duration length, const std::function<bool()>& operation);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_CLOSED_LOOP_H_

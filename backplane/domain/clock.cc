#include "backplane/domain/clock.h"

#include <time.h>

namespace actioncluster {
namespace {

// How fast two clocks may drift apart: time daemons slew by at most one part in 2000.
constexpr int kDriftDivisor = 2000;

}  // namespace

absl::Time MonotonicNow() {
  timespec now;
  // Not CLOCK_MONOTONIC, which stands while the machine is suspended: a lease does not.
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::TimeFromTimespec(now);
}

void RedisClock::Observe(absl::Time sent, absl::Time received, absl::Time redis) {
  if (received < sent) return;
  const absl::Duration half_trip = (received - sent) / 2;
  const absl::Duration offset = redis - (sent + half_trip);
  if (known_) {
    const absl::Duration uncertainty = Uncertainty(received);
    const bool contradicts = absl::AbsDuration(offset - offset_) > half_trip + uncertainty;
    if (!contradicts && half_trip > uncertainty) return;
  }
  known_ = true;
  offset_ = offset;
  half_trip_ = half_trip;
  observed_at_ = received;
}

absl::Time RedisClock::At(absl::Time monotonic) const { return monotonic + offset_; }

absl::Duration RedisClock::Uncertainty(absl::Time monotonic) const {
  return half_trip_ + absl::AbsDuration(monotonic - observed_at_) / kDriftDivisor;
}

absl::Time RedisClock::ToMonotonic(absl::Time redis) const { return redis - offset_; }

}  // namespace actioncluster

#include "client/timer.h"

#include <grpc/support/time.h>

#include <utility>

#include "client/clock.h"

namespace actioncluster::client {

void Timer::Set(absl::Time at, absl::AnyInvocable<void() &&> task) {
  Cancel();
  shot_ = std::make_shared<Shot>();
  shot_->task = std::move(task);
  // gRPC's own monotonic clock need not begin where ours does: it is told how long.
  const gpr_timespec due = gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(absl::ToInt64Nanoseconds(at - MonotonicNow()), GPR_TIMESPAN));
  shot_->alarm.Set(due, [shot = shot_, strand = strand_](bool ok) mutable {
    // The alarm keeps this function, and the shot the alarm: taken out, or both would stay for ever.
    const std::shared_ptr<Shot> due = std::move(shot);
    if (!ok) return;
    strand.Post([due] {
      if (due->task != nullptr) std::move(std::exchange(due->task, nullptr))();
    });
  });
}

void Timer::Cancel() {
  if (shot_ == nullptr) return;
  shot_->task = nullptr;
  shot_->alarm.Cancel();
  shot_.reset();
}

}  // namespace actioncluster::client

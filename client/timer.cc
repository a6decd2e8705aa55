#include "client/timer.h"

#include <utility>

namespace actioncluster::client {

void Timer::Set(absl::Time at, absl::AnyInvocable<void() &&> task) {
  Cancel();
  shot_ = std::make_shared<Shot>();
  shot_->task = std::move(task);
  shot_->alarm.Set(absl::ToChronoTime(at), [shot = shot_, strand = strand_](bool ok) mutable {
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

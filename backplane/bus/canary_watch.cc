#include "backplane/bus/canary_watch.h"

#include <algorithm>
#include <utility>

namespace actioncluster {

void CanaryWatch::Restart() {
  well_ = false;
  awaited_since_.reset();
  last_heard_ = sent_;  // One from before the interruption proves nothing.
}

void CanaryWatch::Taken(uint64_t number, absl::Time now) {
  // It may well have come back already: Redis writes to the subscriber and to the publisher at once.
  if (number > last_heard_ && !awaited_since_.has_value()) awaited_since_ = now;
}

void CanaryWatch::Heard(uint64_t number, absl::Time now) {
  if (number <= last_heard_) return;
  last_heard_ = number;
  heard_at_ = now;
  well_ = true;
  awaited_since_.reset();
}

bool CanaryWatch::Deaf(absl::Time now) {
  const absl::Time before = std::exchange(judged_at_, now).value_or(now);
  if (now - before > timeout_) {
    heard_at_ = std::max(heard_at_, now - timeout_);
    if (awaited_since_.has_value()) awaited_since_ = now;
    return false;
  }
  if (now - heard_at_ > timeout_) well_ = false;
  if (!awaited_since_.has_value() || now - *awaited_since_ < timeout_) return false;
  awaited_since_ = now;
  return true;
}

}  // namespace actioncluster

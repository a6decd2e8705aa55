#include "backplane/membership/lease_keeper.h"

#include <algorithm>

namespace actioncluster {

void LeaseKeeper::Joined(absl::Time sent) {
  joined_ = true;
  renewing_ = false;
  holds_until_ = sent + lease_;
  next_renewal_ = sent + lease_ / 3;
}

void LeaseKeeper::RenewalSent() {
  if (!joined_) return;
  renewing_ = true;
  next_renewal_ = absl::InfiniteFuture();
}

void LeaseKeeper::Renewed(absl::Time sent, absl::Time earliest_other) {
  if (!joined_) return;
  renewing_ = false;
  // An answer to an earlier renewal may come after that to a later one: the lease does not shrink.
  holds_until_ = std::max(holds_until_, sent + lease_);
  // Redis reclaims what ended before its own millisecond, hence one more.
  next_renewal_ = std::min(sent + lease_ / 3, std::max(earliest_other + absl::Milliseconds(1), sent + lease_ / 50));
}

void LeaseKeeper::RenewalFailed(absl::Time now) {
  if (!joined_) return;
  renewing_ = false;
  next_renewal_ = now + lease_ / 10;
}

void LeaseKeeper::Doubt(absl::Time now) {
  if (joined_ && !renewing_) next_renewal_ = std::min(next_renewal_, now);
}

void LeaseKeeper::Ended() {
  joined_ = false;
  renewing_ = false;
  holds_until_ = absl::InfinitePast();
  next_renewal_ = absl::InfiniteFuture();
}

}  // namespace actioncluster

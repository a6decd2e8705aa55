#ifndef ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_LEASE_KEEPER_H_
#define ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_LEASE_KEEPER_H_

#include "absl/time/time.h"

namespace actioncluster {

// Decides when a node renews its lease, and whether it may still act under it.
//
// A node may act only as long as its lease surely holds in Redis: from the last renewal that succeeded, counted from
// when that renewal was SENT. A lease that ran out by this count is not yet lost: Redis decides at the next renewal
// (nobody may have reclaimed it), and until then the node does not serve.
//
// A renewal is due after a third of the lease; a tenth of it after one that failed; and as soon as the lease of another
// may be reclaimed, if that is sooner, since renewals do that. But whatever Redis says of others, not within a fiftieth
// of the lease.
//
// Does no I/O and reads no clock; times are monotonic. Confined to the I/O thread.
class LeaseKeeper {
 public:
  explicit LeaseKeeper(absl::Duration lease) : lease_(lease) {}

  // Joined by a request that was sent at `sent`: the lease runs.
  void Joined(absl::Time sent);

  // A renewal was sent, and answered: it holds again. `earliest_other`: when the first lease of the others ends, if
  // nobody renews it (InfiniteFuture: there are none); a renewal then reclaims it. Answers after Ended mean nothing.
  void RenewalSent();
  void Renewed(absl::Time sent, absl::Time earliest_other);

  // It was not answered, or with an error: try again soon.
  void RenewalFailed(absl::Time now);

  // Something looks wrong (another says we are gone, Redis came back): ask as soon as possible, unless asking already.
  void Doubt(absl::Time now);

  // Redis says it is no longer ours, or we gave it back.
  void Ended();

  // We may act: joined, and the lease surely holds.
  bool Holds(absl::Time now) const { return joined_ && now < holds_until_; }

  // When the lease stops to hold unless it is renewed before; InfinitePast if there is none.
  absl::Time holds_until() const { return holds_until_; }

  // When to send the next renewal; InfiniteFuture while one is under way or there is no lease.
  absl::Time next_renewal() const { return next_renewal_; }

 private:
  const absl::Duration lease_;
  bool joined_ = false;
  bool renewing_ = false;
  absl::Time holds_until_ = absl::InfinitePast();
  absl::Time next_renewal_ = absl::InfiniteFuture();
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_LEASE_KEEPER_H_

#ifndef ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_OFFER_H_
#define ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_OFFER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "actioncluster/internal/v1/records.pb.h"

namespace actioncluster {

// What this node offers, as it shall stand in Redis, and who waits until it does. Each change is a revision; a write
// carries the revision that it began with, so that changes which come while it is under way are merged into the next.
//
// Does no I/O. Confined to the I/O thread. Whoever takes the waiting must call each.
class Offer {
 public:
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  void SetMethods(std::vector<std::string> methods, Done done);
  void SetDraining(bool draining, Done done);

  // The last change. A write that begins now carries it.
  uint64_t revision() const { return revision_; }
  void Fill(internal::v1::NodeRecord* record) const;

  // Redis has this revision.
  void Written(uint64_t revision);
  // Something is wanted that Redis has not got.
  bool dirty() const { return written_ != revision_; }

  // Those who wait for this revision or one before it. They no longer wait; what they asked for is still wanted.
  std::vector<Done> TakeWaiting(uint64_t revision);
  std::vector<Done> TakeWaiting() { return TakeWaiting(revision_); }

 private:
  struct Waiting {
    uint64_t revision;
    Done done;
  };
  std::vector<std::string> methods_;  // Sorted, each once.
  bool draining_ = false;
  uint64_t revision_ = 0;
  uint64_t written_ = 0;
  std::vector<Waiting> waiting_;  // By revision.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_OFFER_H_

#ifndef ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_SOURCE_H_
#define ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_SOURCE_H_

#include <cstdint>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/records.pb.h"

namespace actioncluster {

// What can be read of the membership: by MembershipStore from Redis, by tests from their own hands.
//
// Confined to the I/O thread; completions run on it, never inside the calls.
class MembershipSource {
 public:
  template <class T>
  using Completion = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

  virtual ~MembershipSource() = default;

  // Times are Redis's.
  struct State {
    int64_t generation = 0;                         // 0: Redis knows of no membership.
    absl::Time grace_until = absl::InfinitePast();  // Nobody is reclaimed before.
  };
  // A native command: for asking whether anything changed.
  virtual void ReadState(Completion<State> done) = 0;

  struct Node {
    internal::v1::NodeRecord record;
    internal::v1::NodeStats stats;
    absl::Time lease_ends;
  };
  struct Contents {
    State state;
    absl::Time now;
    std::vector<Node> nodes;  // Also those whose leases have run out, until they are reclaimed.
  };
  virtual void Read(Completion<Contents> done) = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_MEMBERSHIP_SOURCE_H_

#ifndef ACTIONCLUSTER_BACKPLANE_RPC_MOVING_METHODS_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_MOVING_METHODS_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/membership/directory.h"

namespace actioncluster {

// The methods that nodes which drain have offered: their applications were told to go elsewhere, so that a method which nobody offers may only be on its way. An application that leaves
// one node before it is attached to the next is so missed by nobody. Likewise the ids of such nodes: a successor may take them up.
//
// Does no I/O and reads no clock; times are monotonic. Confined to the I/O thread.
class MovingMethods {
 public:
  // How long one may be on its way, from the last that was heard of its node.
  static constexpr absl::Duration kLimit = absl::Seconds(3);

  void OnNode(const NodeEvent& event, absl::Time now);
  bool Contains(absl::string_view method, absl::Time now) const;
  // A node of this name was draining: another may take its place.
  bool HasDrained(absl::string_view node_id, absl::Time now) const;

 private:
  struct Drained {
    std::string node_id;
    absl::flat_hash_set<std::string> methods;
    absl::Time until;
  };
  absl::flat_hash_map<std::string, Drained> drained_;  // By boot.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_MOVING_METHODS_H_

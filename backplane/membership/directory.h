#ifndef ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_DIRECTORY_H_
#define ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/domain/node_ref.h"

namespace actioncluster {

// Something that became of a node.
struct NodeEvent {
  enum class Kind { kJoined, kLeft, kLost, kDraining, kUpdated };
  Kind kind;
  internal::v1::NodeRecord node;  // As it is now; of one that is gone, as it was last.
};

// A node's copy of the directory of live nodes and their methods: Redis's truth at some generation, kept current by the
// changes that the others announce. A change applies only onto the generation right before it; at any gap the copy is
// replaced by what Redis has. So it may be late, by as much as a message takes, but never wrong in another way.
//
// Events come in the order in which they are to be told: who is gone first, then who came, then what changed. One that
// began to drain and changed otherwise in the same step gives two events. Records without name or boot are ignored; of
// two with one name the later boot counts.
//
// Does no I/O and reads no clock. Confined to the I/O thread.
class Directory {
 public:
  enum class Applied {
    kYes,
    kKnown,  // At or before our generation.
    kGap,    // Something between is missing, or it does not fit what we know: read Redis and Replace.
  };

  // The events say how the directory differs from before. A boot that is no longer there is kLost,
  // unless it has said that it leaves.
  std::vector<NodeEvent> Replace(int64_t generation, std::vector<internal::v1::NodeRecord> nodes);
  // Appends what came of it to `events`; nothing unless kYes.
  Applied Apply(const internal::v1::DirectoryChange& change, std::vector<NodeEvent>* events);

  // -1 before the first Replace.
  int64_t generation() const { return generation_; }

  // Null: no live node has this name, or boot. Valid until the next change.
  const internal::v1::NodeRecord* FindNode(absl::string_view node_id) const;
  const internal::v1::NodeRecord* FindBoot(absl::string_view boot_id) const;

  // Those that offer the method and do not drain, sorted by name; of names under `node.`, all nodes, draining or not.
  std::vector<NodeRef> Offering(absl::string_view method) const;
  // Those that offer the method and drain: they still run calls of it until their applications have gone elsewhere.
  std::vector<NodeRef> OfferingWhileDraining(absl::string_view method) const;

  // All, by name.
  const absl::btree_map<std::string, internal::v1::NodeRecord>& nodes() const { return nodes_; }

  // Each offered method and the names of its nodes, sorted; without those that drain, and without names under `node.`.
  std::map<std::string, std::set<std::string>> Methods() const;

 private:
  void Insert(internal::v1::NodeRecord node);
  // Gives what was removed.
  internal::v1::NodeRecord Remove(const std::string& name);
  void Put(internal::v1::NodeRecord node, std::vector<NodeEvent>* events);

  int64_t generation_ = -1;
  absl::btree_map<std::string, internal::v1::NodeRecord> nodes_;  // By name.
  absl::flat_hash_map<std::string, std::string> name_of_boot_;
  absl::flat_hash_map<std::string, std::set<std::string>> offering_;  // Method → names.
  std::set<std::string> draining_;                                    // Names.
  // Boots that said that they leave, in a change behind a gap: nodes that stop together overtake one another.
  absl::flat_hash_set<std::string> left_ahead_;
};

// True for the nodes' own names: those under `node.`.
bool IsNodeMethod(absl::string_view method);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_MEMBERSHIP_DIRECTORY_H_

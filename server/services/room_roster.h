#ifndef ACTIONCLUSTER_SERVER_SERVICES_ROOM_ROSTER_H_
#define ACTIONCLUSTER_SERVER_SERVICES_ROOM_ROSTER_H_

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "actioncluster/internal/v1/records.pb.h"

namespace actioncluster {

// Who is in a room, as those who watch it have been told: read from Redis at first, then kept by the changes that are heard. What is heard while it is being read counts after what was read, so that it does not matter
// which of the two was first.
//
// Does no I/O and reads no clock. Confined to the I/O thread.
class RoomRoster {
 public:
  using Member = internal::v1::RoomMemberRecord;

  // Forgets all; from now on it is being read.
  void Begin();
  // Members that were read. One may come twice.
  void Read(std::vector<Member> members);
  // All is read. Of what was read, only members of boots that live count.
  void Complete(absl::FunctionRef<bool(absl::string_view boot)> lives);

  // Of what is heard, what is news, and so is to be told; nothing while it is being read.
  std::vector<Member> Apply(internal::v1::RoomChange change);
  // The boot is gone for good. Likewise: who is gone with it.
  std::vector<Member> BootGone(const std::string& boot);

  // By connection.
  const absl::btree_map<std::string, Member>& members() const { return members_; }

 private:
  bool reading_ = false;
  absl::btree_map<std::string, Member> members_;
  std::vector<internal::v1::RoomChange> heard_;  // While it is being read.
  absl::flat_hash_set<std::string> gone_;        // Likewise.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_ROOM_ROSTER_H_

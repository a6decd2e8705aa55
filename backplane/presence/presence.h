#ifndef ACTIONCLUSTER_BACKPLANE_PRESENCE_PRESENCE_H_
#define ACTIONCLUSTER_BACKPLANE_PRESENCE_PRESENCE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/domain/node_ref.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"

namespace actioncluster {

// Which connection lives on which node. A record names the boot that holds the connection, and is true only while that
// boot lives: whoever looks one up checks the boot against the directory. So it need not be renewed, and dies with the
// boot's lease.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls. Errors: BACKPLANE_UNAVAILABLE.
class Presence {
 public:
  Presence(redis::Client& commands, const Keys& keys) : commands_(commands), keys_(keys) {}

  // One round trip. Nothing: nobody has claimed it.
  void Lookup(const std::string& connection_id,
              absl::AnyInvocable<void(absl::StatusOr<std::optional<internal::v1::ConnectionRecord>>) &&> done);

  // The connection lives here now, whoever held it before. Gives the claim's epoch, larger than any before it.
  void Claim(const std::string& connection_id, const NodeRef& holder,
             absl::AnyInvocable<void(absl::StatusOr<int64_t>) &&> done);

  // Removes the record if it is still that claim; gives whether it was.
  void Release(const std::string& connection_id, const NodeRef& holder, int64_t epoch,
               absl::AnyInvocable<void(absl::StatusOr<bool>) &&> done);

 private:
  redis::Client& commands_;
  const Keys& keys_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_PRESENCE_PRESENCE_H_

#ifndef ACTIONCLUSTER_BACKPLANE_PRESENCE_PRESENCE_H_
#define ACTIONCLUSTER_BACKPLANE_PRESENCE_PRESENCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/domain/node_ref.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"

namespace actioncluster {

// A claim of a connection's id, for a boot.
struct ConnectionClaim {
  std::string boot;
  int64_t epoch = 0;  // Grows with each claim of the id.

  friend bool operator==(const ConnectionClaim&, const ConnectionClaim&) = default;
};

// Which connection lives on which node, and what of it outlives its stream.
//
// A record names the boot that holds the connection, and is true only while that boot lives: whoever looks one up checks the boot against the directory. So it need not be renewed, and dies with the
// boot's lease. A connection that was lost, with its stream or with its node, keeps its id and its state for a while, for whoever shows its resume token.
//
// Each method is one round trip, but for the last; what the scripts do stands on top of scripts/presence_*.lua. Confined to the I/O thread; callbacks run on it, never inside the calls. Errors: BACKPLANE_UNAVAILABLE: of what changes something it is not known whether it was done.
class Presence {
 public:
  template <class T>
  using Then = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

  // The references outlive this.
  Presence(redis::Client& commands, const Keys& keys);
  ~Presence();

  // Nothing: no boot has it.
  void Lookup(const std::string& connection_id, Then<std::optional<internal::v1::ConnectionRecord>> done);

  struct Claimed {
    ConnectionClaim claim;
    std::string former_boot;  // Which had it until now; empty: none.
    // Of the connection that was resumed; nothing: this is a new one.
    std::optional<internal::v1::ConnectionState> state;
  };
  // The connection lives at `holder` from now on. `shown`: the resume token that its client shows; empty: none. `fresh`: that of a new connection. Redis keeps SHA-256 of tokens only.
  // Errors: CONNECTION_EXISTS: the id is somebody's who has shown another token.
  void Claim(const std::string& connection_id, const NodeRef& holder, const std::string& shown,
             const std::string& fresh, Then<Claimed> done);

  // Replaces what a resumed connection will have. Gives whether the claim still counts; if not, nothing was changed.
  void Store(const std::string& connection_id, const ConnectionClaim& claim, const internal::v1::ConnectionState& state,
             Then<bool> done);

  // The boot no longer has it; epoch 0 stands for any claim of the boot's. Its id and state are kept for `resume_window`; zero: nothing is. Gives whether the claim still counted; if not, nothing was changed.
  void Release(const std::string& connection_id, const ConnectionClaim& claim, absl::Duration resume_window,
               Then<bool> done);

  // For boots that are gone. Those that have, or had, connections and did not release them.
  void HoldingBoots(Then<std::vector<std::string>> done);
  // Releases, as above, up to `limit` of the connections that the boot has left behind; gives how many more there are. 0: all is done, and the boot is not among HoldingBoots any more. Two nodes may do it
  // at once. Never for a boot that lives.
  void ReleaseLeftBehind(const std::string& boot, absl::Duration resume_window, int limit, Then<int64_t> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_PRESENCE_PRESENCE_H_

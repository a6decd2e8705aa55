#ifndef ACTIONCLUSTER_BACKPLANE_BUS_REPLAY_WINDOW_H_
#define ACTIONCLUSTER_BACKPLANE_BUS_REPLAY_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/bus/sealer.h"

namespace actioncluster {

// Decides whether a genuine envelope is new. Redis delivers what one boot publishes on one channel in order, so an envelope is new when
// its sequence is larger than the last one of its boot on its channel. Nothing may be older than our own subscription to the channel, or it
// may be a recording of what a former life of this node has executed already; nor older than `max_age`, so that a boot which has been silent for long
// can be forgotten: what it sent before is too old to come back.
//
// Times are monotonic; a sender's stamp is converted from Redis's time by the caller. The clocks' uncertainty is in favour of the sender, up
// to a quarter of `max_age`. Does no I/O and reads no clock. Confined to the I/O thread.
class ReplayWindow {
 public:
  explicit ReplayWindow(absl::Duration max_age) : max_age_(max_age) {}

  // Redis confirmed the subscription at `now`. Again (after a loss of the connection): the first one counts, the window has lasted.
  void Subscribed(absl::string_view channel, absl::Time now);
  // Messages of the channel are no longer admitted, until it is subscribed again.
  void Unsubscribed(absl::string_view channel);
  bool IsSubscribed(absl::string_view channel) const;

  // Nothing: it is new, and from now on counts as seen. `uncertainty`: by how much `sent_at` may be wrong, both clocks together.
  std::optional<Rejection> Admit(absl::string_view channel, absl::string_view sender_boot, uint64_t sequence,
                                 absl::Time sent_at, absl::Duration uncertainty, absl::Time now);

  // Drops the boots whose last envelope could no longer be admitted. Takes a look at all of them: call it now and then.
  void Forget(absl::Time now);

  // Boots that are known, over all channels.
  size_t size() const;

 private:
  struct Seen {
    uint64_t last_sequence;
    absl::Time at;  // When it was admitted.
  };
  struct Channel {
    std::optional<absl::Time> since;  // Nothing: not subscribed (any more).
    absl::flat_hash_map<std::string, Seen> boots;
  };
  const absl::Duration max_age_;
  absl::flat_hash_map<std::string, Channel> channels_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_BUS_REPLAY_WINDOW_H_

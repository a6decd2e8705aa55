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
// its sequence is larger than the last one of its boot on its channel. The first of a boot has nothing to be compared with: it must not be
// older than our own subscription to the channel, or it may be a recording. What is forgotten after `max_age` without traffic cannot come back, as nothing
// older than `max_age` is admitted.
//
// Times are monotonic; a sender's stamp is converted from Redis's time by the caller. Does no I/O and reads no clock. Confined to the I/O thread.
class ReplayWindow {
 public:
  explicit ReplayWindow(absl::Duration max_age) : max_age_(max_age) {}

  // Redis confirmed the subscription at `now`. Again (after a loss of the connection): the first one counts, the window has lasted.
  void Subscribed(absl::string_view channel, absl::Time now);
  // Messages of the channel are no longer admitted.
  void Unsubscribed(absl::string_view channel);

  // Nothing: it is new, and from now on counts as seen. `uncertainty`: by how much `sent_at` may be wrong, both clocks together.
  std::optional<Rejection> Admit(absl::string_view channel, absl::string_view sender_boot, uint64_t sequence,
                                 absl::Time sent_at, absl::Duration uncertainty, absl::Time now);

  // Drops what has been silent for longer than anything is admitted. Call it now and then.
  void Forget(absl::Time now);

  size_t size() const;

 private:
  struct Seen {
    uint64_t last_sequence;
    absl::Time at;
  };
  struct Channel {
    absl::Time subscribed_at;
    absl::flat_hash_map<std::string, Seen> boots;
  };
  const absl::Duration max_age_;
  absl::flat_hash_map<std::string, Channel> channels_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_BUS_REPLAY_WINDOW_H_

#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_TRACKER_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_TRACKER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/redis/link_options.h"
#include "backplane/redis/loop.h"
#include "backplane/redis/tracking_core.h"

namespace actioncluster::redis {

// The connection on which Redis tells which keys change, of those whose names begin with one of some prefixes; whoever changes them, and also if they expire. It connects for ever; its loss is
// a doubt, and so is whatever makes its word unsure.
//
// Redis tells of its whole server: names in other databases are among them. A connection that is open and tells nothing is found by asking it.
//
// Confined to the I/O thread; the listeners are called on it, never inside the calls.
class Tracker {
 public:
  using StateListener = absl::AnyInvocable<void(const absl::Status& state)>;

  // No prefix may begin with another. The loop and the listener outlive this.
  Tracker(Loop& loop, LinkOptions options, const std::vector<std::string>& prefixes, absl::Duration ask_every,
          TrackingListener& listener);
  ~Tracker();

  // Each change from now on. OK: Redis tells.
  void OnState(StateListener listener);

  // Makes a new connection, as after a loss: this one may be to another Redis than the one that matters.
  void Reset(const absl::Status& why);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_TRACKER_H_

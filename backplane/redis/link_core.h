#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_LINK_CORE_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_LINK_CORE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace actioncluster::redis {

// What is spoken over one connection to Redis, without the connection: it is fed bytes and gives bytes. Link drives it
// over a socket, tests drive it by hand. Does no I/O and reads no clock. Confined to the I/O thread.
//
// The order of calls: Opened, then Feed, TakeOutput and Tick as they come, then Closed; and again from Opened.
class LinkCore {
 public:
  virtual ~LinkCore() = default;

  // The transport is connected: nothing that was said before holds. The handshake's bytes become output.
  virtual void Opened(absl::Time now) = 0;

  // Bytes from Redis. Not OK: this connection is of no use any more (garbled replies, a refused handshake); the driver
  // closes the transport and calls Closed with that status.
  virtual absl::Status Feed(absl::string_view bytes, absl::Time now) = 0;

  // Appends what is to be sent to `out`, and forgets it.
  virtual void TakeOutput(std::string* out) = 0;

  // Ends what is due at `now`; with InfinitePast, which only asks, nothing is. `*next` becomes when it wants to be
  // called again. Not OK: as for Feed (Redis is silent for too long).
  virtual absl::Status Tick(absl::Time now, absl::Time* next) = 0;

  // The transport is gone, or never came to be. Everything that waits for a reply ends with `why`.
  virtual void Closed(const absl::Status& why) = 0;

  // The handshake is done: ordinary traffic flows.
  virtual bool ready() const = 0;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_LINK_CORE_H_

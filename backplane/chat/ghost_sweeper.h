#ifndef ACTIONCLUSTER_BACKPLANE_CHAT_GHOST_SWEEPER_H_
#define ACTIONCLUSTER_BACKPLANE_CHAT_GHOST_SWEEPER_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "backplane/chat/room_store.h"
#include "backplane/membership/membership.h"
#include "backplane/presence/presence.h"
#include "backplane/redis/loop.h"

namespace actioncluster {

// Takes out of Redis what nodes that are gone have left behind: their connections, which may be resumed for a while from then on, and their members of rooms, which those who watch the rooms hear of.
// Nothing that is left behind is ever taken for true, since its boot is not alive; this is what frees the ids and the memory.
//
// Each node looks within a moment after the directory says that a boot is gone, and every ten seconds or so; two that do it at once do no harm.
//
// Confined to the I/O thread.
class GhostSweeper {
 public:
  // The references outlive this.
  GhostSweeper(Loop& loop, Membership& membership, Presence& presence, RoomStore& rooms, absl::Duration resume_window);
  ~GhostSweeper();

  // Looks now. `done` runs when a look that began after this call has ended, however. For tests.
  void SweepNow(absl::AnyInvocable<void() &&> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CHAT_GHOST_SWEEPER_H_

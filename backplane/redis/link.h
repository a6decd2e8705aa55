#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_LINK_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_LINK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/redis/backoff.h"
#include "backplane/redis/link_core.h"
#include "backplane/redis/link_options.h"
#include "backplane/redis/loop.h"

struct sockaddr;

namespace actioncluster::redis {

// Drives a LinkCore over a socket: connects, for ever, with backoff; feeds it what comes, and sends what it says, in
// one write a loop turn. A connection is given up when it is not ready within connect_timeout, when the core says so,
// or when Redis does not read what we send.
//
// Confined to the I/O thread. The core and the listener are called from the loop only, never inside these functions;
// neither may destroy the link.
class Link {
 public:
  // OK: the core is ready. Otherwise BACKPLANE_UNAVAILABLE, and why; after each change. A loss is heard before the core
  // hears of it.
  using StateListener = absl::AnyInvocable<void(const absl::Status& state)>;

  // Begins to connect at the loop's next turn. The loop and the core outlive the link.
  Link(Loop& loop, LinkOptions options, LinkCore& core, StateListener on_state);
  // Closes the connection; calls neither core nor listener.
  ~Link();

  const absl::Status& state() const { return state_; }

  // Gives the connection up, if there is one, and makes a new one.
  void Reset(const absl::Status& why);

 private:
  struct Resolution;
  struct Stream;
  struct Write;

  void Connect();
  void ConnectUnix();
  void ConnectTcp(const sockaddr* address);
  void Resolve();
  void OnOpen();
  void OnBytes(absl::string_view bytes);
  void OnAlarm();
  void OnTick();
  void Flush();
  absl::Status WriteOutput();
  void Become(const absl::Status& state);
  void Fail(absl::string_view why);
  // Fails this connection in a turn of its own.
  void FailLater(absl::string_view why);
  void CloseTransport();

  Loop& loop_;
  const LinkOptions options_;
  LinkCore& core_;
  StateListener on_state_;
  absl::Status state_;

  Stream* stream_ = nullptr;          // Owned by libuv from when it is closed.
  Resolution* resolution_ = nullptr;  // Owned by libuv from the start.
  bool open_ = false;                 // The core has heard Opened.
  uint64_t attempts_ = 0;             // Also which connection this is.
  std::string output_;

  Backoff backoff_;
  absl::BitGen random_;
  Timer alarm_;  // When to connect next; then, until when the core must be ready.
  Timer tick_;
  absl::Time tick_at_ = absl::InfiniteFuture();
  std::unique_ptr<Loop::FlushHook> flush_hook_;
  std::shared_ptr<Link*> alive_;  // For what is posted: gone with the link.
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_LINK_H_

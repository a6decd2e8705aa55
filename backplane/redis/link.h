#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_LINK_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_LINK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/redis/backoff.h"
#include "backplane/redis/endpoint.h"
#include "backplane/redis/link_core.h"
#include "backplane/redis/link_options.h"
#include "backplane/redis/loop.h"
#include "backplane/redis/sentinel_core.h"
#include "backplane/redis/tls_stream.h"

struct sockaddr;

namespace actioncluster::redis {

class Subscriber;

// Drives a LinkCore over a socket: connects, for ever, with backoff; feeds it what comes, and sends what it says, in
// one write a loop turn. A connection is given up when it is not ready within connect_timeout, when the core says so,
// or when Redis does not read what we send.
//
// Where the endpoint names sentinels, each attempt begins with asking these, over a connection that is closed when one
// has answered; then it connects to the master that was named. Of failovers it hears by a subscription at each of them,
// as the old master may stay open for seconds. With TLS, what the core says goes through a TlsStream of
// each connection.
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

  // What the network sees of what is spoken.
  LinkCore& spoken() { return tls_ == nullptr ? *speaking_ : *tls_; }
  // A sentinel is spoken to.
  bool asking() const { return sentinels_ != nullptr && speaking_ == sentinels_.get(); }

  // Begins an attempt, or goes on with asking.
  void Connect();
  // Connects to an address, to speak what this core says.
  void Dial(const HostPort& address, absl::Duration timeout, LinkCore& core);
  void DialMaster();
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
  // Goes on with the next sentinel, if there is one in this round.
  void FailToAsk(absl::string_view why);
  // Ends the attempt, and makes the next one after a pause.
  void GiveUp(absl::string_view why);
  // Fails this connection in a turn of its own.
  void FailLater(absl::string_view why);
  // Nothing, where the connection is given up: what TCP has not brought to Redis yet it would go on sending, for minutes, and
  // Redis would carry it out after what the next connection brings.
  enum class After { kWhatWasSent, kNothing };
  void CloseTransport(After after);
  void ListenToSentinels();
  // A sentinel, by its index, tells which master has been replaced by which.
  void OnSwitch(size_t sentinel, absl::string_view what);

  Loop& loop_;
  const LinkOptions options_;
  LinkCore& core_;
  StateListener on_state_;
  absl::Status state_;

  Stream* stream_ = nullptr;                 // Owned by libuv from when it is closed.
  Resolution* resolution_ = nullptr;         // Owned by libuv from the start.
  bool open_ = false;                        // What is spoken has heard Opened.
  uint64_t attempts_ = 0;                    // How often it was tried; also which of a name's addresses is next.
  uint64_t dials_ = 0;                       // Which connection this is.
  std::unique_ptr<SentinelCore> sentinels_;  // Null: the endpoint itself says where.
  HostPort dialed_;
  LinkCore* speaking_;              // What is spoken on this connection: core_ or sentinels_,
  std::unique_ptr<TlsStream> tls_;  // within this, unless null.
  std::string output_;

  Backoff backoff_;
  absl::BitGen random_;
  Timer alarm_;  // When to connect next; then, until when the core must be ready.
  Timer tick_;
  absl::Time tick_at_ = absl::InfiniteFuture();
  std::unique_ptr<Loop::FlushHook> flush_hook_;
  std::shared_ptr<Link*> alive_;                   // For what is posted: gone with the link.
  std::vector<std::unique_ptr<Subscriber>> ears_;  // One at each sentinel.
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_LINK_H_

#ifndef ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_STREAMS_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_STREAMS_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/redis/loop.h"
#include "server/connections/connection_host.h"

namespace actioncluster {

class ConnectionStream;

// What all Open streams of a node share: their limits, and the clock that cuts those whose clients do not read what is left for them. Made and destroyed on the I/O thread.
class ConnectionStreams {
 public:
  struct Limits {
    size_t outbox_bytes = size_t{1024} * 1024;  // Of frames that may be dropped; of others four times as much.
    bool drop = true;                           // False: who is too slow is disconnected.
    size_t connections = 100'000;
  };
  // How long a stream that is to end may take for what its client has not read.
  static constexpr absl::Duration kLinger = absl::Seconds(5);

  // The references outlive this.
  ConnectionStreams(Loop& loop, ConnectionHost& host, Limits limits);
  ~ConnectionStreams();

  const Limits& limits() const { return limits_; }
  Loop& loop() { return loop_; }

  // A stream comes, and goes. LIMIT_EXCEEDED: there are too many; it goes all the same. Any thread.
  absl::Status Come();
  void Go() { open_.fetch_sub(1, std::memory_order_relaxed); }

  // I/O thread.
  ConnectionHost& host() { return host_; }
  // Cuts the stream unless it has gone within kLinger.
  void CutLater(std::weak_ptr<ConnectionStream> stream);

 private:
  struct Ending {
    absl::Time due;
    std::weak_ptr<ConnectionStream> stream;
  };
  void Cut();

  // Constant after construction.
  Loop& loop_;
  ConnectionHost& host_;
  const Limits limits_;

  std::atomic<size_t> open_ = 0;

  std::deque<Ending> ending_;  // By when they are due.
  Timer timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_STREAMS_H_

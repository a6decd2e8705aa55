#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_CLIENT_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_CLIENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/redis/command.h"
#include "backplane/redis/endpoint.h"
#include "backplane/redis/loop.h"
#include "backplane/redis/reply.h"

namespace actioncluster::redis {

// How a connection to Redis behaves. The defaults are a node's.
struct LinkOptions {
  Endpoint endpoint;
  std::string client_name;                                   // CLIENT SETNAME; empty: none.
  absl::Duration connect_timeout = absl::Seconds(2);         // Until the handshake is done.
  absl::Duration command_timeout = absl::Seconds(5);         // For commands that give no deadline of their own.
  absl::Duration stall_timeout = absl::Seconds(5);           // A connection whose oldest command waits longer is closed.
  absl::Duration min_backoff = absl::Milliseconds(20);       // Between attempts to connect: doubles, with jitter.
  absl::Duration max_backoff = absl::Milliseconds(500);
};

// The connection for commands: pipelined, any number in flight, one write a loop turn, reconnecting for ever.
//
// Every command ends exactly once: with Redis's reply, or with a status:
//   UNAVAILABLE (BACKPLANE_UNAVAILABLE)  there is no connection now, or it was lost before the reply: the command may have run;
//   DEADLINE_EXCEEDED                    no reply by the deadline: the command may have run;
//   others                               Redis's error reply: LOADING, READONLY, MASTERDOWN, CLUSTERDOWN, OOM and MISCONF are
//                                        BACKPLANE_UNAVAILABLE too, NOPERM and NOAUTH PERMISSION_DENIED, the rest INTERNAL.
// Nothing is sent twice, but scripts that Redis says it has not got (NOSCRIPT: nothing ran): these are loaded and called again, and
// later commands wait for it, so that nothing overtakes.
//
// Confined to the I/O thread. Completions run on it, never inside Execute; all that are pending end when the client is destroyed.
class Client {
 public:
  using Completion = absl::AnyInvocable<void(absl::StatusOr<Reply>) &&>;
  // OK: ready for commands. Otherwise why it is not; after each change.
  using StateListener = absl::AnyInvocable<void(const absl::Status& state)>;

  // Starts connecting at the loop's next turn. The loop and the scripts' storage outlive the client.
  Client(Loop& loop, LinkOptions options, std::vector<Script> scripts);
  ~Client();

  void Execute(Command command, absl::Time deadline, Completion done);
  void Execute(Command command, Completion done);  // command_timeout from now

  // Calls the listener with each change from now on. It may not destroy the client.
  void OnState(StateListener listener);
  // OK while ready.
  absl::Status state() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_CLIENT_H_

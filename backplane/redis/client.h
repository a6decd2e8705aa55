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
#include "backplane/redis/link_options.h"
#include "backplane/redis/loop.h"
#include "backplane/redis/reply.h"

namespace actioncluster::redis {

// The connection for commands: pipelined, any number in flight, one write a loop turn, reconnecting for ever.
//
// With ack_replicas, calls of durable scripts have a connection of their own, where each ends when so many replicas have
// what it wrote; if they have not in time, as BACKPLANE_UNAVAILABLE: it has run. The order of these among others is open
// then. The client is ready while both connections are.
//
// Every command ends exactly once: with Redis's reply, or with a status:
//   UNAVAILABLE (BACKPLANE_UNAVAILABLE)  there is no connection now, or it was lost before the reply: it may have run;
//   DEADLINE_EXCEEDED                    no reply by the deadline: the command may have run;
//   others                               an error reply, see error_reply.h: LOADING, READONLY, OOM and the like are
//                                        BACKPLANE_UNAVAILABLE too, NOPERM and NOAUTH PERMISSION_DENIED, others INTERNAL.
// Nothing is sent twice, but scripts that Redis says it has not got (NOSCRIPT: nothing ran): these are loaded and
// called again, in order, and commands that come meanwhile wait for it. Commands that were under way behind such a
// script have run before it.
//
// Confined to the I/O thread. Completions run on it, never inside Execute; they may call Execute, but not destroy the
// client. All that are pending end, as UNAVAILABLE, inside the client's destructor.
class Client {
 public:
  using Completion = absl::AnyInvocable<void(absl::StatusOr<Reply>) &&>;
  // OK: ready for commands. Otherwise why it is not; after each change.
  using StateListener = absl::AnyInvocable<void(const absl::Status& state)>;

  // Starts connecting at the loop's next turn. The loop and the scripts' storage outlive the client.
  Client(Loop& loop, const LinkOptions& options, const std::vector<Script>& scripts);
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

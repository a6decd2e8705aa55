#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_COMMAND_CORE_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_COMMAND_CORE_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/redis/command.h"
#include "backplane/redis/handshake.h"
#include "backplane/redis/link_core.h"
#include "backplane/redis/link_options.h"
#include "backplane/redis/reply.h"
#include "backplane/redis/reply_reader.h"

namespace actioncluster::redis {

// Pipelines commands over one connection and matches the replies, which come in the same order. See Client for how
// commands end.
//
// A command that is past its deadline ends, but keeps its place in the line, so that its late reply is dropped and not
// taken for the next one's. When Redis has lost its scripts (NOSCRIPT), they are loaded again at once, behind what is
// under way; commands that come now are held; when the loading is done, the scripts that did not run are sent again in
// their order, then what was held.
//
// With ack_replicas, each write ends with a WAIT, and a reply is held until so many replicas have what was written by
// then. If they have not in ack_timeout, the command ends as UNAVAILABLE: it has run, but a failover may undo it. Redis
// reads no further meanwhile, so that such a core is for what is durable alone. Error replies are not held.
//
// Where sentinels name the master, READONLY ends the connection: this Redis is no master any more.
//
// Completions run inside Feed, Tick and Closed, and may call Execute. Confined to the I/O thread.
class CommandCore final : public LinkCore {
 public:
  using Completion = absl::AnyInvocable<void(absl::StatusOr<Reply>) &&>;

  // The scripts' storage outlives the core.
  CommandCore(const LinkOptions& options, const std::vector<Script>& scripts);

  // Only while ready.
  void Execute(Command command, absl::Time deadline, absl::Time now, Completion done);

  void Opened(absl::Time now) override;
  absl::Status Feed(absl::string_view bytes, absl::Time now) override;
  void TakeOutput(std::string* out) override;
  absl::Status Tick(absl::Time now, absl::Time* next) override;
  void Closed(const absl::Status& why) override;
  bool ready() const override { return ready_; }

 private:
  struct Pending {
    Completion done;  // Null: a step of the handshake, or nobody waits any more.
    absl::Time deadline = absl::InfiniteFuture();
    absl::Time sent_at;
    std::string wire;  // Until it is sent; of a script's call, to send it again, until the reply.
    bool is_script = false;
    bool is_handshake = false;
    bool is_wait = false;
    int loads = 0;  // How often the scripts were loaded again for it.
  };

  // A reply that waits for replicas.
  struct Unconfirmed {
    Completion done;  // Null: nobody waits any more.
    absl::Time deadline;
    Reply reply;
  };

  void Send(Pending pending, absl::Time now);
  // Of a WAIT.
  void Confirm(const Reply& reply);
  void AwaitHandshake(size_t replies, absl::Time now);
  absl::Status Handle(Reply reply, absl::Time now);
  bool HoldForReload(Pending& pending, absl::Time now);
  void SendHeld(absl::Time now);
  void Expire(absl::Time now);

  const absl::Duration stall_timeout_;
  const bool wants_master_;  // Sentinels say where it is.
  const int ack_replicas_;
  const std::string wait_;  // The command on the wire; empty: replies are not held.
  Handshake handshake_;
  ReplyReader reader_;
  std::string out_;
  std::deque<Pending> in_flight_;
  absl::Time last_sent_at_;
  bool ready_ = false;

  bool reloading_ = false;
  std::deque<Pending> resend_;
  std::deque<Pending> held_;

  bool wait_is_due_ = false;  // Something was sent since the last WAIT.
  std::deque<Unconfirmed> unconfirmed_;

  // No command is due before; it may be earlier than the first that is.
  absl::Time next_deadline_ = absl::InfiniteFuture();
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_COMMAND_CORE_H_

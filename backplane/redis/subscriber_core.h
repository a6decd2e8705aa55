#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_SUBSCRIBER_CORE_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_SUBSCRIBER_CORE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/redis/handshake.h"
#include "backplane/redis/link_core.h"
#include "backplane/redis/link_options.h"
#include "backplane/redis/reply.h"
#include "backplane/redis/reply_reader.h"

namespace actioncluster::redis {

// Keeps a set of channels subscribed on one connection. See Subscriber.
//
// Each connection begins with one SUBSCRIBE of all wanted channels; ready once each is confirmed. Confirmations come in
// the order of the commands, and are matched to them: one that was meant for an earlier, withdrawn subscription
// confirms nothing. A connection without traffic is probed with PING after half of stall_timeout, and given up after the
// other half: as late as one for commands, so that after a partition neither waits for the other.
//
// Callbacks run inside Feed, Tick and Closed, and may call Subscribe and Unsubscribe. Confined to the I/O thread.
class SubscriberCore final : public LinkCore {
 public:
  using Confirmed = absl::AnyInvocable<void() &&>;
  using MessageHandler = absl::AnyInvocable<void(absl::string_view channel, absl::string_view payload)>;

  SubscriberCore(const LinkOptions& options, MessageHandler on_message);

  // At any time, connected or not.
  void Subscribe(absl::string_view channel, absl::Time now, Confirmed confirmed);
  // `gone` may be null.
  void Unsubscribe(absl::string_view channel, absl::Time now, Confirmed gone = nullptr);

  void Opened(absl::Time now) override;
  absl::Status Feed(absl::string_view bytes, absl::Time now) override;
  void TakeOutput(std::string* out) override;
  absl::Status Tick(absl::Time now, absl::Time* next) override;
  void Closed(const absl::Status& why) override;
  bool ready() const override { return open_ && opening_ == 0; }

 private:
  struct Channel {
    std::deque<Confirmed> waiting;
    uint64_t subscription = 0;  // Which SUBSCRIBE of this connection asked for it last.
    bool confirmed = false;
  };
  // What Redis has still to answer.
  struct Awaited {
    enum class Kind { kHandshake, kSubscribe, kUnsubscribe, kPing };
    Kind kind;
    absl::Time sent_at;
    std::string channel;
    uint64_t subscription = 0;
    Confirmed gone = nullptr;
  };

  void Await(Awaited awaited);
  absl::Status Handle(ReplyView reply);
  absl::Status HandlePush(absl::string_view type, ReplyView reply);
  // Takes the front of the line, if that is what the reply answers.
  absl::Status Answered(Awaited::Kind kind, absl::string_view channel);
  void Confirm(const Awaited& awaited);
  // Runs the callbacks of a confirmed channel, as long as it stays that.
  void RunWaiting(const std::string& name);

  const absl::Duration stall_timeout_;
  Handshake handshake_;
  ReplyReader reader_;
  MessageHandler on_message_;

  std::string out_;
  bool open_ = false;
  size_t opening_ = 0;  // How many of the awaited replies, from the front, belong to the connection's beginning.
  std::deque<Awaited> awaited_;
  absl::Time last_heard_;
  uint64_t last_subscription_ = 0;

  std::map<std::string, Channel, std::less<>> wanted_;
  // Subscribed once more while confirmed: their callbacks run at the next tick.
  std::vector<std::string> late_;
  // Given up when there was nothing to give up; likewise.
  std::vector<Confirmed> gone_;
  absl::Time late_since_ = absl::InfiniteFuture();
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_SUBSCRIBER_CORE_H_

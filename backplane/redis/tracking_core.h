#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_TRACKING_CORE_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_TRACKING_CORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/redis/handshake.h"
#include "backplane/redis/link_core.h"
#include "backplane/redis/link_options.h"
#include "backplane/redis/reply.h"
#include "backplane/redis/reply_reader.h"

namespace actioncluster::redis {

// Hears which of Redis's keys change. See Tracker.
class TrackingListener {
 public:
  virtual ~TrackingListener() = default;

  // These have been changed, or may have been. Valid during the call.
  virtual void Changed(const std::vector<absl::string_view>& names) = 0;
  // Any may have been changed: the connection was lost, Redis was emptied, or somebody else spoke on its channel.
  virtual void Doubt() = 0;
  // All changes that Redis made before `when` (monotonic) have been heard; but for those before the last loss of the connection.
  virtual void Proven(absl::Time when) = 0;
};

// Redis's client tracking, in broadcast mode, on a connection that redirects to itself: RESP2 has invalidations only as messages to a subscriber, and a redirect to another connection is
// silent when that is gone.
//
// Each connection begins with the handshake and CLIENT ID; then CLIENT TRACKING for all names with one of the prefixes, and SUBSCRIBE to the channel on which Redis tells. From then on
// it is asked (PING) again and again, one question at a time, and given up if it does not answer.
//
// What an answer proves: Redis tells what one turn of its event loop has changed at the end of that turn, so an answer may come before the changes of its own turn, but never before those of
// an earlier one. The question before was answered before this one was asked, so Redis had it in an earlier turn; and so all is heard that was changed before the question before this one.
//
// Does no I/O. The listener is called inside Feed and Closed. Confined to the I/O thread.
class TrackingCore final : public LinkCore {
 public:
  // `ask_every`: how often it is asked whether it still delivers. The listener outlives this.
  TrackingCore(const LinkOptions& options, const std::vector<std::string>& prefixes, absl::Duration ask_every,
               TrackingListener& listener);

  void Opened(absl::Time now) override;
  absl::Status Feed(absl::string_view bytes, absl::Time now) override;
  void TakeOutput(std::string* out) override;
  absl::Status Tick(absl::Time now, absl::Time* next) override;
  void Closed(const absl::Status& why) override;
  bool ready() const override { return phase_ == Phase::kTold; }

 private:
  // What comes next.
  enum class Phase { kClosed, kGreeting, kId, kTracking, kSubscription, kTold };

  absl::Status Handle(ReplyView reply, absl::Time now);
  absl::Status Track(ReplyView id, absl::Time now);
  absl::Status HandlePush(ReplyView reply);
  absl::Status HandleMessage(ReplyView keys);
  absl::Status Answered(absl::string_view number);
  void Ask(absl::Time now);

  const std::vector<std::string> prefixes_;
  const absl::Duration ask_every_;
  const absl::Duration stall_timeout_;
  Handshake handshake_;
  ReplyReader reader_;
  TrackingListener& listener_;

  std::string out_;
  Phase phase_ = Phase::kClosed;
  uint64_t questions_ = 0;    // The last one's number.
  absl::Time asked_at_;       // The last question, be it answered or not; the first is SUBSCRIBE.
  absl::Time asked_before_;   // The one before it.
  bool is_answered_ = false;  // The last question.
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_TRACKING_CORE_H_

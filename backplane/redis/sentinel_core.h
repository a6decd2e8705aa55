#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_SENTINEL_CORE_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_SENTINEL_CORE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/redis/endpoint.h"
#include "backplane/redis/handshake.h"
#include "backplane/redis/link_core.h"
#include "backplane/redis/link_options.h"
#include "backplane/redis/reply.h"
#include "backplane/redis/reply_reader.h"

namespace actioncluster::redis {

// Asks sentinels, one at a time, where the master is, and remembers whom to ask next.
//
// They are asked in turn, beginning with the one whose master was good last. One that cannot be reached, or does not
// know the master, has its turn passed on at once; when all were passed in one round, the driver takes a rest. One that
// names a Redis that is away or no master any more is stale: the next round begins behind it.
//
// The driver connects to asked(), drives this as any core until there is an answer, and says what came of it. Does no
// I/O and reads no clock. Confined to the I/O thread.
class SentinelCore final : public LinkCore {
 public:
  // The options' endpoint has sentinels.
  explicit SentinelCore(const LinkOptions& options);

  // The sentinel whose turn it is.
  const HostPort& asked() const { return sentinels_.addresses[turn_]; }
  // What it said on this connection.
  const std::optional<HostPort>& answer() const { return answer_; }

  // The sentinel is of no use, and why. False: so were all others in this round, which is over.
  bool Pass(absl::string_view why);
  // What the sentinels of the last round that is over were passed for; the same for the same causes.
  const std::string& complaint() const { return complaint_; }
  // What it named is no master, or not to be reached. The round is over.
  void Distrust();
  // The sentinel of this index knows better than the others; it is asked next.
  void Prefer(size_t index);

  void Opened(absl::Time now) override;
  absl::Status Feed(absl::string_view bytes, absl::Time now) override;
  void TakeOutput(std::string* out) override;
  absl::Status Tick(absl::Time now, absl::Time* next) override;
  void Closed(const absl::Status& why) override;
  bool ready() const override { return answer_.has_value(); }

 private:
  absl::Status Handle(ReplyView reply);
  void Advance();

  const Sentinels sentinels_;
  Handshake handshake_;
  ReplyReader reader_;
  std::string out_;
  std::optional<HostPort> answer_;

  size_t turn_ = 0;
  size_t passed_ = 0;              // In this round.
  std::vector<std::string> whys_;  // Of this round, by sentinel.
  std::string complaint_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_SENTINEL_CORE_H_

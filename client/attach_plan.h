#ifndef ACTIONCLUSTER_CLIENT_ATTACH_PLAN_H_
#define ACTIONCLUSTER_CLIENT_ATTACH_PLAN_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/random/bit_gen_ref.h"
#include "absl/time/time.h"

namespace actioncluster::client {

// Decides to which node a stream is to be attached next, and when. After a loss a round of other addresses is tried without delay, each once, the nearest hope
// first: three of those that a draining node has named, then three of the list of nodes (by chance, so that not all who lose a node fall upon one other), then
// the configured addresses, last the one that was lost. When all have failed it waits, longer each time, with jitter, and tries another round; a
// stream that stood for a while makes the delays small again.
//
// Does no I/O and reads no clock.
class AttachPlan {
 public:
  struct Options {
    // A delay is between the backoff and twice that; the backoff doubles from its initial value until a delay can be `max_delay`.
    absl::Duration initial_backoff = absl::Milliseconds(50);
    absl::Duration max_delay = absl::Seconds(2);
    // A stream that was attached for less counts as one that failed: a node that lets go at once must not be hammered.
    absl::Duration stable_after = absl::Seconds(1);
  };
  struct Attempt {
    std::string address;
    absl::Time at;  // Not before.
  };

  // At least one address.
  AttachPlan(std::vector<std::string> configured, absl::BitGenRef random);
  AttachPlan(std::vector<std::string> configured, absl::BitGenRef random, Options options);

  // The next attempt. To be followed by Attached, Failed or Leave.
  Attempt Next(absl::Time now);
  // The attempt at this address succeeded.
  void Attached(absl::Time now);
  // The attempt at this address failed, or the stream that was attached there was lost.
  void Failed(const std::string& address, absl::Time now);
  // The node at this address wants to be left, and names others.
  void Leave(const std::string& address, const std::vector<std::string>& alternatives, absl::Time now);
  // The addresses of the nodes as the cluster lists them; replaces what was known.
  void Learn(std::vector<std::string> nodes);

 private:
  // Whether the stream that ends now has stood for a while. Forgets that it is attached.
  bool EndStanding(absl::Time now);
  // What is to be tried in a new round.
  void Refill(std::vector<std::string> alternatives, const std::string& last);
  void Delay(absl::Time now);

  const std::vector<std::string> configured_;
  absl::BitGenRef random_;
  const Options options_;
  std::vector<std::string> listed_;
  std::deque<std::string> queue_;  // Still to be tried in this round.
  absl::Duration backoff_;
  absl::Time not_before_ = absl::InfinitePast();
  absl::Time attached_at_ = absl::InfiniteFuture();
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_ATTACH_PLAN_H_

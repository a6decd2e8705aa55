#ifndef ACTIONCLUSTER_BACKPLANE_BUS_CANARY_WATCH_H_
#define ACTIONCLUSTER_BACKPLANE_BUS_CANARY_WATCH_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace actioncluster {

// Judges from a node's canaries whether the bus carries. Two things can be wrong: no canary comes back (Redis is away, or silent); or Redis
// takes them and our subscription does not give them back: then the subscriber's connection is deaf, and a new one is needed.
//
// Does no I/O and reads no clock; times are monotonic. Confined to the I/O thread.
class CanaryWatch {
 public:
  explicit CanaryWatch(absl::Duration timeout) : timeout_(timeout) {}

  // The subscription is new, or was interrupted: it has to prove itself.
  void Restart();

  // The number of the next canary.
  uint64_t Next() { return ++sent_; }
  // Redis has taken this one.
  void Taken(uint64_t number, absl::Time now);
  // It came back.
  void Heard(uint64_t number, absl::Time now);

  // To be called at short intervals. After a pause longer than the timeout (the process was stopped) it judges nothing: what is there has
  // not been read yet. True: the subscriber is deaf. It then is given another timeout before it is called so again.
  bool Deaf(absl::Time now);

  // The last canary that came back is not too old.
  bool well() const { return well_; }

 private:
  const absl::Duration timeout_;
  uint64_t sent_ = 0;
  uint64_t last_heard_ = 0;
  bool well_ = false;
  absl::Time heard_at_ = absl::InfinitePast();
  std::optional<absl::Time> awaited_since_;  // Redis took a canary then, and none has come back since.
  std::optional<absl::Time> judged_at_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_BUS_CANARY_WATCH_H_

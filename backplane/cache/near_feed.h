#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_NEAR_FEED_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_NEAR_FEED_H_

#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/cache/near_cache.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"
#include "backplane/redis/link_options.h"
#include "backplane/redis/loop.h"
#include "backplane/redis/tracker.h"

namespace actioncluster {

// Keeps a near cache honest: a connection of its own on which Redis tells which values and locks change.
//
// An entry is read on the connection for commands, and its changes are heard on this one: both must lead to the same Redis. So when the connection for commands is lost, this one is made anew
// too.
//
// Confined to the I/O thread.
class NearFeed final : private redis::TrackingListener {
 public:
  // How often Redis is asked whether it still tells.
  static constexpr absl::Duration kAskEvery = absl::Seconds(1);
  // The near cache's `max_age`. A proof is one to two of the above old before the next one comes; the rest is for a Redis or a node that is busy. Callers are promised 5 s
  // (LoadResponse.near): what is left is for the answer's way to them.
  static constexpr absl::Duration kMaxAge = absl::Seconds(4);

  // The references outlive this.
  NearFeed(Loop& loop, redis::Client& commands, redis::LinkOptions link, const Keys& keys, NearCache& cache,
           absl::Duration ask_every = kAskEvery);

 private:
  void Changed(const std::vector<absl::string_view>& names) override;
  void Doubt() override { cache_.Doubt(); }
  void Proven(absl::Time when) override { cache_.Proven(when); }

  const Keys& keys_;
  NearCache& cache_;
  redis::Tracker tracker_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_NEAR_FEED_H_

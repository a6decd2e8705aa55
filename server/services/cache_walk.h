#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_WALK_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_WALK_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/cache/cache_scan.h"
#include "backplane/redis/loop.h"

namespace actioncluster {

// One walk over all keys of a kind, page by page. After about a millisecond of work, Redis's or its owner's, it rests for as long: whoever else uses Redis, this node or the
// machine finds room all the time, and more of it the busier these are.
//
// Confined to the I/O thread, where it is made and destroyed; callbacks run there, never inside the calls.
class CacheWalk {
 public:
  // The references outlive it.
  CacheWalk(Loop& loop, CacheScan& scan, CacheKind kind, std::string prefix);

  // The next keys: may be none though there are more. One call at a time, and none after done(). `given` is dropped unrun if this is destroyed before.
  void Next(CacheScan::Then<std::vector<std::string>> given);
  bool done() const { return cursor_.done; }

 private:
  void Step();
  void Worked(absl::Duration time);

  CacheScan& scan_;
  const CacheKind kind_;
  const std::string prefix_;
  CacheScan::Cursor cursor_;
  CacheScan::Then<std::vector<std::string>> given_;
  absl::Time since_;  // The work that is under way began.
  absl::Duration worked_;
  Timer rest_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_WALK_H_

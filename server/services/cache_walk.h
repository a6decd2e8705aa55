#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_WALK_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_WALK_H_

#include <memory>
#include <optional>
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
  // How long owners work on some keys at most: those that only pass them on, and those that read or change what is there. What takes longer waits for somebody.
  static constexpr absl::Duration kPassesOn = absl::Microseconds(500);
  static constexpr absl::Duration kVisits = absl::Milliseconds(3);

  // The references outlive it. `most`: one of these.
  CacheWalk(Loop& loop, CacheScan& scan, CacheKind kind, std::string prefix, absl::Duration most);

  // The next keys: may be none though there are more. One call at a time, and none after done(). `given` is dropped unrun if this is destroyed before.
  void Next(CacheScan::Then<std::vector<std::string>> given);
  bool done() const { return cursor_.done; }

 private:
  void Step();

  CacheScan& scan_;
  const CacheKind kind_;
  const std::string prefix_;
  const absl::Duration most_;
  CacheScan::Cursor cursor_;
  CacheScan::Then<std::vector<std::string>> given_;
  std::optional<absl::Time> since_;  // When keys were given last.
  absl::Duration worked_;            // Since the last rest.
  Timer rest_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_WALK_H_

#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_SHARED_CACHE_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_SHARED_CACHE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/cache/cache.h"
#include "backplane/cache/cache_lines.h"
#include "backplane/cache/cache_store.h"
#include "backplane/cache/near_cache.h"
#include "backplane/domain/clock.h"

namespace actioncluster {

// What callers of this node ask of the cache: the store's single steps, and those that wait in line until a moment.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls, and exactly once, but for calls that are cancelled.
class SharedCache {
 public:
  template <class T>
  using Then = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;
  // A call that waits, for Cancel. 0: it does not.
  using CallId = CacheLines::WaitId;

  // The references outlive this. `near`: null if the node keeps nothing in its own memory.
  SharedCache(CacheStore& store, CacheLines& lines, NearCache* near, const RedisClock& clock)
      : store_(store), lines_(lines), near_(near), clock_(clock) {}

  // Reads. If another has the lock it waits until `until` (monotonic), in line; KEY_LOCKED then. `allow_near`: what the node has in its memory will do, which is filled by this
  // (look there first: NearCache::Find, any thread).
  CallId Load(const LoadOptions& options, absl::Time until, bool allow_near, Then<CacheEntry> done);
  // Takes a lock, or waits for it until `until`; then it is not acquired, which is no error.
  CallId Lock(const LockOptions& options, absl::Time until, Then<LockOutcome> done);
  // Takes an item, or waits for one until `until`; then there is none, which is no error.
  CallId Pop(const std::string& key, const CacheRequestId& request_id, absl::Time until,
             Then<std::optional<CacheContent>> done);

  // The caller is gone: its place in the line is given up, and what it still gets is given back (a lock), or put back (an item). `done` is dropped unrun, unless the call's time was over
  // already: then its last look is under way, and is still heard.
  void Cancel(CallId call) { lines_.Cancel(call); }

  // The steps that do not wait.
  CacheStore& store() { return store_; }

 private:
  // A plain load, which may fill the node's own memory.
  void Look(const LoadOptions& options, bool allow_near, Then<CacheEntry> done);

  CacheStore& store_;
  CacheLines& lines_;
  NearCache* const near_;
  const RedisClock& clock_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_SHARED_CACHE_H_

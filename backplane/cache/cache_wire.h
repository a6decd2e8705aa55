#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_WIRE_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_WIRE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/cache/cache.h"
#include "backplane/cache/cache_store.h"
#include "backplane/redis/reply.h"

// What the scripts of the cache take and give, and what Redis keeps of it, as scripts/part_cache.lua states it. Pure; any thread. Errors are INTERNAL: Redis has what no script of ours wrote.
namespace actioncluster::cache_wire {

// A stored value. INTERNAL: it is none.
absl::StatusOr<CacheEntry> EntryOf(absl::string_view record);
// A stored lock.
absl::StatusOr<HeldLock> LockOf(absl::string_view record);
// An item of a list, as it is stored.
std::string ItemOf(const CacheContent& content);
absl::StatusOr<CacheContent> ContentOf(absl::string_view item);

// Those whose turns have come: what a script gives beside its answer.
absl::StatusOr<std::vector<CacheWaiter>> TurnsOf(redis::ReplyView reply);
// As scripts take them: `BOOT NUMBER`, or nothing.
std::string Name(const std::optional<CacheWaiter>& waiter);

// The statuses of a key that is locked, of a token that does not hold, and of a key that is not there.
absl::Status KeyLocked(const std::string& key, absl::string_view held_by);
absl::Status LeaseLost(const std::string& key);
absl::Status KeyNotFound(const std::string& key);

}  // namespace actioncluster::cache_wire

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_WIRE_H_

#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_NEAR_CACHE_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_NEAR_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "backplane/cache/cache.h"

namespace actioncluster {

// Values of keys that nobody has locked, in this node's own memory: bounded in bytes, the least recently used go first. It is kept honest from outside: Redis says which keys have changed, by a
// connection that proves again and again that it delivers. Without a recent proof nothing is found, and nothing is kept.
//
// What is found was the key's value at some moment after the proof before the last one. A value that expires is not found after that.
//
// A fill may be overtaken: what was read before a change may come after the word of it. So a fill is opened before the read, and closed by it only if no change came between.
//
// Does no I/O and reads no clock: times are monotonic. Any thread.
class NearCache {
 public:
  // Names a fill that was opened.
  using Fill = uint64_t;

  // `max_bytes`: of keys and contents, with what keeping them costs. `max_age`: how long after a proof its word is good.
  NearCache(size_t max_bytes, absl::Duration max_age) : max_bytes_(max_bytes), max_age_(max_age) {}

  std::optional<CacheEntry> Find(absl::string_view key, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  // Before the read that is to fill a key. Nothing: what is read now cannot be kept.
  std::optional<Fill> Open(const std::string& key, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  // After it. Kept only if the key has not changed since Open. `entry` unset: there is nothing to keep (an error, no such key, a lock). `expires`: when it does at the earliest.
  void Close(const std::string& key, Fill fill, std::optional<CacheEntry> entry, absl::Time expires)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Keys whose value or lock has changed.
  void Changed(const std::vector<std::string>& keys) ABSL_LOCKS_EXCLUDED(mutex_);
  // Everything may have changed: the connection was lost, or Redis was emptied. Nothing is kept until the next proof.
  void Doubt() ABSL_LOCKS_EXCLUDED(mutex_);
  // All changes before `when` (monotonic: when the question was sent that has just come back) have been heard.
  void Proven(absl::Time when) ABSL_LOCKS_EXCLUDED(mutex_);

  struct Stats {
    size_t entries;
    size_t bytes;
    uint64_t hits;
    uint64_t misses;
  };
  Stats stats() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Kept {
    std::string key;
    CacheEntry entry;
    absl::Time expires;
    size_t bytes;
  };

  // Constant after construction.
  const size_t max_bytes_;
  const absl::Duration max_age_;

  mutable absl::Mutex mutex_;
  std::list<Kept> kept_ ABSL_GUARDED_BY(mutex_);  // The most recently used first.
  absl::flat_hash_map<absl::string_view, std::list<Kept>::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::vector<Fill>> fills_ ABSL_GUARDED_BY(mutex_);  // Open, and not overtaken.
  Fill last_fill_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time proven_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t hits_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t misses_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_NEAR_CACHE_H_

#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_NEAR_CACHE_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_NEAR_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
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
// What is found at a moment was the key's value at some moment within `max_age` before it: at the last proof's, or when it was read, if that was later. A value that expires is not found
// after that.
//
// A fill may be overtaken: what was read before a change may come after the word of it. So a fill is opened before the read, and closed by it only if no change came between. A key
// has one open fill at a time: others that read it meanwhile need not fill.
//
// Does no I/O and reads no clock: times are monotonic. Any thread.
class NearCache {
 public:
  // Names a fill that was opened.
  using Fill = uint64_t;

  // `max_bytes`: of keys and contents, with what keeping them costs; what would take more than an eighth of it is not kept. `max_age`: for how long after the moment of a proof its word
  // is good.
  NearCache(size_t max_bytes, absl::Duration max_age) : max_bytes_(max_bytes), max_age_(max_age) {}

  std::optional<CacheEntry> Find(absl::string_view key, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  // Before the read that is to fill a key; each is closed. Nothing: what is read now cannot be kept, or another fills the key already.
  std::optional<Fill> Open(const std::string& key, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  // After it. Kept only if the key has not changed since Open. `entry` unset: there is nothing to keep (an error, no such key, a lock). `expires`: when it does at the earliest.
  void Close(const std::string& key, Fill fill, std::optional<CacheEntry> entry, absl::Time expires)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Keys whose value or lock has changed.
  void Changed(const std::vector<std::string>& keys) ABSL_LOCKS_EXCLUDED(mutex_);
  // Everything may have changed: the connection was lost, or Redis was emptied. Nothing is kept until the next proof. Takes no longer if much is kept.
  void Doubt() ABSL_LOCKS_EXCLUDED(mutex_);
  // All changes that Redis made before `when` (monotonic) have been heard, of keys that were read since the last doubt.
  void Proven(absl::Time when) ABSL_LOCKS_EXCLUDED(mutex_);

  struct Stats {
    size_t entries;  // That may be found.
    size_t bytes;    // That are taken. After a doubt they are given back bit by bit.
    size_t fills;    // That are open.
    uint64_t hits;
    uint64_t misses;
  };
  Stats stats() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Kept {
    std::string key;
    std::shared_ptr<const CacheEntry> entry;
    absl::Time expires;
    size_t bytes;
    uint64_t era;
  };
  using KeptList = std::list<Kept>;
  using FillMap = absl::flat_hash_map<std::string, Fill>;

  bool IsProven(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return now <= proven_at_ + max_age_; }
  void Remove(KeptList::iterator kept) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(absl::string_view key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndFill(FillMap::iterator fill) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes room: the least recently used go.
  void Shrink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  const size_t max_bytes_;
  const absl::Duration max_age_;

  mutable absl::Mutex mutex_;
  // The most recently used first. What was kept in an earlier era is not found any more, and is at the end.
  KeptList kept_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<absl::string_view, KeptList::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  FillMap fills_ ABSL_GUARDED_BY(mutex_);  // Open, and not overtaken.
  Fill last_fill_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time proven_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  uint64_t era_ ABSL_GUARDED_BY(mutex_) = 0;    // Each doubt begins one.
  size_t entries_ ABSL_GUARDED_BY(mutex_) = 0;  // Of this era.
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;    // Of what is kept.
  size_t filling_ ABSL_GUARDED_BY(mutex_) = 0;  // Bytes of open fills.
  uint64_t hits_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t misses_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_NEAR_CACHE_H_

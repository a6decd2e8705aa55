#include "backplane/cache/near_cache.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace actioncluster {
namespace {

// What one entry, and all open fills together, may take of the whole.
constexpr size_t kShare = 8;
// Each is a read that is under way.
constexpr size_t kMaxFills = 10'000;
constexpr size_t kFillBytes = 96;
// Nodes of the list and of the index, and what the allocator adds.
constexpr size_t kNodeBytes = 128;
// How much of an earlier era a proof takes away: about a millisecond's work.
constexpr size_t kSweep = 10'000;

}  // namespace

std::optional<CacheEntry> NearCache::Find(absl::string_view key, absl::Time now) {
  std::shared_ptr<const CacheEntry> found;
  {
    const absl::MutexLock lock(&mutex_);
    const auto it = by_key_.find(key);
    if (it != by_key_.end() && IsProven(now)) {
      const KeptList::iterator kept = it->second;
      if (kept->era == era_ && now < kept->expires) {
        kept_.splice(kept_.begin(), kept_, kept);
        found = kept->entry;
      } else {
        Remove(kept);
      }
    }
    ++(found != nullptr ? hits_ : misses_);
  }
  if (found == nullptr) return std::nullopt;
  return *found;  // Large ones take time: not with the lock.
}

std::optional<NearCache::Fill> NearCache::Open(const std::string& key, absl::Time now) {
  const size_t bytes = key.size() + kFillBytes;
  const absl::MutexLock lock(&mutex_);
  if (!IsProven(now) || fills_.size() >= kMaxFills || filling_ + bytes > max_bytes_ / kShare) return std::nullopt;
  const auto [it, is_new] = fills_.try_emplace(key, last_fill_ + 1);
  if (!is_new) return std::nullopt;
  filling_ += bytes;
  Shrink();
  return ++last_fill_;
}

void NearCache::Close(const std::string& key, Fill fill, std::optional<CacheEntry> entry, absl::Time expires) {
  std::shared_ptr<const CacheEntry> keep;
  size_t bytes = 0;
  if (entry.has_value()) {
    bytes = key.size() + entry->content.body.size() + sizeof(Kept) + sizeof(CacheEntry) + kNodeBytes;
    if (bytes <= max_bytes_ / kShare) keep = std::make_shared<const CacheEntry>(*std::move(entry));
  }
  const absl::MutexLock lock(&mutex_);
  const auto it = fills_.find(key);
  if (it == fills_.end() || it->second != fill) return;
  EndFill(it);
  Remove(key);
  if (keep == nullptr) return;
  kept_.push_front({key, std::move(keep), expires, bytes, era_});
  by_key_.emplace(kept_.front().key, kept_.begin());
  bytes_ += bytes;
  ++entries_;
  Shrink();
}

void NearCache::Changed(const std::vector<std::string>& keys) {
  const absl::MutexLock lock(&mutex_);
  for (const std::string& key : keys) {
    if (const auto fill = fills_.find(key); fill != fills_.end()) EndFill(fill);
    Remove(key);
  }
}

void NearCache::Doubt() {
  const absl::MutexLock lock(&mutex_);
  proven_at_ = absl::InfinitePast();
  fills_.clear();
  filling_ = 0;
  ++era_;
  entries_ = 0;
}

void NearCache::Proven(absl::Time when) {
  const absl::MutexLock lock(&mutex_);
  proven_at_ = std::max(proven_at_, when);
  for (size_t i = 0; i < kSweep && !kept_.empty() && kept_.back().era != era_; ++i) Remove(std::prev(kept_.end()));
}

NearCache::Stats NearCache::stats() const {
  const absl::MutexLock lock(&mutex_);
  return {.entries = entries_, .bytes = bytes_ + filling_, .fills = fills_.size(), .hits = hits_, .misses = misses_};
}

void NearCache::Remove(KeptList::iterator kept) {
  bytes_ -= kept->bytes;
  if (kept->era == era_) --entries_;
  by_key_.erase(kept->key);
  kept_.erase(kept);
}

void NearCache::Remove(absl::string_view key) {
  if (const auto it = by_key_.find(key); it != by_key_.end()) Remove(it->second);
}

void NearCache::EndFill(FillMap::iterator fill) {
  filling_ -= fill->first.size() + kFillBytes;
  fills_.erase(fill);
}

void NearCache::Shrink() {
  while (bytes_ + filling_ > max_bytes_ && !kept_.empty()) Remove(std::prev(kept_.end()));
}

}  // namespace actioncluster

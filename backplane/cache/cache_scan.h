#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_SCAN_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_SCAN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "backplane/cache/cache.h"
#include "backplane/cache/cache_store.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"

namespace actioncluster {

// What is walked over.
using CacheKind = Keys::CacheKind;

// Walks over the keys that there are, bit by bit: each step is one SCAN that Redis is done with in a moment (about 200 µs), whatever there is. Who was there all the time is seen, in rare
// cases twice; who came or went meanwhile may be. What is read is bounded, in number and in bytes.
//
// Errors: BACKPLANE_UNAVAILABLE; INTERNAL: Redis has what no script of ours wrote. Confined to the I/O thread; callbacks run on it, never inside the calls.
class CacheScan {
 public:
  template <class T>
  using Then = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

  // The references outlive this.
  CacheScan(redis::Client& commands, const Keys& keys) : commands_(commands), keys_(keys) {}

  // Hears of each key whose value is removed, as the store's does. Once, before anything else.
  void OnChange(CacheStore::ChangeListener listener) { changed_ = std::move(listener); }

  // Where a walk is. It begins with the default.
  struct Cursor {
    std::string position = "0";
    bool done = false;
  };
  struct Page {
    std::vector<std::string> keys;  // May be empty though there is more.
    Cursor next;
  };
  // One step.
  void Next(Keys::CacheKind kind, const std::string& prefix, const Cursor& cursor, Then<Page> done);

  // Removes the values (or lists) of these keys; Redis frees them in the background. How many there were.
  void Remove(Keys::CacheKind kind, const std::vector<std::string>& keys, Then<int64_t> done);

  // The locks on these keys; nothing where there is none any more.
  void ReadLocks(const std::vector<std::string>& keys, Then<std::vector<std::optional<HeldLock>>> done);

  // A value, whoever has locked it; nothing where there is none any more.
  void ReadValue(const std::string& key, Then<std::optional<CacheEntry>> done);
  // Many of them, as long as they are small.
  struct Peek {
    std::optional<CacheEntry> entry;
    bool is_large = false;  // It has kSmallBytes or more, and was not read.
  };
  static constexpr int64_t kSmallBytes = int64_t{32} * 1024;
  void ReadSmallValues(const std::vector<std::string>& keys, Then<std::vector<Peek>> done);

  // Items of a list from `offset` on: at most `count`, and no more once they have kItemBytes.
  struct Items {
    int64_t length = 0;  // How many the list has.
    std::vector<CacheContent> items;
  };
  static constexpr int64_t kItemBytes = int64_t{1} << 20;
  void ReadItems(const std::string& key, int64_t offset, int64_t count, Then<Items> done);

 private:
  void Changed(Keys::CacheKind kind, const std::vector<std::string>& keys);

  redis::Client& commands_;
  const Keys& keys_;
  CacheStore::ChangeListener changed_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_SCAN_H_

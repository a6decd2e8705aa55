#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_OPERATIONS_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_OPERATIONS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/v1/cache.pb.h"
#include "backplane/cache/cache.h"
#include "backplane/cache/near_cache.h"
#include "backplane/cache/shared_cache.h"
#include "backplane/domain/clock.h"
#include "server/grpc/time_proto.h"
#include "server/services/cache_proto.h"

// The operations on one key, one type for each: what its request says, how it is done, and how its answer is made of the outcome. The rpcs, and Pipeline, are made of these.
//
// Of         from the request, checked; any thread.
// wait       for how long its caller is ready to wait.
// Start      on the I/O thread, once; `until`: the end of the wait, monotonic. `done` is never run inside it.
// Set        the outcome as the answer; any thread.
// SizeOf     what a large outcome has: by that it is decided where the answer is made.
namespace actioncluster::cache_operations {

using CallId = SharedCache::CallId;
template <class T>
using Then = SharedCache::Then<T>;

// Where operations are done.
struct Place {
  SharedCache& cache;
  NearCache* near;  // Null: there is none.
};

// How many operations of one caller are under way at once: few, until it is seen that what they bring is small; then more and more, so many that they keep Redis busy.
// So what large values cost is seen before there are many of them.
class Window {
 public:
  size_t size() const { return size_; }
  // After each outcome: it doubles while a window's worth of them comes.
  void OnOutcome(size_t bytes) { size_ = bytes < kLarge ? std::min(size_ + 1, kMost) : kFirst; }

 private:
  static constexpr size_t kFirst = 8;
  static constexpr size_t kMost = 128;
  static constexpr size_t kLarge = size_t{64} * 1024;
  size_t size_ = kFirst;
};

// Those that never wait, and whose outcomes are small.
struct Immediate {
  absl::Duration wait = absl::ZeroDuration();
  static size_t SizeOf(const auto& /*outcome*/) { return 0; }
};

struct Save : Immediate {
  using Request = v1::SaveRequest;
  using Response = v1::SaveResponse;
  using Outcome = SaveOutcome;
  SaveOptions options;

  static absl::StatusOr<Save> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time /*until*/, Then<Outcome> done) const {
    place.cache.store().Save(options, std::move(done));
    return 0;
  }
  static void Set(const Outcome& saved, Response* response) {
    response->set_replaced(saved.replaced);
    response->set_version(saved.version);
  }
};

struct CompareAndSave : Immediate {
  using Request = v1::CompareAndSaveRequest;
  using Response = v1::CompareAndSaveResponse;
  using Outcome = SaveOutcome;
  SaveOptions options;

  static absl::StatusOr<CompareAndSave> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time /*until*/, Then<Outcome> done) const {
    place.cache.store().Save(options, std::move(done));
    return 0;
  }
  static void Set(const Outcome& saved, Response* response) { response->set_version(saved.version); }
};

struct Load {
  using Request = v1::LoadRequest;
  using Response = v1::LoadResponse;
  struct Outcome {
    CacheEntry entry;
    bool near = false;
  };
  LoadOptions options;
  bool allow_near = false;
  absl::Duration wait = absl::ZeroDuration();

  static absl::StatusOr<Load> Of(const Request& request, const CacheLimits& limits);
  // What the node's own memory has, if that will do. Any thread.
  std::optional<Outcome> FindNear(NearCache* near) const;
  CallId Start(const Place& place, absl::Time until, Then<Outcome> done) const;
  static void Set(Outcome loaded, Response* response) {
    SetCacheEntry(std::move(loaded.entry), response);
    if (loaded.near) response->set_near(true);
  }
  static size_t SizeOf(const Outcome& loaded) { return actioncluster::SizeOf(loaded.entry); }
};

struct Destroy : Immediate {
  using Request = v1::DestroyRequest;
  using Response = v1::DestroyResponse;
  using Outcome = bool;
  std::string key;
  CacheClaim claim;

  static absl::StatusOr<Destroy> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time /*until*/, Then<Outcome> done) const {
    place.cache.store().Destroy(key, claim, std::move(done));
    return 0;
  }
  static void Set(Outcome destroyed, Response* response) { response->set_destroyed(destroyed); }
};

struct Increment : Immediate {
  using Request = v1::IncrementRequest;
  using Response = v1::IncrementResponse;
  using Outcome = IncrementOutcome;
  IncrementOptions options;

  static absl::StatusOr<Increment> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time /*until*/, Then<Outcome> done) const {
    place.cache.store().Increment(options, std::move(done));
    return 0;
  }
  static void Set(const Outcome& sum, Response* response) {
    response->set_value(sum.value);
    response->set_version(sum.version);
  }
};

struct Lock {
  using Request = v1::LockRequest;
  using Response = v1::LockResponse;
  using Outcome = LockOutcome;
  LockOptions options;
  absl::Duration wait = absl::ZeroDuration();

  static absl::StatusOr<Lock> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time until, Then<Outcome> done) const {
    return place.cache.Lock(options, until, std::move(done));
  }
  static void Set(Outcome lock, Response* response) {
    response->set_acquired(lock.acquired);
    if (lock.acquired) {
      response->set_token(lock.token);
      *response->mutable_expires_at() = TimeToProto(lock.expires_at);
    } else {
      response->set_held_by(std::move(lock.held_by));
    }
  }
  static size_t SizeOf(const Outcome& lock) { return lock.held_by.size(); }
};

struct Unlock : Immediate {
  using Request = v1::UnlockRequest;
  using Response = v1::UnlockResponse;
  using Outcome = bool;
  std::string key;
  CacheClaim claim;

  static absl::StatusOr<Unlock> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time /*until*/, Then<Outcome> done) const {
    place.cache.store().Unlock(key, claim, std::move(done));
    return 0;
  }
  static void Set(Outcome released, Response* response) { response->set_released(released); }
};

struct CheckLock : Immediate {
  using Request = v1::CheckLockRequest;
  using Response = v1::CheckLockResponse;
  struct Outcome {
    std::optional<HeldLock> lock;
    bool obtainable;
  };
  std::string key;
  std::string holder;

  static absl::StatusOr<CheckLock> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time until, Then<Outcome> done) const;
  static void Set(Outcome found, Response* response);
  static size_t SizeOf(const Outcome& found) { return found.lock.has_value() ? found.lock->holder.size() : 0; }
};

struct Push : Immediate {
  using Request = v1::PushRequest;
  using Response = v1::PushResponse;
  using Outcome = int64_t;
  PushOptions options;

  static absl::StatusOr<Push> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time /*until*/, Then<Outcome> done) const {
    place.cache.store().Push(options, std::move(done));
    return 0;
  }
  static void Set(Outcome length, Response* response) { response->set_length(length); }
};

struct Pop {
  using Request = v1::PopRequest;
  using Response = v1::PopResponse;
  using Outcome = std::optional<CacheContent>;
  std::string key;
  CacheRequestId request_id;
  absl::Duration wait = absl::ZeroDuration();

  static absl::StatusOr<Pop> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time until, Then<Outcome> done) const {
    return place.cache.Pop(key, request_id, until, std::move(done));
  }
  static void Set(Outcome item, Response* response) {
    if (item.has_value()) SetCacheContent(*std::move(item), response);
  }
  static size_t SizeOf(const Outcome& item) { return item.has_value() ? item->body.size() : 0; }
};

struct ListLength : Immediate {
  using Request = v1::ListLengthRequest;
  using Response = v1::ListLengthResponse;
  using Outcome = int64_t;
  std::string key;

  static absl::StatusOr<ListLength> Of(const Request& request, const CacheLimits& limits);
  CallId Start(const Place& place, absl::Time /*until*/, Then<Outcome> done) const {
    place.cache.store().ListLength(key, std::move(done));
    return 0;
  }
  static void Set(Outcome length, Response* response) { response->set_length(length); }
};

}  // namespace actioncluster::cache_operations

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_OPERATIONS_H_

#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

// The words of the cache: what it keeps, and what its callers say and hear. Times are by Redis's clock.
namespace actioncluster {

// A value, or an item of a list.
struct CacheContent {
  // As Redis keeps them: the numbers stay.
  enum class Kind : uint8_t {
    kJson = 1,     // A serialized google.protobuf.Value.
    kBytes = 2,    // The caller's bytes.
    kInteger = 3,  // The digits of a 64-bit integer, perhaps after a minus; what Increment has made.
  };
  Kind kind = Kind::kBytes;
  std::string body;

  friend bool operator==(const CacheContent&, const CacheContent&) = default;
};

struct CacheEntry {
  CacheContent content;
  absl::Time created_at;
  std::optional<absl::Time> expires_at;
  int64_t version = 0;
  std::optional<absl::Time> read_at;

  friend bool operator==(const CacheEntry&, const CacheEntry&) = default;
};

// Who a caller says it is, to touch a key that may be locked.
struct CacheClaim {
  std::string holder;
  int64_t token = 0;  // Not 0: it counts alone.
};

// Names a call for repeating it. Empty: it is not.
using CacheRequestId = std::string;

struct SaveOptions {
  std::string key;
  CacheContent content;
  CacheClaim claim;
  std::optional<absl::Duration> expire_after;
  std::optional<int64_t> expected_version;  // CompareAndSave. 0: there must be none.
  CacheRequestId request_id;
};
struct SaveOutcome {
  bool replaced;
  int64_t version;
};

struct LoadOptions {
  std::string key;
  std::string holder;
  std::optional<absl::Duration> expire_after;
  bool track_reads = false;

  // It takes no more than a look.
  bool is_plain() const { return !expire_after.has_value() && !track_reads; }
};

struct IncrementOptions {
  std::string key;
  int64_t by = 1;
  CacheClaim claim;
  std::optional<absl::Duration> expire_after;  // If it was not there.
  CacheRequestId request_id;
};
struct IncrementOutcome {
  int64_t value;
  int64_t version;
};

struct LockOptions {
  std::string key;
  std::string holder;
  absl::Duration expire_after;
};
struct LockOutcome {
  bool acquired = false;
  int64_t token = 0;      // If acquired.
  absl::Time expires_at;  // If acquired.
  std::string held_by;    // If not; empty: another's turn has come.
};

// A lock that a caller has got.
struct LockGrant {
  int64_t token;
  absl::Time expires_at;
  bool renewed;  // The holder had it before.
};

// A lock as anyone sees it.
struct HeldLock {
  std::string holder;
  int64_t token;
  absl::Time expires_at;
};

struct PushOptions {
  std::string key;
  CacheContent item;
  CacheRequestId request_id;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_H_

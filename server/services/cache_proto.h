#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_PROTO_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_PROTO_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/v1/cache.pb.h"
#include "backplane/cache/cache.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/struct.pb.h"

// Between the public messages of the cache and the values of backplane/cache. What comes in is checked against what cache.proto states: INVALID_ARGUMENT, or LIMIT_EXCEEDED, with the
// limit in the metadata, for what is longer or larger than the settings allow. Pure; any thread.
namespace actioncluster {

// What the settings of the same names say.
struct CacheLimits {
  size_t key_bytes = 1024;
  size_t value_bytes = size_t{4} * 1024 * 1024;
  size_t batch = 1000;
  size_t list_length = 10'000'000;
  size_t restore_bytes = size_t{16} * 1024 * 1024 * 1024;
};

// OK, or why this is no key.
absl::Status ValidateCacheKey(absl::string_view key, const CacheLimits& limits);
// Of a request that has so many parts, called `field`: one to as many as a batch may have.
absl::Status ValidateCacheBatch(size_t parts, absl::string_view field, const CacheLimits& limits);

// JSON of a Value, or bytes; `field` names it.
absl::StatusOr<CacheContent> CacheJsonOf(const google::protobuf::Value& value, const CacheLimits& limits,
                                         absl::string_view field = "value");
absl::StatusOr<CacheContent> CacheBytesOf(const std::string& data, const CacheLimits& limits,
                                          absl::string_view field = "data");
// The content of a message with `oneof content{Value value; bytes data}`, which is required.
template <class Message>
absl::StatusOr<CacheContent> CacheContentOf(const Message& message, const CacheLimits& limits) {
  if (message.has_value()) return CacheJsonOf(message.value(), limits);
  if (message.has_data()) return CacheBytesOf(message.data(), limits);
  return absl::InvalidArgumentError("there is no content: it takes value or data");
}

absl::StatusOr<SaveOptions> SaveOptionsOf(const v1::SaveRequest& request, const CacheLimits& limits);
absl::StatusOr<SaveOptions> SaveOptionsOf(const v1::CompareAndSaveRequest& request, const CacheLimits& limits);
absl::StatusOr<LoadOptions> LoadOptionsOf(const v1::LoadRequest& request, const CacheLimits& limits);
absl::StatusOr<IncrementOptions> IncrementOptionsOf(const v1::IncrementRequest& request, const CacheLimits& limits);
absl::StatusOr<LockOptions> LockOptionsOf(const v1::LockRequest& request, const CacheLimits& limits);
absl::StatusOr<PushOptions> PushOptionsOf(const v1::PushRequest& request, const CacheLimits& limits);
// Holder and token of a request that touches a key.
template <class Request>
absl::StatusOr<CacheClaim> CacheClaimOf(const Request& request);

absl::Status ValidateCacheHolder(absl::string_view holder);
absl::Status ValidateCacheRequestId(absl::string_view request_id);
// For how long a caller is ready to wait: 0 to one hour.
absl::StatusOr<absl::Duration> CacheWaitOf(const google::protobuf::Duration& wait, absl::string_view field);

// Into a message with `oneof content{Value value; bytes data}`. An integer is a number as long as that is exact, else a string of its digits. What Redis should not have leaves it
// unset.
void SetCacheJson(CacheContent content, google::protobuf::Value* value);
template <class Message>
void SetCacheContent(CacheContent content, Message* message) {
  if (content.kind == CacheContent::Kind::kBytes) {
    message->set_data(std::move(content.body));
  } else {
    SetCacheJson(std::move(content), message->mutable_value());
  }
}
void SetCacheEntry(CacheEntry entry, v1::LoadResponse* response);

// At least as large as the LoadResponse of it.
size_t SizeOf(const CacheEntry& entry);

template <class Request>
absl::StatusOr<CacheClaim> CacheClaimOf(const Request& request) {
  if (absl::Status valid = ValidateCacheHolder(request.holder()); !valid.ok()) return valid;
  return CacheClaim{.holder = request.holder(), .token = request.token()};
}

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_PROTO_H_

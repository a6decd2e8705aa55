#include "server/services/cache_proto.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "server/grpc/content.h"
#include "server/grpc/time_proto.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kYear = absl::Hours(366 * 24);  // Any calendar year is within it.
constexpr absl::Duration kMillisecond = absl::Milliseconds(1);
constexpr absl::Duration kLockByDefault = absl::Seconds(10);
constexpr size_t kMaxHolderBytes = 256;
constexpr size_t kMaxRequestIdBytes = 64;
// Doubles hold every integer up to this.
constexpr int64_t kMaxExact = int64_t{1} << 53;

absl::Status Exceeds(absl::string_view what, size_t has, size_t most, absl::string_view limit) {
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                   absl::StrCat(what, " has ", has, " bytes; at most ", most, " are taken"),
                   {{"limit", std::string(limit)}});
}

absl::StatusOr<CacheContent> WithinValueLimit(CacheContent content, const CacheLimits& limits,
                                              absl::string_view field) {
  if (content.body.size() <= limits.value_bytes) return content;
  return Exceeds(field, content.body.size(), limits.value_bytes, "cache_value_bytes");
}

// Of values: unset is never.
template <class Request>
absl::Status ReadExpiry(const Request& request, std::optional<absl::Duration>& to) {
  if (!request.has_expire_after()) return absl::OkStatus();
  const absl::StatusOr<absl::Duration> after =
      DurationOf(request.expire_after(), kMillisecond, 10 * kYear, "expire_after");
  if (after.ok()) to = *after;
  return after.status();
}

template <class Request>
absl::StatusOr<SaveOptions> SaveOptionsOfAny(const Request& request, const CacheLimits& limits) {
  SaveOptions options;
  options.key = request.key();
  absl::Status status = ValidateCacheKey(request.key(), limits);
  absl::StatusOr<CacheClaim> claim = CacheClaimOf(request);
  status.Update(claim.status());
  status.Update(ReadExpiry(request, options.expire_after));
  if (!status.ok()) return status;
  absl::StatusOr<CacheContent> content = CacheContentOf(request, limits);
  if (!content.ok()) return content.status();
  options.content = *std::move(content);
  options.claim = *std::move(claim);
  return options;
}

}  // namespace

absl::Status ValidateCacheKey(absl::string_view key, const CacheLimits& limits) {
  if (key.empty()) return absl::InvalidArgumentError("key must not be empty");
  if (key.size() > limits.key_bytes) return Exceeds("key", key.size(), limits.key_bytes, "cache_key_bytes");
  return absl::OkStatus();
}

absl::Status ValidateCacheBatch(size_t parts, absl::string_view field, const CacheLimits& limits) {
  if (parts == 0) return absl::InvalidArgumentError(absl::StrCat(field, " must not be empty"));
  if (parts <= limits.batch) return absl::OkStatus();
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                   absl::StrCat("there are ", parts, " ", field, "; at most ", limits.batch, " are taken at once"),
                   {{"limit", "cache_batch"}});
}

absl::Status ValidateCacheHolder(absl::string_view holder) {
  if (holder.size() <= kMaxHolderBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("holder must have at most ", kMaxHolderBytes, " bytes"));
}

absl::Status ValidateCacheRequestId(absl::string_view request_id) {
  if (request_id.size() <= kMaxRequestIdBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("request_id must have at most ", kMaxRequestIdBytes, " bytes"));
}

absl::StatusOr<absl::Duration> CacheWaitOf(const google::protobuf::Duration& wait, absl::string_view field) {
  return DurationOf(wait, absl::ZeroDuration(), absl::Hours(1), field);
}

absl::StatusOr<CacheContent> CacheJsonOf(const google::protobuf::Value& value, const CacheLimits& limits,
                                         absl::string_view field) {
  if (absl::Status valid = ValidateJson(value, field); !valid.ok()) return valid;
  return WithinValueLimit({.kind = CacheContent::Kind::kJson, .body = value.SerializeAsString()}, limits, field);
}

absl::StatusOr<CacheContent> CacheBytesOf(const std::string& data, const CacheLimits& limits, absl::string_view field) {
  return WithinValueLimit({.kind = CacheContent::Kind::kBytes, .body = data}, limits, field);
}

absl::StatusOr<SaveOptions> SaveOptionsOf(const v1::SaveRequest& request, const CacheLimits& limits) {
  return SaveOptionsOfAny(request, limits);
}

absl::StatusOr<SaveOptions> SaveOptionsOf(const v1::CompareAndSaveRequest& request, const CacheLimits& limits) {
  if (absl::Status valid = ValidateCacheRequestId(request.request_id()); !valid.ok()) return valid;
  absl::StatusOr<SaveOptions> options = SaveOptionsOfAny(request, limits);
  if (!options.ok()) return options;
  options->expected_version = request.version();
  options->request_id = request.request_id();
  return options;
}

absl::StatusOr<LoadOptions> LoadOptionsOf(const v1::LoadRequest& request, const CacheLimits& limits) {
  LoadOptions options;
  options.key = request.key();
  options.holder = request.holder();
  options.track_reads = request.track_reads();
  absl::Status status = ValidateCacheKey(request.key(), limits);
  status.Update(ValidateCacheHolder(request.holder()));
  status.Update(ReadExpiry(request, options.expire_after));
  if (!status.ok()) return status;
  return options;
}

absl::StatusOr<IncrementOptions> IncrementOptionsOf(const v1::IncrementRequest& request, const CacheLimits& limits) {
  IncrementOptions options;
  options.key = request.key();
  options.request_id = request.request_id();
  if (request.has_by()) options.by = request.by();
  absl::Status status = ValidateCacheKey(request.key(), limits);
  status.Update(ValidateCacheRequestId(request.request_id()));
  absl::StatusOr<CacheClaim> claim = CacheClaimOf(request);
  status.Update(claim.status());
  status.Update(ReadExpiry(request, options.expire_after));
  if (!status.ok()) return status;
  options.claim = *std::move(claim);
  return options;
}

absl::StatusOr<LockOptions> LockOptionsOf(const v1::LockRequest& request, const CacheLimits& limits) {
  LockOptions options{.key = request.key(), .holder = request.holder(), .expire_after = kLockByDefault};
  absl::Status status = ValidateCacheKey(request.key(), limits);
  if (request.holder().empty()) status.Update(absl::InvalidArgumentError("holder must not be empty"));
  status.Update(ValidateCacheHolder(request.holder()));
  if (request.has_expire_after()) {
    const absl::StatusOr<absl::Duration> after =
        DurationOf(request.expire_after(), kMillisecond, 7 * kDay, "expire_after");
    status.Update(after.status());
    if (after.ok()) options.expire_after = *after;
  }
  if (!status.ok()) return status;
  return options;
}

absl::StatusOr<PushOptions> PushOptionsOf(const v1::PushRequest& request, const CacheLimits& limits) {
  absl::Status status = ValidateCacheKey(request.key(), limits);
  status.Update(ValidateCacheRequestId(request.request_id()));
  if (!status.ok()) return status;
  absl::StatusOr<CacheContent> item = CacheContentOf(request, limits);
  if (!item.ok()) return item.status();
  return PushOptions{.key = request.key(), .item = *std::move(item), .request_id = request.request_id()};
}

void SetCacheJson(CacheContent content, google::protobuf::Value* value) {
  if (content.kind == CacheContent::Kind::kJson) {
    value->ParseFromString(content.body);
    return;
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(content.body, &number)) return;
  if (number >= -kMaxExact && number <= kMaxExact) {
    value->set_number_value(static_cast<double>(number));
  } else {
    value->set_string_value(std::move(content.body));
  }
}

void SetCacheEntry(CacheEntry entry, v1::LoadResponse* response) {
  SetCacheContent(std::move(entry.content), response);
  *response->mutable_created_at() = TimeToProto(entry.created_at);
  if (entry.expires_at.has_value()) *response->mutable_expires_at() = TimeToProto(*entry.expires_at);
  response->set_version(entry.version);
  if (entry.read_at.has_value()) *response->mutable_read_at() = TimeToProto(*entry.read_at);
}

size_t SizeOf(const CacheEntry& entry) {
  constexpr size_t kBesides = 80;  // Three times, a version, and the tags and lengths of all.
  return entry.content.body.size() + kBesides;
}

}  // namespace actioncluster

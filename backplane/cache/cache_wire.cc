#include "backplane/cache/cache_wire.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "backplane/redis/fields.h"

namespace actioncluster::cache_wire {
namespace {

constexpr size_t kNumberBytes = 8;
constexpr size_t kEntryHeader = 4 * kNumberBytes + 1;
constexpr size_t kLockHeader = 2 * kNumberBytes;

// The number at a place of a record that is long enough.
int64_t NumberAt(absl::string_view record, size_t index) {
  uint64_t number = 0;
  for (const char byte : record.substr(index * kNumberBytes, kNumberBytes)) {
    number = number << 8 | static_cast<unsigned char>(byte);
  }
  return static_cast<int64_t>(number);
}

std::optional<absl::Time> TimeOf(int64_t micros) {
  if (micros == 0) return std::nullopt;
  return absl::FromUnixMicros(micros);
}

absl::StatusOr<CacheContent::Kind> KindOf(char byte) {
  const auto kind = static_cast<CacheContent::Kind>(byte);
  switch (kind) {
    case CacheContent::Kind::kJson:
    case CacheContent::Kind::kBytes:
    case CacheContent::Kind::kInteger:
      return kind;
  }
  return absl::InternalError("Redis has content of a kind that is none");
}

}  // namespace

absl::StatusOr<CacheEntry> EntryOf(absl::string_view record) {
  if (record.size() < kEntryHeader) return absl::InternalError("Redis has a value that is none of ours");
  const absl::StatusOr<CacheContent::Kind> kind = KindOf(record[kEntryHeader - 1]);
  if (!kind.ok()) return kind.status();
  return CacheEntry{.content = {.kind = *kind, .body = std::string(record.substr(kEntryHeader))},
                    .created_at = absl::FromUnixMicros(NumberAt(record, 0)),
                    .expires_at = TimeOf(NumberAt(record, 1)),
                    .version = NumberAt(record, 3),
                    .read_at = TimeOf(NumberAt(record, 2))};
}

absl::StatusOr<HeldLock> LockOf(absl::string_view record) {
  if (record.size() < kLockHeader) return absl::InternalError("Redis has a lock that is none of ours");
  return HeldLock{.holder = std::string(record.substr(kLockHeader)),
                  .token = NumberAt(record, 0),
                  .expires_at = absl::FromUnixMicros(NumberAt(record, 1))};
}

std::string ItemOf(const CacheContent& content) {
  return absl::StrCat(absl::string_view(reinterpret_cast<const char*>(&content.kind), 1), content.body);
}

absl::StatusOr<CacheContent> ContentOf(absl::string_view item) {
  if (item.empty()) return absl::InternalError("Redis has an item that is none of ours");
  const absl::StatusOr<CacheContent::Kind> kind = KindOf(item[0]);
  if (!kind.ok()) return kind.status();
  return CacheContent{.kind = *kind, .body = std::string(item.substr(1))};
}

absl::StatusOr<std::vector<CacheWaiter>> TurnsOf(redis::ReplyView reply) {
  std::vector<CacheWaiter> waiters;
  waiters.reserve(reply.size() / 2);
  redis::Fields fields(reply);
  while (!fields.done()) {
    std::string boot = fields.Text();
    waiters.push_back({.boot = std::move(boot), .number = static_cast<uint64_t>(fields.Number())});
  }
  if (!fields.status().ok()) return fields.status();
  return waiters;
}

std::string Name(const std::optional<CacheWaiter>& waiter) {
  return waiter.has_value() ? absl::StrCat(waiter->boot, " ", waiter->number) : "";
}

absl::Status KeyLocked(const std::string& key, absl::string_view held_by) {
  return MakeError(v1::ERROR_REASON_KEY_LOCKED, "another holder has the lock on this key",
                   {{"key", key}, {"held_by", std::string(held_by)}});
}

absl::Status LeaseLost(const std::string& key) {
  return MakeError(v1::ERROR_REASON_LEASE_LOST, "the token is not that of the key's lock now", {{"key", key}});
}

absl::Status KeyNotFound(const std::string& key) {
  return MakeError(v1::ERROR_REASON_CACHE_KEY_NOT_FOUND, "the key has no value", {{"key", key}});
}

}  // namespace actioncluster::cache_wire

#include "server/services/restore_check.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "backplane/domain/error.h"
#include "backplane/domain/sha256.h"
#include "server/grpc/time_proto.h"

namespace actioncluster {
namespace {

using v1::DumpEntry;

constexpr size_t kMaxRestoreIdBytes = 128;
constexpr int kMaxItems = 1000;
// Scripts reckon in doubles, in µs: exact until the year 2255.
constexpr int64_t kMaxMicros = int64_t{1} << 53;
// Of a key, in a message.
constexpr size_t kShownBytes = 100;

// The same bytes for the same message, whatever order its maps have in memory.
std::string Serialized(const google::protobuf::Message& message) {
  std::string text;
  {
    google::protobuf::io::StringOutputStream stream(&text);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return text;
}

absl::StatusOr<absl::Time> MomentOf(const google::protobuf::Timestamp& timestamp, absl::string_view field) {
  absl::StatusOr<absl::Time> time = TimeOf(timestamp, field);
  if (!time.ok()) return time;
  if (*time <= absl::UnixEpoch() || absl::ToUnixMicros(*time) > kMaxMicros) {
    return absl::InvalidArgumentError(absl::StrCat(field, " is not between the years 1970 and 2255"));
  }
  return time;
}

// The same error, with something in front of its message.
absl::Status Prefixed(absl::string_view prefix, const absl::Status& status) {
  absl::Status prefixed(status.code(), absl::StrCat(prefix, status.message()));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) { prefixed.SetPayload(type, payload); });
  return prefixed;
}

// The same error, and which entry has it.
absl::Status In(const absl::Status& status, int64_t index, absl::string_view key) {
  const absl::Status named =
      Prefixed(absl::StrCat("entry ", index, " (key \"", absl::Utf8SafeCEscape(key.substr(0, kShownBytes)),
                            key.size() > kShownBytes ? "…" : "", "\"): "),
               status);
  if (ReasonOf(status) == v1::ERROR_REASON_UNSPECIFIED) return named;
  return WithMetadata(WithMetadata(named, "entry", absl::StrCat(index)), "key", key);
}

absl::StatusOr<CacheContent> ContentOf(const DumpEntry& entry, const CacheLimits& limits) {
  if (entry.has_integer()) {
    return CacheContent{.kind = CacheContent::Kind::kInteger, .body = absl::StrCat(entry.integer())};
  }
  return CacheContentOf(entry, limits);
}

}  // namespace

RestoreCheck::RestoreCheck(const CacheLimits& limits) : limits_(limits) {}

absl::Status RestoreCheck::Take(const v1::RestoreRequest& frame) {
  switch (frame.frame_case()) {
    case v1::RestoreRequest::kBegin:
      return TakeBegin(frame.begin());
    case v1::RestoreRequest::kEntry:
      if (!begun_) break;
      return TakeEntry(frame.entry());
    case v1::RestoreRequest::kEnd:
      if (!begun_) break;
      if (offset_ != 0) {
        return absl::InvalidArgumentError(absl::StrCat("the list of entry ", entries_ - 1, " has no last part"));
      }
      if (frame.end().entries() != entries_) {
        return absl::InvalidArgumentError(
            absl::StrCat("end says that there are ", frame.end().entries(), " entries, but ", entries_, " came"));
      }
      complete_ = true;
      return absl::OkStatus();
    case v1::RestoreRequest::FRAME_NOT_SET:
      return absl::InvalidArgumentError("a frame is one of begin, entry and end");
  }
  return absl::InvalidArgumentError("the first frame is begin");
}

absl::Status RestoreCheck::TakeBegin(const v1::RestoreRequest::Begin& begin) {
  if (begun_) return absl::InvalidArgumentError("only the first frame is begin");
  if (begin.restore_id().empty() || begin.restore_id().size() > kMaxRestoreIdBytes) {
    return absl::InvalidArgumentError(absl::StrCat("restore_id must have 1 to ", kMaxRestoreIdBytes, " bytes"));
  }
  begun_ = true;
  begin_ = begin;
  return absl::OkStatus();
}

absl::Status RestoreCheck::TakeEntry(const DumpEntry& entry) {
  if (absl::Status good = CheckEntry(entry); !good.ok()) return In(good, entries_, entry.key());
  text_ = Serialized(entry);
  what_ = Sha256(absl::StrCat(what_, Sha256(text_)));
  ++entries_;
  return absl::OkStatus();
}

absl::Status RestoreCheck::CheckEntry(const DumpEntry& entry) {
  if (absl::Status valid = ValidateCacheKey(entry.key(), limits_); !valid.ok()) return valid;
  if (entry.has_list()) return CheckPart(entry);
  if (offset_ != 0) return absl::InvalidArgumentError("the list before it has no last part");
  if (entry.content_case() == DumpEntry::CONTENT_NOT_SET) {
    return absl::InvalidArgumentError("there is no content: it takes value, data, integer or list");
  }
  if (const absl::StatusOr<CacheContent> content = ContentOf(entry, limits_); !content.ok()) return content.status();
  if (entry.has_created_at()) {
    if (const auto created = MomentOf(entry.created_at(), "created_at"); !created.ok()) return created.status();
  }
  if (entry.has_expires_at()) {
    if (const auto expires = MomentOf(entry.expires_at(), "expires_at"); !expires.ok()) return expires.status();
  }
  return absl::OkStatus();
}

absl::Status RestoreCheck::CheckPart(const DumpEntry& entry) {
  const DumpEntry::ListPart& part = entry.list();
  if (entry.has_created_at() || entry.has_expires_at()) {
    return absl::InvalidArgumentError("lists have neither created_at nor expires_at");
  }
  if (offset_ != 0 && entry.key() != list_) return absl::InvalidArgumentError("the list before it has no last part");
  if (part.offset() != offset_) {
    return absl::InvalidArgumentError(
        absl::StrCat("a part of the list with offset ", part.offset(), " comes where ", offset_, " items were before"));
  }
  if (part.items_size() > kMaxItems) {
    return absl::InvalidArgumentError(absl::StrCat("a part of a list has at most ", kMaxItems, " items"));
  }
  if (part.items().empty() && (offset_ == 0 || !part.last())) {
    return absl::InvalidArgumentError("only the last part of a list may be empty, if it is not the first");
  }
  int index = 0;
  for (const DumpEntry::Item& item : part.items()) {
    const absl::StatusOr<CacheContent> content = CacheContentOf(item, limits_);
    if (!content.ok()) return Prefixed(absl::StrCat("item ", index, ": "), content.status());
    ++index;
  }
  offset_ += part.items_size();
  if (static_cast<size_t>(offset_) > limits_.list_length) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                     absl::StrCat("a list may have at most ", limits_.list_length, " items"),
                     {{"limit", "cache_list_length"}});
  }
  list_ = entry.key();
  if (part.last()) offset_ = 0;
  return absl::OkStatus();
}

std::string RestoreCheck::Digest() const {
  return absl::BytesToHexString(Sha256(absl::StrCat(what_, begin_.keep_existing() ? "keep" : "replace")));
}

absl::StatusOr<CacheRestorer::Entry> RestoreParser::Parse(const DumpEntry& entry, int64_t index) {
  // It was checked by limits.
  const CacheLimits any = {.key_bytes = std::numeric_limits<size_t>::max(),
                           .value_bytes = std::numeric_limits<size_t>::max(),
                           .batch = 1,
                           .list_length = std::numeric_limits<size_t>::max(),
                           .restore_bytes = 0};
  if (!entry.has_list()) {
    absl::StatusOr<CacheContent> content = ContentOf(entry, any);
    if (!content.ok()) return absl::InternalError(content.status().message());
    CacheRestorer::Value value = {
        .content = *std::move(content), .created_at = std::nullopt, .expires_at = std::nullopt};
    if (entry.has_created_at()) value.created_at = TimeOf(entry.created_at(), "created_at").value_or(absl::Time());
    if (entry.has_expires_at()) value.expires_at = TimeOf(entry.expires_at(), "expires_at").value_or(absl::Time());
    return CacheRestorer::Entry{.key = entry.key(), .what = std::move(value)};
  }
  const DumpEntry::ListPart& from = entry.list();
  if (from.offset() == 0) first_entry_ = index;
  CacheRestorer::ListPart part = {
      .offset = from.offset(), .last = from.last(), .first_entry = first_entry_, .items = {}};
  part.items.reserve(static_cast<size_t>(from.items_size()));
  for (const DumpEntry::Item& item : from.items()) {
    absl::StatusOr<CacheContent> content = CacheContentOf(item, any);
    if (!content.ok()) return absl::InternalError(content.status().message());
    part.items.push_back(*std::move(content));
  }
  return CacheRestorer::Entry{.key = entry.key(), .what = std::move(part)};
}

}  // namespace actioncluster

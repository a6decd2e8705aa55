#include "backplane/domain/error.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_info.pb.h"

namespace actioncluster {
namespace {

constexpr absl::string_view kDomain = "actioncluster";
constexpr absl::string_view kReasonPrefix = "ERROR_REASON_";
constexpr size_t kMaxHandlerMessage = 8 << 10;
constexpr size_t kMaxHandlerMetadataEntries = 16;
constexpr size_t kMaxHandlerMetadataBytes = 4 << 10;

absl::StatusCode CodeOf(v1::ErrorReason reason) {
  switch (reason) {
    case v1::ERROR_REASON_CACHE_KEY_NOT_FOUND:
    case v1::ERROR_REASON_CONNECTION_NOT_FOUND:
    case v1::ERROR_REASON_ROOM_NOT_FOUND:
    case v1::ERROR_REASON_TASK_NOT_FOUND:
    case v1::ERROR_REASON_NODE_NOT_FOUND:
      return absl::StatusCode::kNotFound;
    case v1::ERROR_REASON_ROOM_EXISTS:
    case v1::ERROR_REASON_ALREADY_MEMBER:
    case v1::ERROR_REASON_CONNECTION_EXISTS:
      return absl::StatusCode::kAlreadyExists;
    case v1::ERROR_REASON_KEY_LOCKED:
    case v1::ERROR_REASON_NOT_MEMBER:
    case v1::ERROR_REASON_NOT_AN_INTEGER:
      return absl::StatusCode::kFailedPrecondition;
    case v1::ERROR_REASON_LEASE_LOST:
    case v1::ERROR_REASON_VERSION_MISMATCH:
      return absl::StatusCode::kAborted;
    case v1::ERROR_REASON_METHOD_NOT_FOUND:
      return absl::StatusCode::kUnimplemented;
    case v1::ERROR_REASON_RPC_TIMEOUT:
      return absl::StatusCode::kDeadlineExceeded;
    case v1::ERROR_REASON_BACKPLANE_UNAVAILABLE:
      return absl::StatusCode::kUnavailable;
    case v1::ERROR_REASON_LIMIT_EXCEEDED:
      return absl::StatusCode::kResourceExhausted;
    case v1::ERROR_REASON_UNAUTHENTICATED:
      return absl::StatusCode::kUnauthenticated;
    default:  // HANDLER_FAILED of a handler that chose nothing, and numbers of later versions.
      return absl::StatusCode::kUnknown;
  }
}

// Anything that is no error of ours is UNKNOWN: a code out of range, and OK, which an error cannot be.
absl::StatusCode CodeFrom(int code) {
  return code >= 1 && code <= 16 ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

// The length of the UTF-8 character that `text` begins with; 0 if it begins with none.
size_t CharacterLength(absl::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return 1;
  const size_t length = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what is past U+10FFFF.
  if (byte(0) == 0xE0 && byte(1) < 0xA0) return 0;
  if (byte(0) == 0xED && byte(1) > 0x9F) return 0;
  if (byte(0) == 0xF0 && byte(1) < 0x90) return 0;
  if (byte(0) == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

// Messages quote what came from outside, and a proto string that is no UTF-8 makes the receiver refuse the whole message.
std::string Utf8(absl::string_view text, size_t limit = absl::string_view::npos) {
  std::string clean;
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (clean.size() + (length == 0 ? 1 : length) > limit) break;
    absl::StrAppend(&clean, length == 0 ? "?" : text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return clean;
}

std::optional<google::rpc::ErrorInfo> InfoOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kErrorInfoTypeUrl);
  google::rpc::ErrorInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return std::nullopt;
  if (info.domain() != kDomain) return std::nullopt;
  return info;
}

void SetInfo(absl::Status& status, const google::rpc::ErrorInfo& info) {
  status.SetPayload(kErrorInfoTypeUrl, absl::Cord(info.SerializeAsString()));
}

google::rpc::ErrorInfo MakeInfo(std::string reason, const ErrorMetadata& metadata) {
  google::rpc::ErrorInfo info;
  info.set_domain(std::string(kDomain));
  info.set_reason(std::move(reason));
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[Utf8(key)] = Utf8(value);
  return info;
}

}  // namespace

absl::Status MakeError(v1::ErrorReason reason, absl::string_view message, const ErrorMetadata& metadata) {
  absl::Status status(CodeOf(reason), message);
  SetInfo(status, MakeInfo(ReasonName(reason), metadata));
  return status;
}

v1::ErrorReason ReasonOf(const absl::Status& status) {
  const std::optional<google::rpc::ErrorInfo> info = InfoOf(status);
  v1::ErrorReason reason;
  if (!info.has_value() || !v1::ErrorReason_Parse(absl::StrCat(kReasonPrefix, info->reason()), &reason)) {
    return v1::ERROR_REASON_UNSPECIFIED;
  }
  return reason;
}

ErrorMetadata MetadataOf(const absl::Status& status) {
  const std::optional<google::rpc::ErrorInfo> info = InfoOf(status);
  if (!info.has_value()) return {};
  return ErrorMetadata(info->metadata().begin(), info->metadata().end());
}

absl::Status WithMetadata(const absl::Status& status, absl::string_view key, absl::string_view value) {
  if (status.ok()) return status;
  google::rpc::ErrorInfo info = InfoOf(status).value_or(MakeInfo("", {}));
  info.mutable_metadata()->insert({Utf8(key), Utf8(value)});
  absl::Status more = status;
  SetInfo(more, info);
  return more;
}

std::string ReasonName(v1::ErrorReason reason) {
  if (!v1::ErrorReason_IsValid(reason)) reason = v1::ERROR_REASON_UNSPECIFIED;
  return v1::ErrorReason_Name(reason).substr(kReasonPrefix.size());
}

v1::Error ToProto(const absl::Status& status) {
  v1::Error error;
  error.set_code(static_cast<int>(status.code()));
  error.set_message(Utf8(status.message()));
  if (const std::optional<google::rpc::ErrorInfo> info = InfoOf(status)) {
    error.set_reason(info->reason());
    *error.mutable_metadata() = info->metadata();
  }
  return error;
}

absl::Status FromProto(const v1::Error& error) {
  absl::Status status(CodeFrom(error.code()), error.message());
  // A reason that this version does not know (a peer may be newer) is passed on as it is.
  if (!error.reason().empty() || !error.metadata().empty()) {
    SetInfo(status, MakeInfo(error.reason(), ErrorMetadata(error.metadata().begin(), error.metadata().end())));
  }
  return status;
}

absl::Status HandlerError(const v1::Error& error) {
  ErrorMetadata metadata;
  size_t bytes = 0;
  // In the order of the keys, so that the same error is cut in the same way each time.
  for (const auto& [key, value] : ErrorMetadata(error.metadata().begin(), error.metadata().end())) {
    if (key == "node_id" || key == "lost")
      continue;  // That is ours to say: a handler may pass on another node's error.
    bytes += key.size() + value.size();
    if (metadata.size() == kMaxHandlerMetadataEntries || bytes > kMaxHandlerMetadataBytes) break;
    metadata.emplace(key, value);
  }
  absl::Status status(CodeFrom(error.code()), Utf8(error.message(), kMaxHandlerMessage));
  SetInfo(status, MakeInfo(ReasonName(v1::ERROR_REASON_HANDLER_FAILED), metadata));
  return status;
}

absl::Status BackplaneUnavailable(absl::string_view message) {
  return MakeError(v1::ERROR_REASON_BACKPLANE_UNAVAILABLE, message);
}

absl::Status AsBackplaneError(const absl::Status& status) {
  if (status.ok() || ReasonOf(status) == v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) return status;
  return BackplaneUnavailable(status.message());
}

}  // namespace actioncluster

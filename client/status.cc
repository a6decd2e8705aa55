#include "actioncluster/status.h"

#include <optional>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "client/utf8.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"

namespace actioncluster::client {
namespace {

constexpr absl::string_view kErrorInfoTypeUrl = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr absl::string_view kDomain = "actioncluster";
constexpr absl::string_view kReasonPrefix = "ERROR_REASON_";

// Anything that is no error of the canonical ones is UNKNOWN: a code out of range, and OK, which an error cannot be.
absl::StatusCode CodeFrom(int code) {
  return code >= 1 && code <= 16 ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
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

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(CodeFrom(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::ErrorInfo info;
    if (any.UnpackTo(&info) && info.domain() == kDomain) SetInfo(result, info);
  }
  return result;
}

absl::Status FromProto(const v1::Error& error) {
  absl::Status status(CodeFrom(error.code()), error.message());
  if (error.reason().empty() && error.metadata().empty()) return status;
  google::rpc::ErrorInfo info;
  info.set_domain(std::string(kDomain));
  info.set_reason(error.reason());
  *info.mutable_metadata() = error.metadata();
  SetInfo(status, info);
  return status;
}

v1::Error ToProto(const absl::Status& status) {
  v1::Error error;
  error.set_code(static_cast<int>(CodeFrom(static_cast<int>(status.code()))));
  error.set_message(ToUtf8(status.message()));
  for (const auto& [key, value] : MetadataOf(status)) (*error.mutable_metadata())[key] = value;
  return error;
}

v1::ErrorReason ReasonOf(const absl::Status& status) {
  v1::ErrorReason reason;
  const std::string name = ReasonNameOf(status);
  return v1::ErrorReason_Parse(std::string(kReasonPrefix) + name, &reason) ? reason : v1::ERROR_REASON_UNSPECIFIED;
}

std::string ReasonNameOf(const absl::Status& status) {
  const std::optional<google::rpc::ErrorInfo> info = InfoOf(status);
  return info.has_value() ? info->reason() : "";
}

std::string NodeIdOf(const absl::Status& status) {
  const std::map<std::string, std::string> metadata = MetadataOf(status);
  const auto found = metadata.find("node_id");
  return found == metadata.end() ? "" : found->second;
}

std::map<std::string, std::string> MetadataOf(const absl::Status& status) {
  const std::optional<google::rpc::ErrorInfo> info = InfoOf(status);
  if (!info.has_value()) return {};
  return {info->metadata().begin(), info->metadata().end()};
}

absl::Status WithMetadata(const absl::Status& status, const std::string& key, const std::string& value) {
  if (status.ok()) return status;
  std::optional<google::rpc::ErrorInfo> info = InfoOf(status);
  if (!info.has_value()) {
    info.emplace();
    info->set_domain(std::string(kDomain));
  }
  (*info->mutable_metadata())[ToUtf8(key)] = ToUtf8(value);
  absl::Status more = status;
  SetInfo(more, *info);
  return more;
}

}  // namespace actioncluster::client

#include "server/grpc/status_bridge.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "backplane/domain/error.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"

namespace actioncluster {
namespace {

// A status travels in the trailers, and gRPC's clients take no more than 8 KiB of these by default: what is larger reaches them as another error.
constexpr size_t kMaxTrailerBytes = size_t{7} * 1024;
// What a payload may take of it: the limits of a handler's metadata, and a node's id.
constexpr size_t kMaxPayloadBytes = 4608;

// At most `limit` bytes, not ending within a UTF-8 character.
absl::string_view Cut(absl::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return text.substr(0, limit);
}

// As grpc-message: all but printable ASCII takes three bytes.
size_t PercentEncodedSize(absl::string_view text) {
  return text.size() + 2 * static_cast<size_t>(std::count_if(text.begin(), text.end(),
                                                             [](char c) { return c < ' ' || c > '~' || c == '%'; }));
}

size_t TrailerSize(const google::rpc::Status& details) {
  return PercentEncodedSize(details.message()) + (details.ByteSizeLong() + 2) / 3 * 4;
}

// An ErrorInfo that is too large has a long list in its metadata, of nodes or the like: half of the list says as much.
std::string Fit(std::string payload) {
  google::rpc::ErrorInfo info;
  if (payload.size() <= kMaxPayloadBytes || !info.ParseFromString(payload)) return payload;
  while (info.ByteSizeLong() > kMaxPayloadBytes) {
    auto& metadata = *info.mutable_metadata();
    const auto longest = std::max_element(metadata.begin(), metadata.end(), [](const auto& a, const auto& b) {
      return a.second.size() < b.second.size();
    });
    if (longest == metadata.end() || longest->second.empty()) break;
    longest->second = std::string(Cut(longest->second, longest->second.size() / 2));
  }
  return info.SerializeAsString();
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(std::string(status.message()));
  status.ForEachPayload([&details](absl::string_view type_url, const absl::Cord& payload) {
    google::protobuf::Any* any = details.add_details();
    any->set_type_url(std::string(type_url));
    any->set_value(type_url == kErrorInfoTypeUrl ? Fit(std::string(payload)) : std::string(payload));
  });
  while (TrailerSize(details) > kMaxTrailerBytes && !details.message().empty()) {
    details.set_message(std::string(Cut(details.message(), details.message().size() * 7 / 8)));
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), details.message(),
                      details.details().empty() ? std::string() : details.SerializeAsString());
}

}  // namespace actioncluster

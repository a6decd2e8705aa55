#ifndef ACTIONCLUSTER_SERVER_GRPC_CONTENT_H_
#define ACTIONCLUSTER_SERVER_GRPC_CONTENT_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "backplane/domain/content.h"
#include "google/protobuf/struct.pb.h"

// Between the content of public messages and Content. Pure; any thread.
namespace actioncluster {

// What a caller's or a handler's content may have at most, serialized: so much that a message around it still fits the 4 MiB that gRPC's clients
// take by default. A larger frame would break an application's whole stream.
inline constexpr size_t kMaxContentBytes = size_t{4096 - 64} * 1024;

// The content itself, or LIMIT_EXCEEDED if it is larger than that; `field` names it.
absl::StatusOr<Content> WithinLimit(Content content, absl::string_view field);

// OK if the value is JSON: every kind set, numbers finite, arrays and objects nested up to 32 deep. Otherwise INVALID_ARGUMENT; `field` names it.
absl::Status ValidateJson(const google::protobuf::Value& value, absl::string_view field);
absl::Status ValidateJson(const google::protobuf::ListValue& values, absl::string_view field);

// A name of something: UTF-8 (protobuf has seen to that), 1 to 256 bytes. Otherwise INVALID_ARGUMENT; `field` names it.
absl::Status ValidateName(absl::string_view name, absl::string_view field);

// The arguments of a message with `oneof content{ListValue args; bytes data}`.
template <class Message>
absl::StatusOr<Content> ArgumentsOf(const Message& message) {
  if (message.has_data()) return WithinLimit({.kind = Content::Kind::kBytes, .body = message.data()}, "data");
  if (!message.has_args()) return Content{};
  if (absl::Status valid = ValidateJson(message.args(), "args"); !valid.ok()) return valid;
  return WithinLimit({.kind = Content::Kind::kJson, .body = message.args().SerializeAsString()}, "args");
}

// The content of a message with `oneof …{Value NAME; bytes data}`; `json` is the field NAME, or null if it is not set.
template <class Message>
absl::StatusOr<Content> ContentOf(const Message& message, const google::protobuf::Value* json,
                                  absl::string_view field) {
  if (message.has_data()) return WithinLimit({.kind = Content::Kind::kBytes, .body = message.data()}, "data");
  if (json == nullptr) return Content{};
  if (absl::Status valid = ValidateJson(*json, field); !valid.ok()) return valid;
  return WithinLimit({.kind = Content::Kind::kJson, .body = json->SerializeAsString()}, field);
}
template <class Message>
absl::StatusOr<Content> ResultOf(const Message& message) {
  return ContentOf(message, message.has_result() ? &message.result() : nullptr, "result");
}
template <class Message>
absl::StatusOr<Content> ValueOf(const Message& message) {
  return ContentOf(message, message.has_value() ? &message.value() : nullptr, "value");
}

// Into such messages. JSON that does not parse (a peer's fault) leaves an unset value, never a crash.
template <class Message>
void SetArguments(Content content, Message* message) {
  if (content.kind == Content::Kind::kBytes) message->set_data(std::move(content.body));
  if (content.kind == Content::Kind::kJson) message->mutable_args()->ParseFromString(content.body);
}
template <class Message>
void SetResult(Content content, Message* message) {
  if (content.kind == Content::Kind::kBytes) message->set_data(std::move(content.body));
  if (content.kind == Content::Kind::kJson) message->mutable_result()->ParseFromString(content.body);
}

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_CONTENT_H_

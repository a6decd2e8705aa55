#include "server/services/connection_frames.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "backplane/domain/error.h"
#include "google/protobuf/struct.pb.h"
#include "server/grpc/content.h"

namespace actioncluster {
namespace {

constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxClaimsBytes = size_t{16} * 1024;
constexpr int kMaxResumed = 256;

// As ValidateName, but it may be empty.
absl::Status ValidateLength(absl::string_view text, absl::string_view field) {
  return text.empty() ? absl::OkStatus() : ValidateName(text, field);
}

absl::Status CheckSize(size_t bytes, absl::string_view field) {
  if (bytes <= kMaxContentBytes) return absl::OkStatus();
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                   absl::StrCat(field, " has ", bytes, " bytes; at most ", kMaxContentBytes, " are carried"),
                   {{"limit", "content_bytes"}});
}

}  // namespace

std::optional<v1::OpenRequest> ParseOpenRequest(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer copy = bytes;  // Shares the bytes; parsing empties it.
  v1::OpenRequest frame;
  if (!grpc::SerializationTraits<v1::OpenRequest>::Deserialize(&copy, &frame).ok()) return std::nullopt;
  return frame;
}

grpc::ByteBuffer EncodeOpenResponse(const v1::OpenResponse& frame) {
  grpc::ByteBuffer bytes;
  bool own_buffer = false;
  // It cannot fail: the frame is far below 2 GiB.
  (void)grpc::SerializationTraits<v1::OpenResponse>::Serialize(frame, &bytes, &own_buffer);
  return bytes;
}

absl::Status ValidateHello(const v1::OpenRequest::Hello& hello) {
  for (const auto& [text, field] : {std::pair<absl::string_view, absl::string_view>(hello.id(), "id"),
                                    {hello.resume_token(), "resume_token"},
                                    {hello.type(), "type"},
                                    {hello.fingerprint(), "fingerprint"}}) {
    if (absl::Status valid = ValidateLength(text, field); !valid.ok()) return valid;
  }
  if (hello.has_claims()) {
    if (hello.claims().ByteSizeLong() > kMaxClaimsBytes) {
      return absl::InvalidArgumentError(absl::StrCat("claims must have at most ", kMaxClaimsBytes, " bytes"));
    }
    google::protobuf::Value claims;
    *claims.mutable_struct_value() = hello.claims();
    if (absl::Status valid = ValidateJson(claims, "claims"); !valid.ok()) return valid;
  }
  if (!hello.resume().empty() && hello.resume_token().empty()) {
    return absl::InvalidArgumentError("resume goes with a resume_token only");
  }
  if (hello.resume_size() > kMaxResumed) {
    return absl::InvalidArgumentError(absl::StrCat("resume must have at most ", kMaxResumed, " rooms"));
  }
  for (const v1::RoomOffset& room : hello.resume()) {
    if (absl::Status valid = ValidateName(room.room(), "resume.room"); !valid.ok()) return valid;
  }
  return absl::OkStatus();
}

absl::Status ValidateVerb(const v1::OpenRequest::Verb& verb) {
  if (absl::Status valid = ValidateLength(verb.message_id(), "message_id"); !valid.ok()) return valid;
  if (absl::Status valid = ValidateLength(verb.verb(), "verb"); !valid.ok()) return valid;
  if (absl::Status valid = ValidateJson(verb.args(), "args"); !valid.ok()) return valid;
  if (absl::Status valid = CheckSize(verb.args().ByteSizeLong(), "args"); !valid.ok()) return valid;
  return CheckSize(verb.data().size(), "data");
}

Outcome OutcomeOf(const v1::OpenRequest::Answer& answer) {
  if (answer.has_error()) return {.kind = Outcome::Kind::kError, .result = {}, .error = HandlerError(answer.error())};
  absl::StatusOr<Content> result = ResultOf(answer);
  if (result.ok()) return {.kind = Outcome::Kind::kResult, .result = *std::move(result), .error = {}};
  return {
      .kind = Outcome::Kind::kError,
      .result = {},
      .error = MakeError(v1::ERROR_REASON_HANDLER_FAILED, absl::StrCat("the client's ", result.status().message()))};
}

v1::OpenResponse ErrorFrame(const v1::OpenRequest* frame, const absl::Status& error) {
  v1::OpenResponse response;
  if (frame != nullptr && !frame->verb().message_id().empty() && frame->verb().message_id().size() <= kMaxNameBytes) {
    response.mutable_reply()->set_message_id(frame->verb().message_id());
    *response.mutable_reply()->mutable_error() = ToProto(error);
  } else {
    *response.mutable_error() = ToProto(error);
  }
  return response;
}

grpc::ByteBuffer EncodeMissed(uint64_t count, bool gap) {
  v1::OpenResponse frame;
  frame.mutable_missed()->set_count(count);
  frame.mutable_missed()->set_gap(gap);
  return EncodeOpenResponse(frame);
}

std::string PeerAddress(absl::string_view peer) {
  if (!absl::ConsumePrefix(&peer, "ipv4:") && !absl::ConsumePrefix(&peer, "ipv6:")) return std::string(peer);
  return absl::StrReplaceAll(peer, {{"%5B", "["}, {"%5D", "]"}, {"%5b", "["}, {"%5d", "]"}, {"%25", "%"}});
}

}  // namespace actioncluster

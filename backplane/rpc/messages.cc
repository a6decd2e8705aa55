#include "backplane/rpc/messages.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"

namespace actioncluster {

internal::v1::Call ToProto(const IncomingCall& call, absl::Time now) {
  internal::v1::Call proto;
  proto.set_id(call.id);
  proto.set_method(call.method);
  if (call.arguments.kind != Content::Kind::kNone) ToProto(call.arguments, proto.mutable_arguments());
  proto.set_remaining_us(absl::ToInt64Microseconds(call.deadline - now));
  proto.set_connection_id(call.connection_id);
  proto.set_notification(call.notification);
  proto.set_subject(call.subject);
  proto.set_round(call.round);
  return proto;
}

IncomingCall FromProto(const internal::v1::Envelope& envelope, absl::Time sent_at) {
  const internal::v1::Call& proto = envelope.call();
  return {.caller = {envelope.sender_id(), envelope.sender_boot()},
          .id = proto.id(),
          .method = proto.method(),
          .arguments = FromProto(proto.arguments()),
          .connection_id = proto.connection_id(),
          .deadline = sent_at + absl::Microseconds(proto.remaining_us()),
          .notification = proto.notification(),
          .subject = proto.subject(),
          .round = proto.round()};
}

internal::v1::Reply ToProto(uint64_t call_id, const Outcome& outcome) {
  internal::v1::Reply proto;
  proto.set_call_id(call_id);
  if (outcome.kind == Outcome::Kind::kResult) {
    const absl::Status size = CheckMessageSize(outcome.result.body.size());
    if (!size.ok()) return ToProto(call_id, Outcome{.kind = Outcome::Kind::kError, .result = {}, .error = size});
    proto.set_outcome(internal::v1::Reply::OUTCOME_RESULT);
    if (outcome.result.kind != Content::Kind::kNone) ToProto(outcome.result, proto.mutable_result());
    return proto;
  }
  proto.set_outcome(outcome.kind == Outcome::Kind::kDeclined ? internal::v1::Reply::OUTCOME_DECLINED
                                                             : internal::v1::Reply::OUTCOME_ERROR);
  *proto.mutable_error() = ToProto(outcome.error);
  return proto;
}

Outcome FromProto(const internal::v1::Reply& reply) {
  switch (reply.outcome()) {
    case internal::v1::Reply::OUTCOME_RESULT:
      return {.kind = Outcome::Kind::kResult, .result = FromProto(reply.result()), .error = absl::OkStatus()};
    case internal::v1::Reply::OUTCOME_ERROR:
      return {.kind = Outcome::Kind::kError, .result = {}, .error = FromProto(reply.error())};
    case internal::v1::Reply::OUTCOME_DECLINED:
      return {.kind = Outcome::Kind::kDeclined, .result = {}, .error = FromProto(reply.error())};
    default:
      return {.kind = Outcome::Kind::kError,
              .result = {},
              .error = MakeError(v1::ERROR_REASON_HANDLER_FAILED,
                                 "a reply of an unknown kind: the node's version is another")};
  }
}

absl::Status CheckMessageSize(size_t bytes) {
  if (bytes <= kMaxMessageBytes) return absl::OkStatus();
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                   absl::StrCat("a message of ", bytes, " bytes; ", kMaxMessageBytes, " are allowed"),
                   {{"limit", "message_bytes"}, {"maximum", absl::StrCat(kMaxMessageBytes)}});
}

}  // namespace actioncluster

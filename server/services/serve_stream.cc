#include "server/services/serve_stream.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "server/grpc/content.h"
#include "server/grpc/time_proto.h"
#include "server/methods/offered_names.h"

namespace actioncluster {
namespace {

constexpr int kMaxNames = 1024;
constexpr uint32_t kDefaultInFlight = 64;
constexpr uint32_t kMaxInFlight = 4096;

absl::Status ValidateOffered(const v1::ServeRequest::Register& frame) {
  if (frame.methods_size() + frame.connection_methods_size() + frame.hooks_size() > kMaxNames) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, absl::StrCat("at most ", kMaxNames, " methods a stream"),
                     {{"limit", "methods"}});
  }
  for (const std::string& method : frame.methods()) {
    if (absl::Status valid = ValidateName(method, "methods"); !valid.ok()) return valid;
    if (IsNodeMethod(method)) {
      return absl::InvalidArgumentError(absl::StrCat("names under node. are the nodes' own: ", method));
    }
    if (IsReservedName(method)) {
      return absl::InvalidArgumentError(
          absl::StrCat("what is for connections is offered by connection_methods and hooks: ", method));
    }
  }
  for (const std::string& method : frame.connection_methods()) {
    if (absl::Status valid = ValidateName(method, "connection_methods"); !valid.ok()) return valid;
    if (IsOwnConnectionMethod(method)) {
      return absl::InvalidArgumentError(absl::StrCat("connections have a method ", method, " of their own"));
    }
  }
  for (const std::string& hook : frame.hooks()) {
    if (absl::Status valid = ValidateName(hook, "hooks"); !valid.ok()) return valid;
    if (!IsHook(hook)) {
      return absl::InvalidArgumentError(
          absl::StrCat("hooks must be some of join, leave, say.receive, say.deliver; not ", hook));
    }
  }
  return absl::OkStatus();
}

// All that it offers, as the directory has it.
std::set<std::string> OfferedNames(const v1::ServeRequest::Register& frame) {
  std::set<std::string> names(frame.methods().begin(), frame.methods().end());
  for (const std::string& method : frame.connection_methods()) {
    names.insert(absl::StrCat(kConnectionMethodPrefix, method));
  }
  for (const std::string& hook : frame.hooks()) names.insert(absl::StrCat(kHookPrefix, hook));
  return names;
}

// Says by which of its names the application offers the method, and for what.
void SetMethod(absl::string_view method, v1::ServeResponse::Call* frame) {
  if (absl::ConsumePrefix(&method, kConnectionMethodPrefix)) {
    frame->set_scope(v1::ServeResponse::SCOPE_CONNECTION);
  } else if (absl::ConsumePrefix(&method, kHookPrefix)) {
    frame->set_scope(v1::ServeResponse::SCOPE_HOOK);
  }
  frame->set_method(std::string(method));
}

// Says what the call is about. One that does not parse (a peer's fault) says nothing.
void SetSubject(const std::string& serialized, v1::ServeResponse::Call* frame) {
  internal::v1::CallSubject subject;
  if (serialized.empty() || !subject.ParseFromString(serialized)) return;
  v1::Connection connection;
  if (!subject.connection().empty() && connection.ParseFromString(subject.connection())) {
    if (frame->connection_id().empty()) frame->set_connection_id(connection.id());
    // Methods that are not for connections get no more than they always did.
    if (frame->scope() != v1::ServeResponse::SCOPE_UNSPECIFIED) *frame->mutable_connection() = std::move(connection);
  }
  frame->set_room(std::move(*subject.mutable_room()));
  frame->set_from_connection_id(std::move(*subject.mutable_from_connection_id()));
}

}  // namespace

ServeStream::ServeStream(Loop& loop, Membership& membership, MethodHost& host, Offload& offload)
    : AttachedStream(loop, offload, {}, "the application"), membership_(membership), host_(host) {}

grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeResponse>* ServeStream::Start(Loop& loop, Membership& membership,
                                                                                 MethodHost& host, Offload& offload,
                                                                                 const absl::Status& admitted) {
  return Begin(std::shared_ptr<ServeStream>(new ServeStream(loop, membership, host, offload)), admitted);
}

void ServeStream::BeforeReading() {
  loop().Post([self = Self()] { self->SetId(self->host_.Attach(self)); });
}

absl::Status ServeStream::Handle(const v1::ServeRequest& frame) {
  if (!registered_ && (frame.has_reply() || frame.has_heartbeat())) {
    return absl::FailedPreconditionError("the first frame must be register");
  }
  switch (frame.frame_case()) {
    case v1::ServeRequest::kRegister:
      return HandleRegister(frame.register_());
    case v1::ServeRequest::kReply:
      return HandleReply(frame.reply());
    case v1::ServeRequest::kHeartbeat:
      OnLoop(0, [this](HostId id) { host_.Heard(id); });
      return absl::OkStatus();
    case v1::ServeRequest::FRAME_NOT_SET:
      return absl::InvalidArgumentError("a frame must be one of register, reply, heartbeat");
  }
  return absl::InvalidArgumentError("unknown frame");
}

absl::Status ServeStream::HandleRegister(const v1::ServeRequest::Register& frame) {
  if (absl::Status valid = ValidateOffered(frame); !valid.ok()) return valid;
  if (frame.max_in_flight() > kMaxInFlight) {
    return absl::InvalidArgumentError(absl::StrCat("max_in_flight must be at most ", kMaxInFlight));
  }
  absl::Duration heartbeat_timeout = absl::InfiniteDuration();
  if (frame.has_heartbeat_timeout()) {
    heartbeat_timeout =
        absl::Seconds(frame.heartbeat_timeout().seconds()) + absl::Nanoseconds(frame.heartbeat_timeout().nanos());
    if (heartbeat_timeout < absl::Seconds(1) || heartbeat_timeout > absl::Hours(1)) {
      return absl::InvalidArgumentError("heartbeat_timeout must be at least 1 s and at most 1 h");
    }
  }
  registered_ = true;
  const size_t max_in_flight = frame.max_in_flight() == 0 ? kDefaultInFlight : frame.max_in_flight();
  OnLoop(frame.ByteSizeLong(), [this, methods = OfferedNames(frame), max_in_flight, heartbeat_timeout,
                                stays = frame.stays_while_draining()](HostId id) mutable {
    host_.Heard(id);
    host_.Register(id, std::move(methods), max_in_flight, heartbeat_timeout, stays,
                   [self = Self()](const absl::Status& status) {
                     if (!status.ok()) return self->End(status, /*flush=*/true);
                     self->Push(0, [self, node_id = self->membership_.self().id] {
                       v1::ServeResponse response;
                       response.mutable_registered()->set_node_id(node_id);
                       return response;
                     });
                   });
  });
  return absl::OkStatus();
}

absl::Status ServeStream::HandleReply(const v1::ServeRequest::Reply& frame) {
  Outcome outcome;
  if (frame.has_error()) {
    outcome.kind = Outcome::Kind::kError;
    outcome.error = HandlerError(frame.error());
  } else if (absl::StatusOr<Content> result = ResultOf(frame); result.ok()) {
    outcome.result = *std::move(result);
  } else {
    // The caller hears what is wrong with this one reply; the application's other calls go on.
    outcome.kind = Outcome::Kind::kError;
    outcome.error =
        MakeError(v1::ERROR_REASON_HANDLER_FAILED, absl::StrCat("the handler's ", result.status().message()));
  }
  const size_t bytes = outcome.result.body.size() + outcome.error.message().size();
  OnLoop(bytes, [this, call_id = frame.call_id(), outcome = std::move(outcome)](HostId id) mutable {
    host_.Reply(id, call_id, std::move(outcome));
  });
  return absl::OkStatus();
}

bool ServeStream::SendCall(const std::string& call_id, IncomingCall call) {
  const size_t bytes = call.arguments.body.size() + call.subject.size();
  return TryPush(bytes, [call_id, call = std::move(call)]() mutable {
    v1::ServeResponse response;
    v1::ServeResponse::Call* frame = response.mutable_call();
    frame->set_call_id(call_id);
    SetMethod(call.method, frame);
    SetArguments(std::move(call.arguments), frame);
    frame->set_caller_node_id(std::move(call.caller.id));
    frame->set_connection_id(std::move(call.connection_id));
    SetSubject(call.subject, frame);
    *frame->mutable_deadline() = TimeToProto(absl::Now() + (call.deadline - MonotonicNow()));
    frame->set_notification(call.notification);
    return response;
  });
}

void ServeStream::SendCancel(const std::string& call_id) {
  Push(0, [call_id] {
    v1::ServeResponse response;
    response.mutable_cancel()->set_call_id(call_id);
    return response;
  });
}

void ServeStream::SendDraining(const std::vector<std::string>& alternatives) {
  Push(0, [alternatives] {
    v1::ServeResponse response;
    response.mutable_draining()->mutable_alternatives()->Assign(alternatives.begin(), alternatives.end());
    return response;
  });
}

}  // namespace actioncluster

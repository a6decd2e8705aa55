#include "server/services/serve_stream.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "server/services/content.h"

namespace actioncluster {
namespace {

// Four times the replies that can be outstanding: who sends more is flooding.
constexpr size_t kMaxUnhandled = 16'384;
constexpr int kMaxMethods = 1024;
constexpr uint32_t kDefaultInFlight = 64;
constexpr uint32_t kMaxInFlight = 4096;

}  // namespace

ServeStream::ServeStream(Loop& loop, Membership& membership, MethodHost& host, Offload& offload)
    : loop_(loop),
      membership_(membership),
      host_(host),
      outbox_(
          offload, {}, [this](const v1::ServeResponse* frame) { StartWrite(frame); },
          [this](grpc::Status status) { Finish(std::move(status)); }) {}

grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeResponse>* ServeStream::Start(Loop& loop, Membership& membership,
                                                                                 MethodHost& host, Offload& offload,
                                                                                 const absl::Status& admitted) {
  std::shared_ptr<ServeStream> stream(new ServeStream(loop, membership, host, offload));
  stream->self_ = stream;
  if (!admitted.ok()) {
    stream->End(admitted, /*flush=*/false);
    return stream.get();
  }
  loop.Post([stream] { stream->id_ = stream->host_.Attach(stream); });
  stream->StartRead(&stream->request_);
  return stream.get();
}

void ServeStream::OnReadDone(bool ok) {
  if (!ok) {
    // The application has closed its half, or is gone: either way it serves no more.
    End(absl::OkStatus(), /*flush=*/true);
    return;
  }
  if (absl::Status handled = Handle(request_); !handled.ok()) {
    End(handled, /*flush=*/true);
    return;
  }
  if (unhandled_.load(std::memory_order_relaxed) > kMaxUnhandled) {
    End(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "frames come faster than they can be handled",
                  {{"limit", "frames"}}),
        /*flush=*/false);
    return;
  }
  StartRead(&request_);
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
      OnLoop([this](MethodHost::AppId id) { host_.Heard(id); });
      return absl::OkStatus();
    case v1::ServeRequest::FRAME_NOT_SET:
      return absl::InvalidArgumentError("a frame must be one of register, reply, heartbeat");
  }
  return absl::InvalidArgumentError("unknown frame");
}

absl::Status ServeStream::HandleRegister(const v1::ServeRequest::Register& frame) {
  if (frame.methods_size() > kMaxMethods) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, absl::StrCat("at most ", kMaxMethods, " methods a stream"),
                     {{"limit", "methods"}});
  }
  for (const std::string& method : frame.methods()) {
    if (absl::Status valid = ValidateName(method, "methods"); !valid.ok()) return valid;
    if (IsNodeMethod(method)) {
      return absl::InvalidArgumentError(absl::StrCat("names under node. are the nodes' own: ", method));
    }
  }
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
  OnLoop([this, methods = std::set<std::string>(frame.methods().begin(), frame.methods().end()), max_in_flight,
          heartbeat_timeout](MethodHost::AppId id) mutable {
    host_.Heard(id);
    host_.Register(id, std::move(methods), max_in_flight, heartbeat_timeout,
                   [self = shared_from_this()](const absl::Status& status) {
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
  OnLoop([this, call_id = frame.call_id(), outcome = std::move(outcome)](MethodHost::AppId id) mutable {
    host_.Reply(id, call_id, std::move(outcome));
  });
  return absl::OkStatus();
}

void ServeStream::OnLoop(absl::AnyInvocable<void(MethodHost::AppId) &&> task) {
  unhandled_.fetch_add(1, std::memory_order_relaxed);
  loop_.Post([self = shared_from_this(), task = std::move(task)]() mutable {
    self->unhandled_.fetch_sub(1, std::memory_order_relaxed);
    if (self->id_ != 0) std::move(task)(self->id_);
  });
}

bool ServeStream::SendCall(const std::string& call_id, IncomingCall call) {
  const size_t bytes = call.arguments.body.size();
  return outbox_.Push(bytes, [self = shared_from_this(), call_id, call = std::move(call)]() mutable {
    v1::ServeResponse response;
    v1::ServeResponse::Call* frame = response.mutable_call();
    frame->set_call_id(call_id);
    frame->set_method(std::move(call.method));
    SetArguments(std::move(call.arguments), frame);
    frame->set_caller_node_id(std::move(call.caller.id));
    frame->set_connection_id(std::move(call.connection_id));
    const int64_t deadline_us = absl::ToUnixMicros(absl::Now() + (call.deadline - MonotonicNow()));
    frame->mutable_deadline()->set_seconds(deadline_us / 1'000'000);
    frame->mutable_deadline()->set_nanos(static_cast<int32_t>(deadline_us % 1'000'000 * 1'000));
    frame->set_notification(call.notification);
    return response;
  });
}

void ServeStream::SendCancel(const std::string& call_id) {
  Push(0, [self = shared_from_this(), call_id] {
    v1::ServeResponse response;
    response.mutable_cancel()->set_call_id(call_id);
    return response;
  });
}

void ServeStream::SendDraining(const std::vector<std::string>& alternatives) {
  Push(0, [self = shared_from_this(), alternatives] {
    v1::ServeResponse response;
    response.mutable_draining()->mutable_alternatives()->Assign(alternatives.begin(), alternatives.end());
    return response;
  });
}

void ServeStream::Push(size_t bytes, Outbox<v1::ServeResponse>::Make make) {
  if (outbox_.Push(bytes, std::move(make))) return;
  End(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the application does not read its frames", {{"limit", "outbox"}}),
      /*flush=*/false);
}

void ServeStream::End(const absl::Status& status, bool flush) {
  if (ended_.exchange(true)) return;
  // Its calls end now, not when gRPC has flushed the stream.
  loop_.Post([self = shared_from_this()] {
    if (self->id_ != 0) self->host_.Detach(std::exchange(self->id_, 0));
  });
  outbox_.End(status, flush);
}

void ServeStream::OnDone() {
  End(absl::OkStatus(), /*flush=*/false);
  self_.reset();
}

}  // namespace actioncluster

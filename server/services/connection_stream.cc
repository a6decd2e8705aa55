#include "server/services/connection_stream.h"

#include <grpc/grpc.h>

#include <optional>
#include <string>
#include <utility>

#include "backplane/domain/error.h"
#include "backplane/rpc/local_methods.h"
#include "server/services/connection_frames.h"

namespace actioncluster {
namespace {

// More than can be outstanding: who is so far ahead of the host is flooding.
constexpr size_t kMaxUnhandled = 16'384;
constexpr size_t kMaxUnhandledBytes = size_t{64} * 1024 * 1024;
constexpr size_t kMaxHeld = 256;

v1::OpenResponse GoodbyeFrame(v1::OpenResponse::Goodbye goodbye) {
  v1::OpenResponse frame;
  *frame.mutable_goodbye() = std::move(goodbye);
  return frame;
}

}  // namespace

ConnectionStream::ConnectionStream(grpc::CallbackServerContext& context, ConnectionStreams& streams, Offload& offload)
    : context_(context),
      streams_(streams),
      call_(context.c_call()),
      outbox_(offload,
              {.droppable_bytes = streams.limits().outbox_bytes,
               .kept_bytes = 4 * streams.limits().outbox_bytes,
               .drop = streams.limits().drop},
              {.start_write = [this](const grpc::ByteBuffer* frame) { StartWrite(frame); },
               .finish = [this](grpc::Status status) { Finish(std::move(status)); },
               .make_missed = &EncodeMissed}) {
  grpc_call_ref(call_);
}

ConnectionStream::~ConnectionStream() { grpc_call_unref(call_); }

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ConnectionStream::Start(
    grpc::CallbackServerContext& context, ConnectionStreams& streams, Offload& offload, const absl::Status& admitted) {
  std::shared_ptr<ConnectionStream> stream(new ConnectionStream(context, streams, offload));
  stream->self_ = stream;
  absl::Status status = admitted;
  if (status.ok()) {
    stream->counted_ = true;
    status = streams.Come();
  }
  if (status.ok()) {
    stream->StartRead(&stream->request_);
  } else {
    stream->outbox_.End(status, /*flush=*/false);
  }
  return stream.get();
}

void ConnectionStream::OnReadDone(bool ok) {
  if (!ok) {
    // What was read before is handled before.
    read_all_ = true;
    streams_.loop().Post([self = shared_from_this()] { self->End(absl::OkStatus(), /*flush=*/true, nullptr); });
    return;
  }
  if (const absl::Status handled = Handle(request_); !handled.ok()) {
    outbox_.End(handled, /*flush=*/false);
    return;
  }
  if (unhandled_.load(std::memory_order_relaxed) > kMaxUnhandled ||
      unhandled_bytes_.load(std::memory_order_relaxed) > kMaxUnhandledBytes) {
    streams_.loop().Post([self = shared_from_this()] { self->Flooded(); });
    return;
  }
  StartRead(&request_);
}

absl::Status ConnectionStream::Handle(const grpc::ByteBuffer& bytes) {
  std::optional<v1::OpenRequest> frame = ParseOpenRequest(bytes);
  if (!said_hello_) {
    if (!frame.has_value() || !frame->has_hello()) return absl::InvalidArgumentError("the first frame must be a hello");
    if (absl::Status valid = ValidateHello(frame->hello()); !valid.ok()) return valid;
    HandleHello(std::move(*frame->mutable_hello()));
    return absl::OkStatus();
  }
  if (!frame.has_value()) {
    Complain(nullptr, absl::InvalidArgumentError("a frame is no OpenRequest, or has strings that are not UTF-8"));
    return absl::OkStatus();
  }
  switch (frame->frame_case()) {
    case v1::OpenRequest::kHello:
      Complain(&*frame, absl::InvalidArgumentError("hello comes once, as the first frame"));
      break;
    case v1::OpenRequest::kVerb:
      if (const absl::Status valid = ValidateVerb(frame->verb()); !valid.ok()) {
        Complain(&*frame, valid);
      } else {
        OnLoop(bytes.Length(), [this, verb = std::move(*frame->mutable_verb())](HostId id) mutable {
          streams_.host().Verb(id, std::move(verb));
        });
      }
      break;
    case v1::OpenRequest::kAnswer:
      OnLoop(bytes.Length(), [this, call_id = frame->answer().call_id(), outcome = OutcomeOf(frame->answer())](
                                 HostId id) mutable { streams_.host().Answer(id, call_id, std::move(outcome)); });
      break;
    case v1::OpenRequest::FRAME_NOT_SET:
      Complain(&*frame, absl::InvalidArgumentError("a frame must be one of hello, verb, answer"));
      break;
  }
  return absl::OkStatus();
}

void ConnectionStream::HandleHello(v1::OpenRequest::Hello hello) {
  said_hello_ = true;
  streams_.loop().Post(
      [self = shared_from_this(), hello = std::move(hello)]() mutable { self->Attach(std::move(hello)); });
}

void ConnectionStream::Complain(const v1::OpenRequest* frame, const absl::Status& error) {
  OnLoop(0, [this, complaint = ErrorFrame(frame, error)](HostId) mutable { Send(std::move(complaint)); });
}

void ConnectionStream::OnLoop(size_t bytes, absl::AnyInvocable<void(HostId) &&> task) {
  unhandled_.fetch_add(1, std::memory_order_relaxed);
  unhandled_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  streams_.loop().Post([self = shared_from_this(), bytes, task = std::move(task)]() mutable {
    self->unhandled_.fetch_sub(1, std::memory_order_relaxed);
    self->unhandled_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    if (self->id_ != 0) std::move(task)(self->id_);
  });
}

void ConnectionStream::OnCancel() {
  outbox_.End(absl::UnavailableError("the client went away"), /*flush=*/false);
  // A client that has closed its half, and does not read what is left for it, is cut by this node; it is not lost.
  const bool finished = read_all_ && cut_;
  streams_.loop().Post([self = shared_from_this(), finished] { self->Detach(finished); });
}

void ConnectionStream::OnDone() {
  if (counted_) streams_.Go();
  // Had the client been lost, OnCancel would have been called before.
  streams_.loop().Post([self = std::move(self_)] { self->Detach(self->read_all_); });
}

void ConnectionStream::Attach(v1::OpenRequest::Hello hello) {
  if (over_ || ending_) return;
  const HostId id = streams_.host().Attach(shared_from_this(), std::move(hello), PeerAddress(context_.peer()));
  if (!over_) id_ = id;
}

void ConnectionStream::Send(v1::OpenResponse frame) {
  const bool welcome = frame.has_welcome();
  if (!welcomed_ && !welcome) return Hold(std::move(frame));
  const size_t bytes = frame.ByteSizeLong();
  if (!outbox_.PushKept(bytes, [frame = std::move(frame)] { return EncodeOpenResponse(frame); })) return TooSlow();
  if (!welcome) return;
  welcomed_ = true;
  for (v1::OpenResponse& held : std::exchange(held_, {})) Send(std::move(held));
  if (gap_held_) outbox_.MarkGap();
}

void ConnectionStream::Hold(v1::OpenResponse frame) {
  held_.push_back(std::move(frame));
  if (held_.size() > kMaxHeld) TooSlow();
}

void ConnectionStream::MarkGap() {
  if (welcomed_) return outbox_.MarkGap();
  gap_held_ = true;
}

bool ConnectionStream::SendInvoke(v1::OpenResponse frame) {
  if (!welcomed_) {
    Hold(std::move(frame));
    return true;
  }
  const size_t bytes = frame.ByteSizeLong();
  return outbox_.PushKept(bytes, streams_.limits().outbox_bytes,
                          [frame = std::move(frame)] { return EncodeOpenResponse(frame); });
}

void ConnectionStream::SendDirect(v1::OpenResponse frame) {
  if (!welcomed_) return Hold(std::move(frame));
  const size_t bytes = frame.ByteSizeLong();
  if (!outbox_.PushDroppable(
          bytes, [frame = std::move(frame)] { return EncodeOpenResponse(frame); }, OutboxWriter::kPusher)) {
    TooSlow();
  }
}

void ConnectionStream::SendMessage(const grpc::ByteBuffer& frame, size_t bytes, OutboxWriter writer) {
  // A copy of a buffer shares its bytes.
  if (!outbox_.PushDroppable(
          bytes, [frame] { return frame; }, writer)) {
    TooSlow();
  }
}

void ConnectionStream::Close(v1::OpenResponse::Goodbye goodbye, const absl::Status& why) {
  over_ = true;
  id_ = 0;
  End(why, /*flush=*/true, [frame = GoodbyeFrame(std::move(goodbye))] { return EncodeOpenResponse(frame); });
}

void ConnectionStream::Refuse(const absl::Status& why) {
  over_ = true;
  id_ = 0;
  End(why, /*flush=*/false, nullptr);
}

void ConnectionStream::TooSlow() {
  v1::OpenResponse::Goodbye goodbye;
  goodbye.set_reason("too_slow");
  if (!End(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the client does not read its frames", {{"limit", "outbox"}}),
           /*flush=*/false, [frame = GoodbyeFrame(std::move(goodbye))] { return EncodeOpenResponse(frame); })) {
    return;
  }
  // Not now, as the host is sending.
  streams_.loop().Post([self = shared_from_this()] { self->Detach(/*finished=*/false); });
}

void ConnectionStream::Flooded() {
  if (!End(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "frames come faster than they can be handled",
                     {{"limit", "frames"}}),
           /*flush=*/false, nullptr)) {
    return;
  }
  Detach(/*finished=*/false);
}

bool ConnectionStream::End(const absl::Status& why, bool flush, ClientOutbox<grpc::ByteBuffer>::Make last) {
  if (std::exchange(ending_, true)) return false;
  outbox_.End(why, flush, std::move(last));
  streams_.CutLater(weak_from_this());
  return true;
}

void ConnectionStream::Detach(bool finished) {
  over_ = true;
  if (id_ != 0) streams_.host().Detach(std::exchange(id_, 0), finished);
}

void ConnectionStream::Cut() {
  cut_ = true;
  grpc_call_cancel(call_, nullptr);
}

}  // namespace actioncluster

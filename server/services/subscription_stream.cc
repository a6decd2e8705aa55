#include "server/services/subscription_stream.h"

#include <utility>

#include "server/services/subscribers.h"
#include "server/services/subscription_frames.h"

namespace actioncluster {

SubscriptionStream::SubscriptionStream(grpc::CallbackServerContext& context, Loop& loop, Subscribers& subscribers,
                                       Offload& offload)
    : context_(context),
      loop_(loop),
      subscribers_(subscribers),
      outbox_(
          offload, {}, [this](const grpc::ByteBuffer* frame) { StartWrite(frame); },
          [this](grpc::Status status) { Finish(std::move(status)); }) {}

grpc::ServerWriteReactor<grpc::ByteBuffer>* SubscriptionStream::Start(grpc::CallbackServerContext& context, Loop& loop,
                                                                      Subscribers& subscribers, Offload& offload,
                                                                      const absl::Status& admitted, Interest interest) {
  std::shared_ptr<SubscriptionStream> stream(new SubscriptionStream(context, loop, subscribers, offload));
  stream->self_ = stream;
  if (!admitted.ok()) {
    stream->End(admitted, /*flush=*/false);
  } else {
    loop.Post(
        [stream, interest = std::move(interest)]() mutable { stream->subscribers_.Add(stream, std::move(interest)); });
  }
  return stream.get();
}

void SubscriptionStream::Open(const std::string& node_id) {
  outbox_.Begin([&] {
    context_.AddInitialMetadata("actioncluster-node-id", node_id);
    StartSendInitialMetadata();
  });
}

void SubscriptionStream::Send(const grpc::ByteBuffer& frame, size_t bytes, OutboxWriter writer) {
  if (Push(&frame, bytes, writer)) return;
  ++missed_;
  TellIfIdle();
}

void SubscriptionStream::TellMissing() {
  if ((missed_ > 0 || gap_) && !Push(nullptr, 0, OutboxWriter::kOffload)) TellIfIdle();
}

// All may have been written since it was full: then no write ends any more that would tell.
void SubscriptionStream::TellIfIdle() {
  if (outbox_.idle()) Push(nullptr, 0, OutboxWriter::kOffload);
}

void SubscriptionStream::Close(const absl::Status& why) {
  if (missed_ > 0 || gap_) outbox_.PushLast([last = WithMissing(nullptr, missed_, gap_)] { return last; });
  End(why, /*flush=*/true);
}

bool SubscriptionStream::Push(const grpc::ByteBuffer* frame, size_t bytes, OutboxWriter writer) {
  // A copy of a buffer shares its bytes.
  const grpc::ByteBuffer whole = missed_ > 0 || gap_ ? WithMissing(frame, missed_, gap_) : *frame;
  if (!outbox_.Push(
          bytes, [whole] { return whole; }, writer)) {
    untold_ = true;
    return false;
  }
  missed_ = 0;
  gap_ = false;
  untold_ = false;
  return true;
}

void SubscriptionStream::OnWriteDone(bool ok) {
  outbox_.OnWriteDone(ok);
  if (untold_ && outbox_.idle()) {
    loop_.Post([self = shared_from_this()] { self->TellMissing(); });
  }
}

void SubscriptionStream::OnDone() {
  loop_.Post([self = std::move(self_)] { self->subscribers_.Remove(self.get()); });
}

}  // namespace actioncluster

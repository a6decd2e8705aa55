#include "server/services/subscribers.h"

#include <utility>

#include "absl/strings/str_join.h"
#include "backplane/domain/error.h"
#include "server/services/subscription_frames.h"

namespace actioncluster {
namespace {

// So many writes take less than waking another thread would.
constexpr size_t kWrittenHere = 8;

}  // namespace

Subscribers::Subscribers(PubSub& pubsub, const Membership& membership) : pubsub_(pubsub), membership_(membership) {
  pubsub_.SetListener(this);
}

Subscribers::~Subscribers() {
  for (const auto& [id, stream] : streams_) pubsub_.Unsubscribe(id);
}

void Subscribers::Add(const std::shared_ptr<SubscriptionStream>& stream, Interest interest) {
  if (draining_.has_value()) {
    stream->End(*draining_, /*flush=*/false);
    return;
  }
  const PubSub::SubscriberId id = pubsub_.Subscribe(std::move(interest), [this, stream](const absl::Status& status) {
    if (status.ok()) {
      stream->Open(membership_.self().id);
    } else {
      stream->End(status, /*flush=*/false);
    }
  });
  ids_.emplace(stream.get(), id);
  streams_.emplace(id, stream);
}

void Subscribers::Remove(SubscriptionStream* stream) {
  const auto id = ids_.find(stream);
  if (id == ids_.end()) return;
  pubsub_.Unsubscribe(id->second);
  streams_.erase(id->second);
  ids_.erase(id);
}

void Subscribers::Drain(const std::vector<std::string>& alternatives) {
  draining_ =
      WithMetadata(BackplaneUnavailable("this node is draining"), "alternatives", absl::StrJoin(alternatives, ","));
  CloseAll(*draining_);
}

void Subscribers::CloseAll(const absl::Status& why) {
  for (const auto& [id, stream] : streams_) {
    pubsub_.Unsubscribe(id);  // Now, as who does not read may stay for long.
    stream->Close(why);
  }
}

void Subscribers::OnMessage(const PubSub::Incoming& message, PubSub::Subscribers to) {
  const grpc::ByteBuffer frame = EncodeMessage(message);
  const size_t bytes = frame.Length();
  size_t written = 0;
  for (const PubSub::SubscriberId id : to) {
    const auto stream = streams_.find(id);
    if (stream == streams_.end()) continue;
    stream->second->Send(frame, bytes, written++ < kWrittenHere ? OutboxWriter::kPusher : OutboxWriter::kOffload);
  }
}

void Subscribers::OnInterrupted(PubSub::Subscribers whom) {
  for (const PubSub::SubscriberId id : whom) {
    if (const auto stream = streams_.find(id); stream != streams_.end()) stream->second->MarkGap();
  }
}

void Subscribers::OnResumed() {
  for (const auto& [id, stream] : streams_) stream->TellMissing();
}

}  // namespace actioncluster

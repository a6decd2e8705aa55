#include "server/services/node_stream.h"

#include <utility>

#include "backplane/domain/error.h"
#include "server/services/node_proto.h"

namespace actioncluster {
namespace {

constexpr size_t kMaxQueued = 1024;

v1::WatchNodesResponse::Event ToProto(NodeEvent::Kind kind) {
  switch (kind) {
    case NodeEvent::Kind::kJoined:
      return v1::WatchNodesResponse::EVENT_JOINED;
    case NodeEvent::Kind::kLeft:
      return v1::WatchNodesResponse::EVENT_LEFT;
    case NodeEvent::Kind::kLost:
      return v1::WatchNodesResponse::EVENT_LOST;
    case NodeEvent::Kind::kDraining:
      return v1::WatchNodesResponse::EVENT_DRAINING;
    case NodeEvent::Kind::kUpdated:
      return v1::WatchNodesResponse::EVENT_UPDATED;
  }
  return v1::WatchNodesResponse::EVENT_UNSPECIFIED;
}

}  // namespace

NodeWatchers::NodeWatchers(Membership& membership) : membership_(membership) {
  membership.OnNode([this](const NodeEvent& event) {
    for (const auto& [key, stream] : streams_) stream->Send(event);
  });
}

void NodeWatchers::Add(std::shared_ptr<NodeStream> stream) {
  for (const auto& [id, node] : membership_.directory().nodes()) {
    stream->Send({.kind = NodeEvent::Kind::kJoined, .node = node});
  }
  NodeStream* key = stream.get();
  streams_.emplace(key, std::move(stream));
}

void NodeWatchers::Remove(NodeStream* stream) { streams_.erase(stream); }

void NodeWatchers::CloseAll(const absl::Status& why) {
  for (const auto& [key, stream] : streams_) stream->End(why, /*flush=*/true);
}

NodeStream::NodeStream(Loop& loop, NodeWatchers& watchers, Offload& offload)
    : loop_(loop),
      watchers_(watchers),
      outbox_(
          offload, {.frames = kMaxQueued}, [this](const v1::WatchNodesResponse* frame) { StartWrite(frame); },
          [this](grpc::Status status) { Finish(std::move(status)); }) {}

grpc::ServerWriteReactor<v1::WatchNodesResponse>* NodeStream::Start(Loop& loop, NodeWatchers& watchers,
                                                                    Offload& offload, const absl::Status& admitted) {
  std::shared_ptr<NodeStream> stream(new NodeStream(loop, watchers, offload));
  stream->self_ = stream;
  if (!admitted.ok()) {
    stream->End(admitted, /*flush=*/false);
  } else {
    loop.Post([stream] { stream->watchers_.Add(stream); });
  }
  return stream.get();
}

void NodeStream::Send(const NodeEvent& event) {
  const size_t bytes = event.node.ByteSizeLong();  // A node may offer methods by the thousand.
  const bool sent = outbox_.Push(bytes, [self = shared_from_this(), event] {
    v1::WatchNodesResponse response;
    response.set_event(ToProto(event.kind));
    *response.mutable_node() = NodeToProto(event.node);
    return response;
  });
  if (!sent) {
    End(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the watcher does not keep up: list the nodes and watch again",
                  {{"limit", "outbox"}}),
        /*flush=*/false);
  }
}

void NodeStream::OnDone() {
  loop_.Post([self = std::move(self_)] { self->watchers_.Remove(self.get()); });
}

}  // namespace actioncluster

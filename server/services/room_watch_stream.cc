#include "server/services/room_watch_stream.h"

#include <utility>

#include "backplane/domain/error.h"
#include "server/services/room_watchers.h"

namespace actioncluster {

RoomWatchStream::RoomWatchStream(Loop& loop, RoomWatchers& watchers, Offload& offload)
    : loop_(loop),
      watchers_(watchers),
      outbox_(
          offload, {}, [this](const grpc::ByteBuffer* frame) { StartWrite(frame); },
          [this](grpc::Status status) { Finish(std::move(status)); }) {}

grpc::ServerWriteReactor<grpc::ByteBuffer>* RoomWatchStream::Start(Loop& loop, RoomWatchers& watchers, Offload& offload,
                                                                   const absl::Status& admitted, std::string room) {
  std::shared_ptr<RoomWatchStream> stream(new RoomWatchStream(loop, watchers, offload));
  stream->self_ = stream;
  if (!admitted.ok()) {
    stream->End(admitted);
  } else {
    loop.Post([stream, room = std::move(room)]() mutable { stream->watchers_.Add(std::move(room), stream); });
  }
  return stream.get();
}

void RoomWatchStream::Show(const std::vector<grpc::ByteBuffer>& snapshot) {
  const bool unlimited = !std::exchange(shown_, true) || outbox_.idle();
  for (const grpc::ByteBuffer& frame : snapshot) {
    const bool sent = unlimited ? outbox_.PushLast([frame] { return frame; })
                                : outbox_.Push(frame.Length(), [frame] { return frame; });
    if (!sent) return Overwhelmed();
  }
}

void RoomWatchStream::Tell(const grpc::ByteBuffer& frame) {
  if (!outbox_.Push(frame.Length(), [frame] { return frame; })) Overwhelmed();
}

void RoomWatchStream::Overwhelmed() {
  outbox_.End(
      MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the watcher does not keep up: watch again", {{"limit", "outbox"}}),
      /*flush=*/false);
}

void RoomWatchStream::OnDone() {
  loop_.Post([self = std::move(self_)] { self->watchers_.Remove(self.get()); });
}

}  // namespace actioncluster

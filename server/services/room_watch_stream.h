#ifndef ACTIONCLUSTER_SERVER_SERVICES_ROOM_WATCH_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_ROOM_WATCH_STREAM_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"

namespace actioncluster {

class RoomWatchers;

// The server's side of one WatchRoom. Owns itself until gRPC is done with it.
class RoomWatchStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                              public std::enable_shared_from_this<RoomWatchStream> {
 public:
  // Not `admitted`: the stream ends at once with that status. The references outlive the stream.
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(Loop& loop, RoomWatchers& watchers, Offload& offload,
                                                           const absl::Status& admitted, std::string room);

  // All on the I/O thread. Frames are shared with other streams. A watcher that does not keep up is ended.
  // Who is there. The first is sent whatever its size, since it would be no smaller another time.
  void Show(const std::vector<grpc::ByteBuffer>& snapshot);
  bool shown() const { return shown_; }
  // A change.
  void Tell(const grpc::ByteBuffer& frame);

  // Any thread.
  void End(const absl::Status& status) { outbox_.End(status, /*flush=*/true); }

 private:
  RoomWatchStream(Loop& loop, RoomWatchers& watchers, Offload& offload);
  void Overwhelmed();

  // gRPC's threads.
  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override { outbox_.End(absl::UnavailableError("the watcher went away"), /*flush=*/false); }
  void OnDone() override;

  // Constant after construction.
  Loop& loop_;
  RoomWatchers& watchers_;

  bool shown_ = false;  // I/O thread only.
  Outbox<grpc::ByteBuffer> outbox_;
  std::shared_ptr<RoomWatchStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_ROOM_WATCH_STREAM_H_

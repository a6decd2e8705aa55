#ifndef ACTIONCLUSTER_SERVER_SERVICES_ROOM_BROADCAST_H_
#define ACTIONCLUSTER_SERVER_SERVICES_ROOM_BROADCAST_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/v1/rooms.pb.h"
#include "backplane/chat/room_store.h"
#include "backplane/domain/content.h"
#include "backplane/redis/loop.h"
#include "server/connections/room_hooks.h"
#include "server/grpc/unary_call.h"

namespace actioncluster {

// Says something in a room in the name of the server side: reads the room, asks its hook, and says what that leaves. Confined to the I/O thread.
class RoomBroadcast : public std::enable_shared_from_this<RoomBroadcast> {
 public:
  struct Saying {
    std::string room;
    Content content;
    absl::Time deadline;  // Monotonic. What is under way then goes on; the caller hears RPC_TIMEOUT.
  };
  // In the handler of `call`, which it finishes. The references outlive the call.
  static void Start(Loop& loop, RoomStore& store, RoomHooks& hooks, UnaryCall* call, Saying saying,
                    v1::BroadcastResponse* response);

 private:
  RoomBroadcast(RoomStore& store, RoomHooks& hooks, UnaryCall* call, Saying saying, v1::BroadcastResponse* response);

  void Begin(Loop& loop);
  void Ask(const internal::v1::RoomRecord& record);
  void Say(Content content);
  // The first counts.
  void Finish(const absl::Status& status);

  RoomStore& store_;
  RoomHooks& hooks_;
  UnaryCall* call_;  // Null: it is finished.
  Saying saying_;
  v1::BroadcastResponse* const response_;
  std::optional<Timer> timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_ROOM_BROADCAST_H_

#ifndef ACTIONCLUSTER_SERVER_SERVICES_ROOM_SERVICE_H_
#define ACTIONCLUSTER_SERVER_SERVICES_ROOM_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "actioncluster/v1/rooms.grpc.pb.h"
#include "backplane/chat/room_store.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "server/connections/room_hooks.h"
#include "server/connections/room_reader.h"
#include "server/grpc/authorizer.h"
#include "server/grpc/offload.h"
#include "server/services/room_watchers.h"

namespace actioncluster {

// What a request wants a room to be like; INVALID_ARGUMENT. Pure; any thread.
absl::StatusOr<internal::v1::RoomRecord> RoomRecordOf(const v1::RoomServiceCreateRequest& request);

// RoomService of the public API: validates, converts, delegates. WatchRoom's frames are bytes, as one encoding serves all watchers. One instance may be registered with several servers. Any thread.
class RoomService final
    : public v1::RoomService::WithCallbackMethod_Create<v1::RoomService::WithCallbackMethod_Destroy<
          v1::RoomService::WithCallbackMethod_Exists<v1::RoomService::WithCallbackMethod_List<
              v1::RoomService::WithCallbackMethod_Status<v1::RoomService::WithCallbackMethod_AddMember<
                  v1::RoomService::WithCallbackMethod_RemoveMember<v1::RoomService::WithCallbackMethod_Broadcast<
                      v1::RoomService::WithRawCallbackMethod_WatchRoom<v1::RoomService::Service>>>>>>>>> {
 public:
  // All outlive the servers that this is registered with.
  struct Rooms {
    Loop& loop;
    RoomStore& store;
    RoomHooks& hooks;
    RoomReader& reader;
    RoomWatchers& watchers;
    Rpc& rpc;
    const Authorizer& authorizer;
    Offload& offload;  // Writes to watchers.
  };

  RoomService(Rooms rooms, absl::Duration default_timeout) : rooms_(rooms), default_timeout_(default_timeout) {}

  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* context, const v1::RoomServiceCreateRequest* request,
                                   v1::RoomServiceCreateResponse* response) override;
  grpc::ServerUnaryReactor* Destroy(grpc::CallbackServerContext* context, const v1::RoomServiceDestroyRequest* request,
                                    v1::RoomServiceDestroyResponse* response) override;
  grpc::ServerUnaryReactor* Exists(grpc::CallbackServerContext* context, const v1::RoomServiceExistsRequest* request,
                                   v1::RoomServiceExistsResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const v1::RoomServiceListRequest* request,
                                 v1::RoomServiceListResponse* response) override;
  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context, const v1::RoomServiceStatusRequest* request,
                                   v1::RoomServiceStatusResponse* response) override;
  grpc::ServerUnaryReactor* AddMember(grpc::CallbackServerContext* context, const v1::AddMemberRequest* request,
                                      v1::AddMemberResponse* response) override;
  grpc::ServerUnaryReactor* RemoveMember(grpc::CallbackServerContext* context, const v1::RemoveMemberRequest* request,
                                         v1::RemoveMemberResponse* response) override;
  grpc::ServerUnaryReactor* Broadcast(grpc::CallbackServerContext* context, const v1::BroadcastRequest* request,
                                      v1::BroadcastResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchRoom(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request) override;

 private:
  const Rooms rooms_;
  const absl::Duration default_timeout_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_ROOM_SERVICE_H_

#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_ROOMS_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_ROOMS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actioncluster/client.h"
#include "actioncluster/v1/connections.pb.h"
#include "actioncluster/v1/rooms.pb.h"

// The server side of connections and rooms as plain functions, on the channel of a client: see there for token, deadline, errors, threads and retries; and connections.proto and rooms.proto for the fields
// and errors. To be a connection: connection.h.
//
// What only reads is repeated: Get and List; Exists, List, Status, and WatchRoom until its first answer. All else is sent once.
namespace actioncluster::client {

// ConnectionService. As cheap as a reference, which it is: the client outlives it.
class Connections {
 public:
  explicit Connections(Client& client) : client_(client) {}

  // Both with ClientOptions::timeout, unless the request says another.
  absl::StatusOr<v1::ApplyResponse> Apply(const v1::ApplyRequest& request);
  absl::StatusOr<v1::InvokeResponse> Invoke(const v1::InvokeRequest& request);

  absl::StatusOr<v1::ConnectionServiceGetResponse> Get(const v1::ConnectionServiceGetRequest& request);
  absl::StatusOr<v1::ConnectionServiceListResponse> List(const v1::ConnectionServiceListRequest& request = {});

 private:
  Client& client_;
};

// RoomService. Likewise.
class Rooms {
 public:
  explicit Rooms(Client& client) : client_(client) {}

  absl::StatusOr<v1::RoomServiceCreateResponse> Create(const v1::RoomServiceCreateRequest& request);
  absl::StatusOr<v1::RoomServiceDestroyResponse> Destroy(const v1::RoomServiceDestroyRequest& request);
  absl::StatusOr<v1::RoomServiceExistsResponse> Exists(const v1::RoomServiceExistsRequest& request);
  absl::StatusOr<v1::RoomServiceListResponse> List(const v1::RoomServiceListRequest& request = {});
  absl::StatusOr<v1::RoomServiceStatusResponse> Status(const v1::RoomServiceStatusRequest& request);

  // These with ClientOptions::timeout, unless the request says another.
  absl::StatusOr<v1::AddMemberResponse> AddMember(const v1::AddMemberRequest& request);
  absl::StatusOr<v1::RemoveMemberResponse> RemoveMember(const v1::RemoveMemberRequest& request);
  absl::StatusOr<v1::BroadcastResponse> Broadcast(const v1::BroadcastRequest& request);

  // In this call, on this thread: who is there, then each change, until `on_change` returns false (OK), or the stream ends (why). Without a deadline.
  absl::Status Watch(const v1::WatchRoomRequest& request,
                     absl::FunctionRef<bool(const v1::WatchRoomResponse&)> on_change);

 private:
  Client& client_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_ROOMS_H_

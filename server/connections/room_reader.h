#ifndef ACTIONCLUSTER_SERVER_CONNECTIONS_ROOM_READER_H_
#define ACTIONCLUSTER_SERVER_CONNECTIONS_ROOM_READER_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "actioncluster/v1/rooms.pb.h"
#include "backplane/chat/room_store.h"
#include "backplane/membership/membership.h"

namespace actioncluster {

// What rooms look like to those who ask: only members whose nodes live count. Confined to the I/O thread; callbacks run on it, never inside the calls. Errors: BACKPLANE_UNAVAILABLE and those of the RPCs.
class RoomReader {
 public:
  template <class T>
  using Then = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

  // The references outlive this.
  RoomReader(RoomStore& rooms, const Membership& membership) : rooms_(rooms), membership_(membership) {}

  // The requests are valid but for their page tokens: INVALID_ARGUMENT.
  void Status(const v1::RoomServiceStatusRequest& request, Then<v1::RoomServiceStatusResponse> done);
  void List(const v1::RoomServiceListRequest& request, Then<v1::RoomServiceListResponse> done);

 private:
  RoomStore& rooms_;
  const Membership& membership_;
};

// Between records and messages. Pure; any thread.
v1::RoomMember MemberToProto(const internal::v1::RoomMemberRecord& record);
void RecordToProto(const internal::v1::RoomRecord& record, v1::RoomHistory* history, v1::RoomHooks* hooks);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONNECTIONS_ROOM_READER_H_

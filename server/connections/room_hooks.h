#ifndef ACTIONCLUSTER_SERVER_CONNECTIONS_ROOM_HOOKS_H_
#define ACTIONCLUSTER_SERVER_CONNECTIONS_ROOM_HOOKS_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/domain/content.h"
#include "backplane/membership/membership.h"
#include "backplane/rpc/rpc.h"
#include "server/methods/offered_names.h"

namespace actioncluster {

// Asks applications before something happens in a room: `hook/NAME`, any of those that offer it, the nearest first.
//
// One that is not offered (which is known without a round trip) or does not answer in time is passed over, unless the room requires it.
//
// Confined to the I/O thread.
class RoomHooks {
 public:
  // The references outlive this.
  RoomHooks(const Membership& membership, Rpc& rpc) : membership_(membership), rpc_(rpc) {}

  struct Question {
    absl::string_view hook;
    std::string room;
    std::string connection;  // Serialized v1.Connection of whom it is about; empty: the server side.
    std::string from;        // Of kHookDeliver: who said it.
    Content content;         // What is said; JSON here is a Value. None for kHookJoin and kHookLeave.
  };
  // Nobody would be asked, and nothing refused.
  bool Idle(absl::string_view hook, const internal::v1::RoomRecord& room) const;
  // `answer`: what is to be said now; or why it is refused: HANDLER_FAILED as the handler said; of a hook that the room requires BACKPLANE_UNAVAILABLE (nobody offers it), RPC_TIMEOUT and whatever else kept it from
  // answering. Inside this call if nobody is asked.
  void Ask(Question question, const internal::v1::RoomRecord& room,
           absl::AnyInvocable<void(absl::StatusOr<Content>) &&> answer);

 private:
  const Membership& membership_;
  Rpc& rpc_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONNECTIONS_ROOM_HOOKS_H_

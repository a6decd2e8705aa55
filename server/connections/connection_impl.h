#ifndef ACTIONCLUSTER_SERVER_CONNECTIONS_CONNECTION_IMPL_H_
#define ACTIONCLUSTER_SERVER_CONNECTIONS_CONNECTION_IMPL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "actioncluster/v1/connections.pb.h"
#include "backplane/chat/room_store.h"
#include "backplane/presence/presence.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/local_methods.h"
#include "server/connections/client_stream.h"
#include "server/connections/connection_host.h"
#include "server/connections/connection_state.h"
#include "server/connections/room_frames.h"

// What the parts of ConnectionHost share; for this folder only.
namespace actioncluster {

struct ConnectionHost::Impl : public std::enable_shared_from_this<ConnectionHost::Impl> {
  Impl(const Parts& parts_in, ConnectionSettings settings_in);

  // A callback that runs `f(*this, arguments…)`, but nothing once the host is gone.
  template <class F>
  auto Guard(F f) {
    return [weak = weak_from_this(), f = std::move(f)](auto&&... arguments) mutable {
      if (const std::shared_ptr<Impl> self = weak.lock()) f(*self, std::forward<decltype(arguments)>(arguments)...);
    };
  }

  // connection_host.cc: how connections come and go.
  void Attach(const ClientPtr& client);
  void OnClaimed(const ClientPtr& client, absl::StatusOr<Presence::Claimed> claimed);
  void EnterRooms(const ClientPtr& client);
  void Welcome(const ClientPtr& client, const std::vector<std::string>& rooms_with_gaps, bool resumed);
  void Detach(HostId id, bool finished);
  // It is no longer here. `goodbye`: what its client is told, if there is still one to tell.
  enum class Why { kOver, kLost, kMoved };
  void Remove(const ClientPtr& client, Why why, const v1::OpenResponse::Goodbye* goodbye, const absl::Status& status);
  void Settle(Settlement settlement);
  // Redis could not be told, or it is not known whether it was: it is told later.
  void Owe(Settlement settlement);
  void OweLeave(const Client& client, const std::string& room, const internal::v1::RoomMemberRecord& member);
  void SettleOwed();
  // What Redis could not be told is told again in a moment, though nobody says that it is well.
  void RetrySoon();
  void OnMoved(const std::string& id, int64_t epoch);
  // It is not known to Redis any more: its client may come back.
  void Lose(const ClientPtr& client);
  void CheckClaim(const ClientPtr& client);
  // Refuses those that are not yet here, and all that come from now on; gives those that are here.
  std::deque<ClientPtr> RefuseNewcomers(const absl::Status& why);
  // Sends those away that are departing, `at_once` now, and as many every kDepartEvery.
  void Depart(const v1::OpenResponse::Goodbye& goodbye, const absl::Status& why, size_t at_once);
  void Store(const ClientPtr& client, Ended done);
  void StoreNow(const ClientPtr& client);
  void StoreDirty();
  // Runs `task` then: for whoever waits for something that may never come.
  void At(absl::Time when, absl::AnyInvocable<void() &&> task);
  void RunDue();

  // Steps.
  void Do(const ClientPtr& client, absl::Time deadline, absl::AnyInvocable<void(Ended) &&> run, Ended done);
  void NextStep(const ClientPtr& client);
  void EndSteps(const ClientPtr& client);

  // connection_calls.cc: what other nodes ask.
  ClientPtr Find(const std::string& connection_id) const;
  v1::Connection Details(const Client& client) const;
  std::string Subject(const Client& client) const;
  void OnApply(const IncomingCall& call, OutcomeDone done);
  void ApplyMethod(const ClientPtr& client, v1::ApplyRequest request, absl::Time deadline, OutcomeDone done);
  void ApplySet(const ClientPtr& client, const v1::ApplyRequest& request, OutcomeDone done);
  void ApplySendMessage(const ClientPtr& client, v1::ApplyRequest request, const std::string& from_node,
                        OutcomeDone done);
  void OnInvoke(const IncomingCall& call, OutcomeDone done);
  void OnAdd(const IncomingCall& call, OutcomeDone done);
  void OnRemove(const IncomingCall& call, OutcomeDone done);
  void OnSay(const IncomingCall& call, OutcomeDone done);
  void OnList(const IncomingCall& call, OutcomeDone done);

  // connection_rooms.cc: what happens in rooms; connection_history.cc: what was missed there.
  void Join(const ClientPtr& client, const std::string& room, Ended done);
  void JoinKnown(const ClientPtr& client, const std::string& room, const internal::v1::RoomRecord& record, Ended done);
  // Puts it in, by Redis too. `joined_at_us`: since when, if it was in before.
  void Enter(const ClientPtr& client, const std::string& room, int64_t joined_at_us, Ended done);
  void TryEntered(const SeatPtr& seat);
  void Leave(const ClientPtr& client, const std::string& room, bool removed, Ended done);
  void GetUp(const ClientPtr& client, const std::string& room);
  internal::v1::RoomMemberRecord MemberRecord(const Client& client, const Seat& seat) const;
  void Say(const ClientPtr& client, const std::string& room, Content content,
           absl::AnyInvocable<void(absl::StatusOr<RoomSaid>) &&> done);
  void Hear(const RoomFeed::Incoming& saying);
  void Spread(LocalRoom& room, const std::string& name, const HeardPtr& heard);
  void Deliver(const ClientPtr& client, const SeatPtr& seat, const std::string& room, const HeardPtr& heard,
               OutboxWriter writer);
  // The same to one that is caught up so far.
  void Give(const ClientPtr& client, const SeatPtr& seat, const std::string& room, const HeardPtr& heard,
            OutboxWriter writer);
  void AskNext(const ClientPtr& client, const SeatPtr& seat, const std::string& room);
  // Those who are in a room of that name that was made before then are in none.
  void OnRoomDestroyed(const std::string& room, absl::Time before);
  // Sends what it has missed in these rooms, then what waits there; of a few rooms at a time, as its client reads.
  void CatchUp(const ClientPtr& client, const std::map<std::string, Missed>& rooms_missed);
  void CatchUpNext(const ClientPtr& client);
  struct CatchingUp;
  void ReadMissed(const std::shared_ptr<CatchingUp>& up);
  void SendMissed(const std::shared_ptr<CatchingUp>& up);
  void CatchUpRoom(const std::string& room);
  void OnInterrupted();
  void OnResumed();

  // connection_verbs.cc: what clients ask.
  void Verb(HostId id, v1::OpenRequest::Verb verb);
  void DoVerb(const ClientPtr& client, const v1::OpenRequest::Verb& verb, Ended ended);
  void CallVerb(const ClientPtr& client, v1::OpenRequest::Verb verb);
  void ViewRoom(const ClientPtr& client, const std::string& room, const std::string& message_id, Ended ended);
  void SayVerb(const ClientPtr& client, const v1::OpenRequest::Verb& verb, Ended ended);
  void ParamVerb(const ClientPtr& client, const v1::OpenRequest::Verb& verb, Ended ended);
  void Reply(const Client& client, const std::string& message_id, absl::StatusOr<google::protobuf::Value> result);

  const Parts parts;
  const ConnectionSettings settings;
  HostId next_id = 1;
  absl::flat_hash_map<HostId, ClientPtr> clients;
  absl::btree_map<std::string, ClientPtr, std::less<>> by_id;  // Those that have their ids.
  absl::flat_hash_map<std::string, LocalRoom> rooms;
  std::vector<Settlement> owed;
  bool retrying = false;
  absl::flat_hash_map<std::string, size_t> claiming;  // Ids that are being claimed, and by how many.
  size_t settling = 0;
  std::optional<absl::Status> refusing;  // The node drains.
  std::deque<ClientPtr> departing;       // Not yet told so.
  std::multimap<absl::Time, absl::AnyInvocable<void() &&>> due;
  Timer timer;
};

// An error as the outcome of a call; declined: it was not done, and is not this node's to say.
Outcome Failed(absl::Status error);
Outcome NotHere(const std::string& connection_id);
absl::Status NoSuchConnection(const std::string& connection_id);
// Puts a value into attributes or params (`what`). Errors: INVALID_ARGUMENT: the key; LIMIT_EXCEEDED.
absl::Status PutIntoState(const std::string& key, const google::protobuf::Value& value, absl::string_view what,
                          google::protobuf::Map<std::string, std::string>* map);
// The result of an internal call: a serialized message.
Outcome Answered(const google::protobuf::Message& message);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONNECTIONS_CONNECTION_IMPL_H_

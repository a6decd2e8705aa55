#ifndef ACTIONCLUSTER_SERVER_SERVICES_ROOM_WATCHERS_H_
#define ACTIONCLUSTER_SERVER_SERVICES_ROOM_WATCHERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "actioncluster/v1/rooms.pb.h"
#include "backplane/chat/room_feed.h"
#include "backplane/chat/room_store.h"
#include "backplane/membership/membership.h"
#include "server/services/room_roster.h"
#include "server/services/room_watch_stream.h"

namespace actioncluster {

// Those who watch rooms. A room that is watched is read once, and followed, for all its watchers here together. While changes may be lost nobody can begin to watch; those who watch see all anew after that.
//
// Confined to the I/O thread.
class RoomWatchers final : public RoomFeed::Listener {
 public:
  // The references outlive this. Before the feed's first Want.
  RoomWatchers(Membership& membership, RoomStore& store, RoomFeed& feed);

  // The stream is shown who is there, then every change, until it is removed or ended: with ROOM_NOT_FOUND, BACKPLANE_UNAVAILABLE or LIMIT_EXCEEDED.
  void Add(std::string room, std::shared_ptr<RoomWatchStream> stream);
  void Remove(RoomWatchStream* stream);
  // Ends all streams, and those that come, with this status.
  void CloseAll(const absl::Status& why);

  // RoomFeed::Listener
  void OnChange(const internal::v1::RoomChange& change, absl::Time at) override;
  void OnInterrupted() override;
  void OnResumed() override;

 private:
  struct Room {
    uint64_t reading = 0;  // Names the reading that is under way, over all rooms; 0: none is.
    bool ready = false;    // It has been read, and is followed.
    RoomRoster roster;
    std::map<RoomWatchStream*, std::shared_ptr<RoomWatchStream>> streams;
  };
  using Rooms = std::map<std::string, Room>;

  // Nothing if that reading does not count any more.
  Room* Reading(const std::string& room, uint64_t reading);
  void OnListening(const std::string& name, uint64_t reading, const absl::Status& status);
  void Read(const std::string& name);
  void ReadMembers(const std::string& name, uint64_t reading, uint64_t cursor);
  void OnRead(const std::string& name);
  void OnNodeGone(const std::string& boot);

  void Tell(Room& room, v1::WatchRoomResponse::Kind kind, const std::vector<RoomRoster::Member>& members);
  // Ends all its watchers, and forgets it.
  void EndRoom(Rooms::iterator room, const absl::Status& why);
  void Forget(Rooms::iterator room);

  Membership& membership_;
  RoomStore& store_;
  RoomFeed& feed_;
  Rooms rooms_;
  absl::flat_hash_map<RoomWatchStream*, std::string> where_;
  uint64_t readings_ = 0;
  bool interrupted_ = false;
  std::optional<absl::Status> closed_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

// One encoding for all who watch: the members in as many frames as they take. `more` is set as KIND_SNAPSHOT wants it. Pure.
std::vector<grpc::ByteBuffer> EncodeMembers(v1::WatchRoomResponse::Kind kind,
                                            const std::vector<const RoomRoster::Member*>& members);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_ROOM_WATCHERS_H_

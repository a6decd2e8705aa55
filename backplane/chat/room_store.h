#ifndef ACTIONCLUSTER_BACKPLANE_CHAT_ROOM_STORE_H_
#define ACTIONCLUSTER_BACKPLANE_CHAT_ROOM_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/bus/bus.h"
#include "backplane/domain/content.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"
#include "backplane/redis/loop.h"

namespace actioncluster {

// What is said in a room.
struct RoomSaying {
  std::string from;  // The connection; empty: the server side.
  Content content;
};

// What became of a saying.
struct RoomSaid {
  int64_t receivers = 0;  // Connections of nodes that Redis gave it to; a hint.
  uint64_t offset = 0;    // Its place in the history; 0: the room has none.
};

// A saying that the history has kept.
struct RoomPast {
  uint64_t offset = 0;
  RoomSaying saying;
  absl::Time sent_at;  // Redis's time.
};

// A room, as a listing shows it.
struct RoomView {
  std::string room;
  absl::Time created_at;  // Redis's time.
  internal::v1::RoomRecord record;
  // How many members each boot has there. Those of boots that are gone do not count.
  std::vector<std::pair<std::string, int64_t>> members_by_boot;
};

// Rooms, their members and their histories as Redis keeps them. A step is one script over the keys of one room's slot, which also publishes what it has changed (so it is told if and only if it
// is true); only the list of all rooms is elsewhere, and follows: a room is in it before it exists, and a name that is left in it is found out by reading the room.
//
// A member is kept with the boot that holds the connection, and is true while that boot lives. A connection is in a room once: who puts it there again, from another boot, moves it.
//
// Errors: BACKPLANE_UNAVAILABLE: of what changes something it is not known whether it was done; INTERNAL if Redis says what no script of ours does. What the scripts do stands on top of scripts/room_*.lua.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls.
class RoomStore {
 public:
  template <class T>
  using Then = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

  // The references outlive this.
  RoomStore(Loop& loop, redis::Client& commands, Bus& bus, const Keys& keys);
  ~RoomStore();

  // Gives when it was made. Errors: ROOM_EXISTS.
  void Create(const std::string& room, const internal::v1::RoomRecord& record, Then<absl::Time> done);
  // Gives how many members it had, of live boots or not. Errors: ROOM_NOT_FOUND.
  void Destroy(const std::string& room, Then<int64_t> done);

  // Errors: ROOM_NOT_FOUND.
  void Read(const std::string& room, Then<RoomView> done);
  // Up to `limit` rooms whose names begin with `prefix` and come after `after`, by name. Names that are left of rooms that are gone count too, so there may be fewer, and `more` after them.
  struct RoomPage {
    std::vector<RoomView> rooms;
    std::string last;   // The last name that was looked at; for `after`. Empty: there was none.
    bool more = false;  // There may be more.
  };
  void List(const std::string& prefix, const std::string& after, int limit, Then<RoomPage> done);
  // Some of the members, in no order, as HSCAN gives them: `cursor` is 0 at first, and `next` 0 at the end. One may come twice.
  struct MemberPage {
    std::vector<internal::v1::RoomMemberRecord> members;
    uint64_t next = 0;
  };
  void Members(const std::string& room, uint64_t cursor, Then<MemberPage> done);

  // Puts the member in, or moves it here. `joined_at_us` of the record is kept if it is set. Errors: ROOM_NOT_FOUND.
  struct Joined {
    int64_t joined_at_us;
    internal::v1::RoomRecord record;
  };
  void Join(const std::string& room, internal::v1::RoomMemberRecord member, Then<Joined> done);
  // Takes out those members that are still the boot's; gives how many they were. `kind`: what those who listen are told; KIND_UNSPECIFIED: nothing. A room that is gone has none.
  void Leave(const std::string& room, const std::string& boot,
             const std::vector<internal::v1::RoomMemberRecord>& members, internal::v1::RoomChange::Kind kind,
             Then<int64_t> done);

  // Says something: one PUBLISH, to the nodes that listen to the room. Sayings of one room leave this node in the order of the calls: while one is under way, those that come wait, and go together.
  // Errors: ROOM_NOT_FOUND; LIMIT_EXCEEDED.
  void Say(const std::string& room, RoomSaying saying, Then<RoomSaid> done);

  // What came after `offset`, oldest first, up to `limit`. `complete`: nothing is missing between `offset` and the first of it. ROOM_NOT_FOUND.
  struct History {
    std::vector<RoomPast> sayings;
    bool complete = true;
    bool more = false;  // There is more after these.
  };
  void ReadHistory(const std::string& room, uint64_t offset, int limit, Then<History> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CHAT_ROOM_STORE_H_

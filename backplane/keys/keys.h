#ifndef ACTIONCLUSTER_BACKPLANE_KEYS_KEYS_H_
#define ACTIONCLUSTER_BACKPLANE_KEYS_KEYS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace actioncluster {

// Spells every Redis key and channel; nothing else does. The hash tag of a key, in braces, decides its slot: keys that
// one script touches share a tag. Immutable; any thread.
class Keys {
 public:
  // 1 to 64 of A–Z a–z 0–9 . _ -; otherwise INVALID_ARGUMENT. Braces and colons would break the tags.
  static absl::Status Validate(absl::string_view cluster_namespace);

  // The namespace must be valid. `database`: the number that the connections select. Redis keeps keys apart by it, but not channels: they
  // carry it, so that clusters on two databases of one Redis do not hear each other.
  explicit Keys(absl::string_view cluster_namespace, int database = 0);

  const std::string& cluster_namespace() const { return namespace_; }
  int database() const { return database_; }

  // Membership, all in one slot. See scripts/membership_*.lua for what they hold.
  std::string MembershipLeases() const;   // zset: boot → when its lease ends, ms
  std::string MembershipRecords() const;  // hash: boot → NodeRecord
  std::string MembershipStats() const;    // hash: boot → NodeStats
  std::string MembershipNames() const;    // hash: node id → boot
  std::string MembershipState() const;    // hash: generation, key fingerprint, when it was last touched

  // Where a connection lives: its own slot. Any bytes are an id; two ids never share a key.
  std::string Connection(absl::string_view connection_id) const;

  // set: the connections that a boot has claimed and not released; and the zset of the boots with such sets: boot → when it began, µs.
  std::string HeldConnections(absl::string_view boot_id) const;
  std::string HoldingBoots() const;

  // A room of connections: its own slot. See scripts/part_room.lua for what they hold.
  std::string RoomInfo(absl::string_view room) const;
  std::string RoomMembers(absl::string_view room) const;
  std::string RoomBoots(absl::string_view room) const;
  std::string RoomHistory(absl::string_view room) const;
  // The names of all rooms, and when each was put there: one slot. See scripts/rooms_enlist.lua.
  std::string RoomNames() const;
  std::string RoomStamps() const;

  // A queue of tasks: its own slot. All keys that the scripts of tasks take, in their order; see scripts/part_tasks.lua.
  std::vector<std::string> Queue(absl::string_view queue) const;
  // zset: queue → when it was last claimed to be swept, µs.
  std::string Queues() const;

  // The cache: all of one key share a slot. What they hold stands in scripts/part_cache.lua and part_line.lua.
  // kStaged: a list that is being restored. kRestore: not of a key, but how far the restore with this id has got.
  enum class CacheKind { kValue, kLock, kList, kStaged, kRestore };
  std::string Cache(CacheKind kind, absl::string_view key) const;
  // Of kLock or kList: those who wait in line for it, in the order in which scripts take them.
  std::vector<std::string> CacheLine(CacheKind kind, absl::string_view key) const;
  // What a call with this id has come to. Each kind of call has ids of its own.
  enum class CacheCall { kSave, kIncrement, kPush, kPop };
  std::string CacheRequest(CacheCall call, absl::string_view key, absl::string_view request_id) const;
  // Scripts work there, and leave nothing.
  std::string CacheScratch(absl::string_view key) const;
  // What the names of all values (or locks, lists) begin with.
  std::string CachePrefix(CacheKind kind) const;
  // The pattern, as SCAN takes it, of those whose keys begin with `prefix`.
  std::string CachePattern(CacheKind kind, absl::string_view prefix) const;
  // The key of such a name; nothing if it is not one of this namespace and kind.
  std::optional<std::string> CacheKeyOf(CacheKind kind, absl::string_view name) const;

  // Channels.
  std::string ChannelAll() const;                             // every node
  std::string ChannelBoot(absl::string_view boot_id) const;   // one life of one node
  std::string ChannelMethod(absl::string_view method) const;  // the nodes that offer it
  std::string ChannelType(absl::string_view type) const;      // the nodes with subscribers of this message type
  std::string ChannelAllTypes() const;                        // the nodes with subscribers by pattern
  std::string ChannelRoom(absl::string_view room) const;      // the nodes with members in it, or watchers of it

 private:
  std::string RoomKey(absl::string_view room, absl::string_view name) const;

  const std::string namespace_;
  const int database_;
  const std::string channels_;  // What every channel begins with.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_KEYS_KEYS_H_

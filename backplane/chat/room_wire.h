#ifndef ACTIONCLUSTER_BACKPLANE_CHAT_ROOM_WIRE_H_
#define ACTIONCLUSTER_BACKPLANE_CHAT_ROOM_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/chat/room_store.h"
#include "backplane/redis/reply.h"

// How rooms are written in Redis and on the bus. What Redis says is input: what is not as it should be is INTERNAL. Pure functions; any thread.
namespace actioncluster::room_wire {

absl::Status RoomNotFound(const std::string& room);
absl::Status RoomExists(const std::string& room);

// The range of names for ZRANGEBYLEX: those that begin with `prefix` and come after `after`.
std::pair<std::string, std::string> NameRange(const std::string& prefix, const std::string& after);

// Of HMGET record, created, and HGETALL of the boots. Nothing: there is no such room.
absl::StatusOr<std::optional<RoomView>> ViewOf(const std::string& room, redis::ReplyView info, redis::ReplyView boots);

// Of HSCAN. Members that do not parse are left out.
absl::StatusOr<RoomStore::MemberPage> MembersOf(redis::ReplyView reply);

// Of room_say, for so many sayings; ROOM_NOT_FOUND.
absl::StatusOr<std::vector<RoomSaid>> SaidOf(const std::string& room, redis::ReplyView reply, size_t count);

internal::v1::Envelope EnvelopeOf(const std::string& room, RoomSaying saying);
// Nothing: the envelope is not of something said in this room.
std::optional<RoomPast> PastOf(const std::string& room, uint64_t offset, const internal::v1::Envelope& envelope);

// What listeners are told. Of those that leave only who and where.
internal::v1::Envelope ChangeOf(const std::string& room, internal::v1::RoomChange::Kind kind,
                                const std::vector<internal::v1::RoomMemberRecord>& members);
// What has become of it: its envelope's postmark says when members came in, or which of them are gone (see room_join and room_leave). False: of nobody it is true.
bool ApplyPostmark(uint64_t postmark, internal::v1::RoomChange* change);

}  // namespace actioncluster::room_wire

#endif  // ACTIONCLUSTER_BACKPLANE_CHAT_ROOM_WIRE_H_

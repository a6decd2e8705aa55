#include "backplane/chat/room_wire.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/content.h"
#include "backplane/domain/error.h"
#include "backplane/redis/fields.h"
#include "glog/logging.h"

namespace actioncluster::room_wire {
namespace {

using internal::v1::Envelope;
using internal::v1::RoomChange;
using internal::v1::RoomMemberRecord;

constexpr size_t kBootSize = 16;

// As room_join has written it.
std::optional<RoomMemberRecord> MemberOf(const std::string& id, absl::string_view value) {
  RoomMemberRecord member;
  if (value.size() < kBootSize) return std::nullopt;
  const absl::string_view record = value.substr(kBootSize);
  if (!member.ParseFromArray(record.data(), static_cast<int>(record.size()))) return std::nullopt;
  // By these it is found, and taken out.
  if (member.connection_id() != id || member.boot_id() != value.substr(0, kBootSize)) return std::nullopt;
  return member;
}

bool IsLeaving(RoomChange::Kind kind) { return kind == RoomChange::KIND_LEFT || kind == RoomChange::KIND_LOST; }

}  // namespace

absl::Status RoomNotFound(const std::string& room) {
  return MakeError(v1::ERROR_REASON_ROOM_NOT_FOUND, "there is no such room", {{"room", room}});
}

absl::Status RoomExists(const std::string& room) {
  return MakeError(v1::ERROR_REASON_ROOM_EXISTS, "there is such a room already", {{"room", room}});
}

std::pair<std::string, std::string> NameRange(const std::string& prefix, const std::string& after) {
  std::string from = after >= prefix && !after.empty() ? absl::StrCat("(", after) : absl::StrCat("[", prefix);
  // The least text that is greater than all that begin so.
  std::string end = prefix;
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (end.empty()) return {std::move(from), "+"};
  ++end.back();
  return {std::move(from), absl::StrCat("(", end)};
}

absl::StatusOr<std::optional<RoomView>> ViewOf(const std::string& room, redis::ReplyView info, redis::ReplyView boots) {
  if (info.is_array() && info[0].is_nil()) return std::nullopt;
  RoomView view;
  view.room = room;
  redis::Fields fields(info);
  if (!view.record.ParseFromString(fields.Text())) fields.Note(absl::InternalError("a room's record does not parse"));
  view.created_at = absl::FromUnixMicros(fields.Number());
  redis::Fields counts(boots);
  while (!counts.done()) {
    std::string boot = counts.Text();
    view.members_by_boot.emplace_back(std::move(boot), counts.Number());
  }
  fields.Note(counts.status());
  if (!fields.status().ok()) return fields.status();
  return view;
}

absl::StatusOr<RoomStore::MemberPage> MembersOf(redis::ReplyView reply) {
  RoomStore::MemberPage page;
  redis::Fields fields(reply);
  page.next = static_cast<uint64_t>(fields.Number());
  redis::Fields members = fields.Array();
  while (!members.done()) {
    const std::string id = members.Text();
    std::optional<RoomMemberRecord> member = MemberOf(id, members.Text());
    if (member.has_value()) {
      page.members.push_back(*std::move(member));
    } else {
      LOG_EVERY_T(WARNING, 1) << "room member is not understood";
    }
  }
  fields.Note(members.status());
  if (!fields.status().ok()) return fields.status();
  return page;
}

absl::StatusOr<std::vector<RoomSaid>> SaidOf(const std::string& room, redis::ReplyView reply, size_t count) {
  if (reply.is_array() && reply.size() == 0) return RoomNotFound(room);
  std::vector<RoomSaid> said;
  redis::Fields fields(reply);
  while (!fields.done()) {
    RoomSaid& one = said.emplace_back();
    one.receivers = fields.Number();
    one.offset = static_cast<uint64_t>(fields.Number());
  }
  if (!fields.status().ok()) return fields.status();
  if (said.size() != count) return absl::InternalError("a script of rooms gave not as many results as sayings");
  return said;
}

Envelope EnvelopeOf(const std::string& room, RoomSaying saying) {
  Envelope envelope;
  internal::v1::RoomMessage& message = *envelope.mutable_room_message();
  message.set_room(room);
  message.set_from(std::move(saying.from));
  ToProto(std::move(saying.content), message.mutable_content());
  return envelope;
}

std::optional<RoomPast> PastOf(const std::string& room, uint64_t offset, const Envelope& envelope) {
  if (!envelope.has_room_message() || envelope.room_message().room() != room) return std::nullopt;
  RoomPast past;
  past.offset = offset;
  past.saying = {.from = envelope.room_message().from(), .content = FromProto(envelope.room_message().content())};
  past.sent_at = absl::FromUnixMicros(envelope.sent_at_us());
  return past;
}

Envelope ChangeOf(const std::string& room, RoomChange::Kind kind, const std::vector<RoomMemberRecord>& members) {
  Envelope envelope;
  RoomChange& change = *envelope.mutable_room_change();
  change.set_kind(kind);
  change.set_room(room);
  for (const RoomMemberRecord& member : members) {
    RoomMemberRecord& told = *change.add_members();
    if (!IsLeaving(kind)) {
      told = member;
      continue;
    }
    told.set_connection_id(member.connection_id());
    told.set_node_id(member.node_id());
    told.set_boot_id(member.boot_id());
  }
  return envelope;
}

bool ApplyPostmark(uint64_t postmark, RoomChange* change) {
  if (change->kind() == RoomChange::KIND_JOINED) {
    for (RoomMemberRecord& member : *change->mutable_members()) {
      member.set_joined_at_us(static_cast<int64_t>(postmark));
    }
  }
  if (!IsLeaving(change->kind())) return true;
  int kept = 0;
  for (int i = 0; i < change->members_size(); ++i) {
    if (i < 64 && (postmark >> i & 1) != 0) change->mutable_members()->SwapElements(kept++, i);
  }
  change->mutable_members()->DeleteSubrange(kept, change->members_size() - kept);
  return kept > 0;
}

}  // namespace actioncluster::room_wire

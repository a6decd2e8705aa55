#include "server/connections/room_reader.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "backplane/membership/directory.h"
#include "server/grpc/time_proto.h"

namespace actioncluster {
namespace {

constexpr int kDefaultRooms = 100;
constexpr size_t kMaxMembers = 1000;
// So much of a page's bytes fits, with its last member, into what gRPC's clients take.
constexpr size_t kMaxPageBytes = size_t{3} << 20;

uint64_t CountMembers(const RoomView& room, const Directory& directory) {
  int64_t count = 0;
  for (const auto& [boot, members] : room.members_by_boot) {
    if (directory.FindBoot(boot) != nullptr) count += members;
  }
  return static_cast<uint64_t>(std::max<int64_t>(count, 0));
}

// A page token is where the page before ended.
absl::StatusOr<std::string> AfterOf(const std::string& page_token) {
  std::string after;
  if (!absl::WebSafeBase64Unescape(page_token, &after)) {
    return absl::InvalidArgumentError("page_token is not one of ours");
  }
  return after;
}

// By node and connection.
std::string PlaceOf(const internal::v1::RoomMemberRecord& member) {
  std::string place = member.node_id();
  place += '\0';
  return place += member.connection_id();
}

// Reads all members of a room, and keeps the first page of them: those behind `after`.
struct MemberReader : public std::enable_shared_from_this<MemberReader> {
  RoomStore& rooms;
  const Membership& membership;
  std::string after;
  size_t limit;
  v1::RoomServiceStatusResponse response;
  RoomReader::Then<v1::RoomServiceStatusResponse> done;
  std::map<std::string, internal::v1::RoomMemberRecord> page;
  bool more = false;

  MemberReader(RoomStore& rooms_in, const Membership& membership_in) : rooms(rooms_in), membership(membership_in) {}

  void Read(uint64_t cursor) {
    rooms.Members(response.room(), cursor, [self = shared_from_this()](absl::StatusOr<RoomStore::MemberPage> members) {
      if (!members.ok()) return std::move(self->done)(members.status());
      for (internal::v1::RoomMemberRecord& member : members->members) self->Keep(std::move(member));
      if (members->next != 0) return self->Read(members->next);
      self->Finish();
    });
  }

  void Keep(internal::v1::RoomMemberRecord member) {
    if (membership.directory().FindBoot(member.boot_id()) == nullptr) return;
    std::string place = PlaceOf(member);
    if (!after.empty() && place <= after) return;
    page.insert_or_assign(std::move(place), std::move(member));
    if (page.size() <= limit) return;
    page.erase(std::prev(page.end()));
    more = true;
  }

  void Finish() {
    size_t bytes = 0;
    for (const auto& [place, member] : page) {
      bytes += member.ByteSizeLong();
      *response.add_members() = MemberToProto(member);
      after = place;
      if (bytes < kMaxPageBytes) continue;
      more = more || place != page.rbegin()->first;
      break;
    }
    if (more) response.set_next_page_token(absl::WebSafeBase64Escape(after));
    std::move(done)(std::move(response));
  }
};

}  // namespace

v1::RoomMember MemberToProto(const internal::v1::RoomMemberRecord& record) {
  v1::RoomMember member;
  member.set_connection_id(record.connection_id());
  member.set_node_id(record.node_id());
  member.set_type(record.type());
  if (record.joined_at_us() != 0)
    *member.mutable_joined_at() = TimeToProto(absl::FromUnixMicros(record.joined_at_us()));
  for (const auto& [key, value] : record.attributes()) (*member.mutable_attributes())[key].ParseFromString(value);
  return member;
}

void RecordToProto(const internal::v1::RoomRecord& record, v1::RoomHistory* history, v1::RoomHooks* hooks) {
  history->set_messages(record.history_messages());
  if (record.history_us() != 0) *history->mutable_keep_for() = DurationToProto(absl::Microseconds(record.history_us()));
  *hooks->mutable_required() = record.required_hooks();
  *hooks->mutable_timeout() = DurationToProto(absl::Microseconds(record.hook_timeout_us()));
}

void RoomReader::Status(const v1::RoomServiceStatusRequest& request, Then<v1::RoomServiceStatusResponse> done) {
  auto reader = std::make_shared<MemberReader>(rooms_, membership_);
  absl::StatusOr<std::string> after = AfterOf(request.page_token());
  reader->limit =
      request.page_size() == 0 ? kMaxMembers : std::min(static_cast<size_t>(request.page_size()), kMaxMembers);
  reader->response.set_room(request.room());
  reader->done = std::move(done);
  rooms_.Read(request.room(), [reader, after = std::move(after)](absl::StatusOr<RoomView> room) mutable {
    if (!after.ok()) return std::move(reader->done)(after.status());
    if (!room.ok()) return std::move(reader->done)(room.status());
    reader->after = *std::move(after);
    reader->response.set_members_count(CountMembers(*room, reader->membership.directory()));
    *reader->response.mutable_created_at() = TimeToProto(room->created_at);
    v1::RoomHistory history;
    RecordToProto(room->record, &history, reader->response.mutable_hooks());
    if (room->record.history_messages() != 0) *reader->response.mutable_history() = std::move(history);
    reader->Read(0);
  });
}

void RoomReader::List(const v1::RoomServiceListRequest& request, Then<v1::RoomServiceListResponse> done) {
  absl::StatusOr<std::string> after = AfterOf(request.page_token());
  const int limit = request.page_size() == 0 ? kDefaultRooms : std::min<int>(request.page_size(), kMaxMembers);
  rooms_.List(request.prefix(), after.ok() ? *after : std::string(), limit,
              [this, valid = after.status(), done = std::move(done)](absl::StatusOr<RoomStore::RoomPage> page) mutable {
                if (!valid.ok()) return std::move(done)(valid);
                if (!page.ok()) return std::move(done)(page.status());
                v1::RoomServiceListResponse response;
                for (const RoomView& view : page->rooms) {
                  v1::RoomServiceListResponse::Room& room = *response.add_rooms();
                  room.set_room(view.room);
                  room.set_members_count(CountMembers(view, membership_.directory()));
                  *room.mutable_created_at() = TimeToProto(view.created_at);
                  v1::RoomHistory history;
                  RecordToProto(view.record, &history, room.mutable_hooks());
                  if (view.record.history_messages() != 0) *room.mutable_history() = std::move(history);
                }
                if (page->more) response.set_next_page_token(absl::WebSafeBase64Escape(page->last));
                std::move(done)(std::move(response));
              });
}

}  // namespace actioncluster

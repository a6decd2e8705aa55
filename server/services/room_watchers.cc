#include "server/services/room_watchers.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "server/connections/room_reader.h"

namespace actioncluster {
namespace {

// Of one frame, about.
constexpr size_t kFrameBytes = size_t{512} * 1024;

absl::Status NoSuchRoom(const std::string& room) {
  return MakeError(v1::ERROR_REASON_ROOM_NOT_FOUND, absl::StrCat("there is no room ", room));
}

grpc::ByteBuffer Encode(const v1::WatchRoomResponse& frame) {
  grpc::ByteBuffer bytes;
  bool own_buffer = false;
  // It cannot fail: the frame is far below 2 GiB.
  (void)grpc::SerializationTraits<v1::WatchRoomResponse>::Serialize(frame, &bytes, &own_buffer);
  return bytes;
}

}  // namespace

std::vector<grpc::ByteBuffer> EncodeMembers(v1::WatchRoomResponse::Kind kind,
                                            const std::vector<const RoomRoster::Member*>& members) {
  const bool brief = kind == v1::WatchRoomResponse::KIND_LEFT || kind == v1::WatchRoomResponse::KIND_LOST;
  std::vector<grpc::ByteBuffer> frames;
  v1::WatchRoomResponse frame;
  frame.set_kind(kind);
  size_t bytes = 0;
  for (const RoomRoster::Member* member : members) {
    if (bytes >= kFrameBytes) {
      frame.set_more(kind == v1::WatchRoomResponse::KIND_SNAPSHOT);
      frames.push_back(Encode(frame));
      frame.clear_members();
      frame.clear_more();
      bytes = 0;
    }
    v1::RoomMember* added = frame.add_members();
    if (brief) {
      added->set_connection_id(member->connection_id());
      added->set_node_id(member->node_id());
    } else {
      *added = MemberToProto(*member);
    }
    bytes += added->ByteSizeLong() + 8;
  }
  frames.push_back(Encode(frame));
  return frames;
}

RoomWatchers::RoomWatchers(Membership& membership, RoomStore& store, RoomFeed& feed)
    : membership_(membership), store_(store), feed_(feed) {
  feed_.AddListener(this);
  membership_.OnNode([this](const NodeEvent& event) {
    if (event.kind == NodeEvent::Kind::kLost || event.kind == NodeEvent::Kind::kLeft) OnNodeGone(event.node.boot_id());
  });
}

void RoomWatchers::Add(std::string room, std::shared_ptr<RoomWatchStream> stream) {
  if (closed_.has_value()) return stream->End(*closed_);
  if (interrupted_) return stream->End(BackplaneUnavailable("what happens in rooms cannot be heard now"));
  const auto [at, added] = rooms_.try_emplace(room);
  where_.emplace(stream.get(), room);
  at->second.streams.emplace(stream.get(), stream);
  if (at->second.ready) {
    std::vector<const RoomRoster::Member*> members;
    for (const auto& [id, member] : at->second.roster.members()) members.push_back(&member);
    stream->Show(EncodeMembers(v1::WatchRoomResponse::KIND_SNAPSHOT, members));
  }
  if (!added) return;
  at->second.reading = ++readings_;
  feed_.Want(room, [this, alive = std::weak_ptr<const bool>(alive_), room, reading = readings_](absl::Status status) {
    if (!alive.expired()) OnListening(room, reading, status);
  });
}

void RoomWatchers::Remove(RoomWatchStream* stream) {
  const auto where = where_.find(stream);
  if (where == where_.end()) return;
  const auto room = rooms_.find(where->second);
  where_.erase(where);
  room->second.streams.erase(stream);
  if (room->second.streams.empty()) Forget(room);
}

void RoomWatchers::CloseAll(const absl::Status& why) {
  closed_ = why;
  while (!rooms_.empty()) EndRoom(rooms_.begin(), why);
}

RoomWatchers::Room* RoomWatchers::Reading(const std::string& room, uint64_t reading) {
  const auto at = rooms_.find(room);
  return at != rooms_.end() && at->second.reading == reading ? &at->second : nullptr;
}

void RoomWatchers::OnListening(const std::string& name, uint64_t reading, const absl::Status& status) {
  if (Reading(name, reading) == nullptr) return;
  if (!status.ok()) return EndRoom(rooms_.find(name), status);
  Read(name);
}

void RoomWatchers::Read(const std::string& name) {
  Room& room = rooms_.at(name);
  const uint64_t reading = ++readings_;
  room.reading = reading;
  room.ready = false;
  room.roster.Begin();
  const std::weak_ptr<const bool> alive = alive_;
  // Whose boots live has to be known as it is now, or members of a node that has just come would be left out.
  membership_.Sync([this, alive, name, reading](const absl::Status& synced) {
    if (alive.expired() || Reading(name, reading) == nullptr) return;
    if (!synced.ok()) return EndRoom(rooms_.find(name), synced);
    store_.Read(name, [this, alive, name, reading](const absl::StatusOr<RoomView>& view) {
      if (alive.expired() || Reading(name, reading) == nullptr) return;
      if (!view.ok()) return EndRoom(rooms_.find(name), view.status());
      ReadMembers(name, reading, 0);
    });
  });
}

void RoomWatchers::ReadMembers(const std::string& name, uint64_t reading, uint64_t cursor) {
  store_.Members(
      name, cursor,
      [this, alive = std::weak_ptr<const bool>(alive_), name, reading](absl::StatusOr<RoomStore::MemberPage> page) {
        Room* room = alive.expired() ? nullptr : Reading(name, reading);
        if (room == nullptr) return;
        if (!page.ok()) return EndRoom(rooms_.find(name), page.status());
        room->roster.Read(std::move(page->members));
        if (page->next != 0) return ReadMembers(name, reading, page->next);
        OnRead(name);
      });
}

void RoomWatchers::OnRead(const std::string& name) {
  Room& room = rooms_.at(name);
  room.reading = 0;
  room.ready = true;
  room.roster.Complete([this](absl::string_view boot) { return membership_.directory().FindBoot(boot) != nullptr; });
  std::vector<const RoomRoster::Member*> members;
  for (const auto& [id, member] : room.roster.members()) members.push_back(&member);
  const std::vector<grpc::ByteBuffer> snapshot = EncodeMembers(v1::WatchRoomResponse::KIND_SNAPSHOT, members);
  for (const auto& [key, stream] : room.streams) stream->Show(snapshot);
}

void RoomWatchers::OnChange(const internal::v1::RoomChange& change, absl::Time) {
  const auto room = rooms_.find(change.room());
  if (room == rooms_.end()) return;
  switch (change.kind()) {
    case internal::v1::RoomChange::KIND_JOINED:
      return Tell(room->second, v1::WatchRoomResponse::KIND_JOINED, room->second.roster.Apply(change));
    case internal::v1::RoomChange::KIND_LEFT:
      return Tell(room->second, v1::WatchRoomResponse::KIND_LEFT, room->second.roster.Apply(change));
    case internal::v1::RoomChange::KIND_LOST:
      return Tell(room->second, v1::WatchRoomResponse::KIND_LOST, room->second.roster.Apply(change));
    case internal::v1::RoomChange::KIND_DESTROYED:
      return EndRoom(room, NoSuchRoom(change.room()));
    default:
      return;  // Of a newer peer.
  }
}

void RoomWatchers::OnNodeGone(const std::string& boot) {
  for (auto& [name, room] : rooms_) Tell(room, v1::WatchRoomResponse::KIND_LOST, room.roster.BootGone(boot));
}

void RoomWatchers::OnInterrupted() {
  interrupted_ = true;
  for (auto room = rooms_.begin(); room != rooms_.end();) {
    const auto next = std::next(room);
    room->second.reading = 0;
    room->second.ready = false;
    std::vector<RoomWatchStream*> waiting;
    for (const auto& [key, stream] : room->second.streams) {
      if (stream->shown()) continue;
      stream->End(BackplaneUnavailable("what happens in rooms cannot be heard now"));
      waiting.push_back(key);
    }
    for (RoomWatchStream* stream : waiting) Remove(stream);
    room = next;
  }
}

void RoomWatchers::OnResumed() {
  interrupted_ = false;
  std::vector<std::string> names;
  for (const auto& [name, room] : rooms_) names.push_back(name);
  for (const std::string& name : names) Read(name);
}

void RoomWatchers::Tell(Room& room, v1::WatchRoomResponse::Kind kind, const std::vector<RoomRoster::Member>& members) {
  if (!room.ready || members.empty()) return;
  std::vector<const RoomRoster::Member*> pointers;
  pointers.reserve(members.size());
  for (const RoomRoster::Member& member : members) pointers.push_back(&member);
  for (const grpc::ByteBuffer& frame : EncodeMembers(kind, pointers)) {
    for (const auto& [key, stream] : room.streams) stream->Tell(frame);
  }
}

void RoomWatchers::EndRoom(Rooms::iterator room, const absl::Status& why) {
  for (const auto& [key, stream] : room->second.streams) {
    stream->End(why);
    where_.erase(key);
  }
  Forget(room);
}

void RoomWatchers::Forget(Rooms::iterator room) {
  feed_.Unwant(room->first);
  rooms_.erase(room);
}

}  // namespace actioncluster

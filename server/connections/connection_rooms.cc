#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "server/connections/connection_impl.h"

// What happens to connections in rooms.
namespace actioncluster {
namespace {

using internal::v1::RoomChange;
using internal::v1::RoomRecord;

constexpr size_t kMaxRooms = 256;
// So many writes take less than waking another thread would.
constexpr size_t kWrittenHere = 8;
// Who waits in vain for its own joining to be heard (it can be lost with a connection to Redis) hears all the same, after this.
constexpr absl::Duration kHearingTimeout = absl::Seconds(2);

// Of what is said in a room while one is caught up with its history.
constexpr size_t kMaxWaitingBytes = size_t{256} << 10;

// Queues what waits. False: something was dropped, the oldest.
bool Queue(const HeardPtr& heard, Backlog* backlog) {
  const bool full = backlog->full();
  if (full) backlog->Pop();
  backlog->Push(heard);
  return !full;
}

absl::Status NotMember(const Client& client, const std::string& room) {
  return MakeError(v1::ERROR_REASON_NOT_MEMBER,
                   absl::StrCat("the connection ", client.id, " is not in the room ", room));
}

}  // namespace

internal::v1::RoomMemberRecord ConnectionHost::Impl::MemberRecord(const Client& client, const Seat& seat) const {
  internal::v1::RoomMemberRecord member;
  member.set_connection_id(client.id);
  member.set_node_id(parts.membership.self().id);
  member.set_boot_id(client.claim.boot);
  member.set_type(client.hello.type());
  *member.mutable_attributes() = client.state.attributes();
  member.set_joined_at_us(seat.joined_at_us);
  return member;
}

void ConnectionHost::Impl::Join(const ClientPtr& client, const std::string& room, Ended done) {
  if (client->seats.contains(room)) {
    return std::move(done)(
        MakeError(v1::ERROR_REASON_ALREADY_MEMBER,
                  absl::StrCat("the connection ", client->id, " is in the room ", room, " already")));
  }
  if (client->seats.size() >= kMaxRooms) {
    return std::move(done)(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED,
                                     absl::StrCat("a connection is in at most ", kMaxRooms, " rooms"),
                                     {{"limit", "rooms"}}));
  }
  const auto local = rooms.find(room);
  if (local != rooms.end() && local->second.known) {
    return JoinKnown(client, room, RoomRecord(local->second.record), std::move(done));
  }
  parts.rooms.Read(room,
                   Guard([client, room, done = std::move(done)](Impl& self, absl::StatusOr<RoomView> view) mutable {
                     if (!view.ok()) return std::move(done)(view.status());
                     self.JoinKnown(client, room, view->record, std::move(done));
                   }));
}

void ConnectionHost::Impl::JoinKnown(const ClientPtr& client, const std::string& room, const RoomRecord& record,
                                     Ended done) {
  const auto entered = [client, room](Impl& self, const absl::Status& status, Ended ended) {
    if (!status.ok() || client->phase == Client::Phase::kGone) return std::move(ended)(status);
    const auto seat = client->seats.find(room);
    // Whoever is in a room may take it along; that Redis is away is no reason to throw it out again.
    if (seat != client->seats.end()) {
      (*client->state.mutable_rooms())[room] = seat->second->joined_at_us;
      self.Store(client, [](const absl::Status&) {});
    }
    std::move(ended)(absl::OkStatus());
  };
  RoomHooks::Question question{.hook = kHookJoin, .room = room, .connection = {}, .from = {}, .content = {}};
  if (!parts.hooks.Idle(kHookJoin, record)) question.connection = Subject(*client);
  parts.hooks.Ask(
      std::move(question), record,
      Guard(
          [client, room, entered, done = std::move(done)](Impl& self, const absl::StatusOr<Content>& allowed) mutable {
            if (client->phase == Client::Phase::kGone) return;
            if (!allowed.ok()) return std::move(done)(allowed.status());
            self.Enter(client, room, 0,
                       self.Guard([entered, done = std::move(done)](Impl& host, const absl::Status& status) mutable {
                         entered(host, status, std::move(done));
                       }));
          }));
}

void ConnectionHost::Impl::Enter(const ClientPtr& client, const std::string& room, int64_t joined_at_us, Ended done) {
  auto seat = std::make_shared<Seat>();
  seat->joined_at_us = joined_at_us;
  // Of one that comes back, until it is welcomed.
  seat->catching_up = joined_at_us != 0;
  seat->entered = std::move(done);
  client->seats[room] = seat;
  rooms[room].members.emplace(client->host_id, std::pair(client, seat));
  const auto fail = [client, room, seat](Impl& self, const absl::Status& status) {
    if (seat->gone) return;
    Ended ended = std::exchange(seat->entered, {});
    self.GetUp(client, room);
    std::move(ended)(status);
  };
  const bool fresh = joined_at_us == 0;
  const auto joined = [client, room, seat, fail, fresh](Impl& self, const absl::StatusOr<RoomStore::Joined>& result) {
    if (seat->gone) return;
    if (!result.ok()) {
      // It may have been done.
      if (ReasonOf(result.status()) != v1::ERROR_REASON_ROOM_NOT_FOUND) {
        self.OweLeave(*client, room, self.MemberRecord(*client, *seat));
      }
      return fail(self, result.status());
    }
    seat->joined = true;
    seat->joined_at_us = result->joined_at_us;
    LocalRoom& local = self.rooms.at(room);
    local.record = result->record;
    local.known = true;
    // Offsets are times: from here on it would miss something.
    if (fresh && local.record.history_messages() != 0) {
      const auto joined_at = static_cast<uint64_t>(seat->joined_at_us);
      seat->last_offset = std::max(seat->last_offset, joined_at);
      // While it is catching up, others still miss what came before.
      if (!local.catching_up) local.last_offset = std::max(local.last_offset, joined_at);
    }
    self.TryEntered(seat);
    self.At(MonotonicNow() + kHearingTimeout, self.Guard([seat](Impl& host) {
      seat->heard = true;
      seat->hears = true;
      host.TryEntered(seat);
    }));
  };
  parts.feed.Want(room, Guard([client, room, seat, fail, joined](Impl& self, const absl::Status& listening) {
                    if (seat->gone) return;
                    if (!listening.ok()) return fail(self, listening);
                    self.parts.rooms.Join(room, self.MemberRecord(*client, *seat), self.Guard(joined));
                  }));
}

void ConnectionHost::Impl::TryEntered(const SeatPtr& seat) {
  if (seat->gone || !seat->joined || !seat->hears || !seat->entered) return;
  std::exchange(seat->entered, {})(absl::OkStatus());
}

void ConnectionHost::Impl::Leave(const ClientPtr& client, const std::string& room, bool removed, Ended done) {
  if (!client->seats.contains(room)) {
    return parts.rooms.Read(room, [client, room, done = std::move(done)](const absl::StatusOr<RoomView>& view) mutable {
      std::move(done)(view.ok() ? NotMember(*client, room) : view.status());
    });
  }
  const RoomRecord record = rooms.at(room).record;
  RoomHooks::Question question{.hook = kHookLeave, .room = room, .connection = {}, .from = {}, .content = {}};
  if (!parts.hooks.Idle(kHookLeave, record)) question.connection = Subject(*client);
  parts.hooks.Ask(
      std::move(question), record,
      Guard(
          [client, room, removed, done = std::move(done)](Impl& self, const absl::StatusOr<Content>& allowed) mutable {
            if (client->phase == Client::Phase::kGone) return;
            if (!allowed.ok()) return std::move(done)(allowed.status());
            const auto seat = client->seats.find(room);
            // The room was destroyed meanwhile.
            if (seat == client->seats.end()) return std::move(done)(absl::OkStatus());
            const std::vector<internal::v1::RoomMemberRecord> members = {self.MemberRecord(*client, *seat->second)};
            self.GetUp(client, room);
            client->state.mutable_rooms()->erase(room);
            if (removed) {
              v1::OpenResponse left;
              left.mutable_left()->set_room(room);
              left.mutable_left()->set_reason("removed");
              client->stream->Send(std::move(left));
            }
            self.parts.rooms.Leave(room, client->claim.boot, members, RoomChange::KIND_LEFT,
                                   self.Guard([client, room, members, done = std::move(done)](
                                                  Impl& host, const absl::StatusOr<int64_t>& gone) mutable {
                                     if (!gone.ok()) host.OweLeave(*client, room, members.front());
                                     std::move(done)(gone.status());
                                   }));
            self.Store(client, [](const absl::Status&) {});
          }));
}

// Here it is not in the room any more.
void ConnectionHost::Impl::GetUp(const ClientPtr& client, const std::string& room) {
  const auto seat = client->seats.find(room);
  seat->second->gone = true;
  client->seats.erase(seat);
  parts.feed.Unwant(room);
  const auto local = rooms.find(room);
  local->second.members.erase(client->host_id);
  if (local->second.members.empty()) rooms.erase(local);
}

void ConnectionHost::Impl::Say(const ClientPtr& client, const std::string& room, Content content,
                               absl::AnyInvocable<void(absl::StatusOr<RoomSaid>) &&> done) {
  const auto seat = client->seats.find(room);
  if (seat == client->seats.end()) {
    return parts.rooms.Read(room, [client, room, done = std::move(done)](const absl::StatusOr<RoomView>& view) mutable {
      std::move(done)(view.ok() ? NotMember(*client, room) : view.status());
    });
  }
  const RoomRecord& record = rooms.at(room).record;
  RoomHooks::Question question{
      .hook = kHookReceive, .room = room, .connection = {}, .from = {}, .content = std::move(content)};
  if (!parts.hooks.Idle(kHookReceive, record)) question.connection = Subject(*client);
  parts.hooks.Ask(std::move(question), record,
                  Guard([client, room, done = std::move(done)](Impl& self, absl::StatusOr<Content> said) mutable {
                    if (client->phase == Client::Phase::kGone) return;
                    if (!said.ok()) return std::move(done)(said.status());
                    if (!client->seats.contains(room)) return std::move(done)(NotMember(*client, room));
                    self.parts.rooms.Say(room, {.from = client->id, .content = *std::move(said)}, std::move(done));
                  }));
}

void ConnectionHost::Impl::Hear(const RoomFeed::Incoming& saying) {
  const std::string name(saying.room);
  const auto found = rooms.find(name);
  if (found == rooms.end()) return;
  LocalRoom& room = found->second;
  const HeardPtr heard = HearSaying(saying, !parts.hooks.Idle(kHookDeliver, room.record));
  if (room.catching_up) {
    // What was said before it may be missing still.
    Queue(heard, &room.waiting);
    return;
  }
  room.last_offset = std::max(room.last_offset, heard->offset);
  Spread(room, name, heard);
}

void ConnectionHost::Impl::Spread(LocalRoom& room, const std::string& name, const HeardPtr& heard) {
  size_t written = 0;
  for (const auto& [id, member] : room.members) {
    const auto& [client, seat] = member;
    if (!seat->hears) continue;
    Deliver(client, seat, name, heard, written++ < kWrittenHere ? OutboxWriter::kPusher : OutboxWriter::kOffload);
  }
}

void ConnectionHost::Impl::Deliver(const ClientPtr& client, const SeatPtr& seat, const std::string& room,
                                   const HeardPtr& heard, OutboxWriter writer) {
  if (seat->gone) return;
  if (!seat->catching_up) return Give(client, seat, room, heard, writer);
  if (heard->offset != 0 && seat->last_offset != 0 && seat->waiting.full(kHistoryPage, kMaxWaitingBytes)) {
    // The history has it, after what it was sent last.
    seat->waiting.TakeAll();
    seat->left_out = true;
  }
  if (!Queue(heard, &seat->waiting)) client->stream->MarkGap();
}

void ConnectionHost::Impl::Give(const ClientPtr& client, const SeatPtr& seat, const std::string& room,
                                const HeardPtr& heard, OutboxWriter writer) {
  if (heard->offset != 0 && heard->offset <= seat->last_offset) return;
  seat->last_offset = std::max(seat->last_offset, heard->offset);
  if (!seat->asked.empty() || !parts.hooks.Idle(kHookDeliver, rooms.at(room).record)) {
    // The first of them is being asked about, and stays.
    if (seat->asked.full()) {
      client->stream->MarkGap();
      return;
    }
    const bool idle = seat->asked.empty();
    seat->asked.Push(heard);
    if (idle) AskNext(client, seat, room);
    return;
  }
  ++client->messages_sent;
  client->stream->SendMessage(heard->frame, heard->bytes, writer);
}

void ConnectionHost::Impl::AskNext(const ClientPtr& client, const SeatPtr& seat, const std::string& room) {
  // Nobody is asked any more: what waits is not left waiting.
  while (!seat->asked.empty() && parts.hooks.Idle(kHookDeliver, rooms.at(room).record)) {
    ++client->messages_sent;
    client->stream->SendMessage(seat->asked.front()->frame, seat->asked.front()->bytes, OutboxWriter::kPusher);
    seat->asked.Pop();
  }
  if (seat->asked.empty()) return;
  const HeardPtr heard = seat->asked.front();
  RoomHooks::Question question{.hook = kHookDeliver,
                               .room = room,
                               .connection = Subject(*client),
                               .from = heard->from,
                               .content = heard->content};
  parts.hooks.Ask(std::move(question), rooms.at(room).record,
                  Guard([client, seat, room, heard](Impl& self, const absl::StatusOr<Content>& said) {
                    if (seat->gone) return;
                    if (said.ok()) {
                      ++client->messages_sent;
                      const grpc::ByteBuffer frame = *said == heard->content ? heard->frame
                                                                             : EncodeSaying({.room = room,
                                                                                             .from = heard->from,
                                                                                             .kind = said->kind,
                                                                                             .body = said->body,
                                                                                             .sent_at = heard->sent_at,
                                                                                             .offset = heard->offset});
                      client->stream->SendMessage(frame, frame.Length(), OutboxWriter::kPusher);
                    }
                    seat->asked.Pop();
                    self.AskNext(client, seat, room);
                  }));
}

void ConnectionHost::OnChange(const RoomChange& change, absl::Time) {
  if (change.kind() == RoomChange::KIND_DESTROYED) {
    return impl_->OnRoomDestroyed(change.room(), absl::InfiniteFuture());
  }
  if (change.kind() != RoomChange::KIND_JOINED) return;
  for (const internal::v1::RoomMemberRecord& member : change.members()) {
    const auto client = impl_->by_id.find(member.connection_id());
    if (client == impl_->by_id.end() || client->second->claim.boot != member.boot_id()) continue;
    const auto seat = client->second->seats.find(change.room());
    if (seat == client->second->seats.end()) continue;
    seat->second->heard = true;
    seat->second->hears = true;
    impl_->TryEntered(SeatPtr(seat->second));
  }
}

void ConnectionHost::Impl::OnRoomDestroyed(const std::string& room, absl::Time before) {
  const auto local = rooms.find(room);
  if (local == rooms.end()) return;
  v1::OpenResponse left;
  left.mutable_left()->set_room(room);
  left.mutable_left()->set_reason("destroyed");
  std::vector<std::pair<ClientPtr, SeatPtr>> members;
  for (const auto& [id, member] : local->second.members) {
    // One that is just entering is in the room that comes after it, if any.
    const SeatPtr& seat = member.second;
    if (seat->heard && absl::FromUnixMicros(seat->joined_at_us) < before) members.push_back(member);
  }
  for (const auto& [client, seat] : members) {
    Ended entered = std::exchange(seat->entered, {});
    GetUp(client, room);
    client->state.mutable_rooms()->erase(room);
    if (entered) {
      std::move(entered)(MakeError(v1::ERROR_REASON_ROOM_NOT_FOUND, absl::StrCat("the room ", room, " was destroyed")));
      continue;
    }
    client->stream->Send(left);
    Store(client, [](const absl::Status&) {});
  }
}

}  // namespace actioncluster

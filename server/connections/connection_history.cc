#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "server/connections/connection_impl.h"

// What members have missed in rooms, and get.
namespace actioncluster {
namespace {

// Before a room's history is read again that could not be.
constexpr absl::Duration kCatchUpRetry = absl::Milliseconds(200);
// Before it is looked again whether a client has read what it was sent.
constexpr absl::Duration kRoomRetry = absl::Milliseconds(20);
// The longer it reads nothing, the more seldom: up to this.
constexpr absl::Duration kMaxRoomRetry = absl::Milliseconds(500);
// Of one connection's rooms, at once: a page of each is held until it is sent.
constexpr size_t kCatchUps = 4;

RoomFeed::Incoming AsIncoming(const std::string& room, const RoomPast& past) {
  return {.room = room,
          .from = past.saying.from,
          .kind = past.saying.content.kind,
          .body = past.saying.content.body,
          .sent_at = past.sent_at,
          .offset = past.offset};
}

}  // namespace

struct ConnectionHost::Impl::CatchingUp {
  ClientPtr client;
  SeatPtr seat;
  std::string room;
  std::list<HeardPtr> page = {};  // What was read, and is not sent.
  bool more = false;              // There is more after it.
  bool gap_told = false;          // That something is missing before it.
  absl::Duration pause = kRoomRetry;
};

void ConnectionHost::Impl::CatchUp(const ClientPtr& client, const std::map<std::string, Missed>& rooms_missed) {
  for (const auto& [room, missed] : rooms_missed) {
    if (missed.read) {
      client->behind.emplace_back(room, missed);
    } else {
      ++client->catching_up;
      SendMissed(std::make_shared<CatchingUp>(CatchingUp{.client = client, .seat = missed.seat, .room = room}));
    }
  }
  CatchUpNext(client);
}

void ConnectionHost::Impl::CatchUpNext(const ClientPtr& client) {
  while (client->catching_up < kCatchUps && !client->behind.empty()) {
    auto [room, missed] = std::move(client->behind.front());
    client->behind.pop_front();
    if (missed.seat->gone) continue;
    ++client->catching_up;
    ReadMissed(std::make_shared<CatchingUp>(
        CatchingUp{.client = client, .seat = missed.seat, .room = std::move(room), .gap_told = missed.gap_told}));
  }
}

void ConnectionHost::Impl::ReadMissed(const std::shared_ptr<CatchingUp>& up) {
  parts.rooms.ReadHistory(up->room, up->seat->last_offset, kHistoryPage,
                          Guard([up](Impl& self, const absl::StatusOr<RoomStore::History>& history) {
                            const bool complete = history.ok() && (history->complete || up->gap_told);
                            up->gap_told = false;
                            if (up->seat->gone) return self.SendMissed(up);
                            if (!complete) up->client->stream->MarkGap();
                            up->more = history.ok() && history->more;
                            if (history.ok()) {
                              const bool asks = !self.parts.hooks.Idle(kHookDeliver, self.rooms.at(up->room).record);
                              for (const RoomPast& past : history->sayings)
                                up->page.push_back(HearSaying(AsIncoming(up->room, past), asks));
                            }
                            self.SendMissed(up);
                          }));
}

// As the client reads: more would push out what it was sent before.
void ConnectionHost::Impl::SendMissed(const std::shared_ptr<CatchingUp>& up) {
  const ClientPtr& client = up->client;
  const SeatPtr& seat = up->seat;
  while (!seat->gone) {
    const bool from_page = !up->page.empty();
    if (!from_page && (up->more || std::exchange(seat->left_out, false))) return ReadMissed(up);
    if (!from_page && seat->waiting.empty()) break;
    const HeardPtr next = from_page ? up->page.front() : seat->waiting.front();
    if (seat->asked.full() || !client->stream->HasRoom(next->bytes)) {
      At(MonotonicNow() + up->pause, Guard([up](Impl& self) { self.SendMissed(up); }));
      up->pause = std::min(up->pause * 2, kMaxRoomRetry);
      return;
    }
    up->pause = kRoomRetry;
    Give(client, seat, up->room, next, OutboxWriter::kPusher);
    from_page ? up->page.pop_front() : seat->waiting.Pop();
  }
  seat->catching_up = false;
  --client->catching_up;
  CatchUpNext(client);
}

void ConnectionHost::Impl::CatchUpRoom(const std::string& name) {
  const auto found = rooms.find(name);
  if (found == rooms.end()) return;
  const uint64_t interruptions = found->second.interruptions;
  parts.rooms.ReadHistory(name, found->second.last_offset, kHistoryPage,
                          Guard([name, interruptions](Impl& self, absl::StatusOr<RoomStore::History> history) {
                            const auto local = self.rooms.find(name);
                            if (local == self.rooms.end() || !local->second.catching_up) return;
                            LocalRoom& room = local->second;
                            // There was another: its end reads anew.
                            if (room.interruptions != interruptions) return;
                            if (ReasonOf(history.status()) == v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) {
                              // Cut again, as it seems.
                              return self.At(MonotonicNow() + kCatchUpRetry,
                                             self.Guard([name, interruptions](Impl& host) {
                                               const auto still = host.rooms.find(name);
                                               if (still == host.rooms.end()) return;
                                               if (still->second.interruptions == interruptions) host.CatchUpRoom(name);
                                             }));
                            }
                            if (!history.ok() || !history->complete) {
                              for (const auto& [id, member] : room.members) member.first->stream->MarkGap();
                            }
                            if (history.ok()) {
                              const bool asks = !self.parts.hooks.Idle(kHookDeliver, room.record);
                              for (const RoomPast& past : history->sayings) {
                                room.last_offset = std::max(room.last_offset, past.offset);
                                self.Spread(room, name, HearSaying(AsIncoming(name, past), asks));
                              }
                              if (history->more) return self.CatchUpRoom(name);
                            }
                            room.catching_up = false;
                            for (const HeardPtr& heard : room.waiting.TakeAll()) {
                              room.last_offset = std::max(room.last_offset, heard->offset);
                              self.Spread(room, name, heard);
                            }
                          }));
}

void ConnectionHost::Impl::OnInterrupted() {
  std::vector<SeatPtr> seats;
  for (auto& [name, room] : rooms) {
    // Without a message, or a joining, heard so far nobody knows from where on.
    room.catching_up = room.record.history_messages() != 0 && room.last_offset != 0;
    ++room.interruptions;
    for (const auto& [id, member] : room.members) {
      if (!room.catching_up) member.first->stream->MarkGap();
      seats.push_back(member.second);
    }
  }
  for (const SeatPtr& seat : seats) {
    // When its joining was heard, if it was, is not known any more.
    seat->heard = seat->heard || seat->joined;
    seat->hears = true;
    TryEntered(seat);
  }
}

void ConnectionHost::Impl::OnResumed() {
  std::vector<std::string> names;
  for (const auto& [name, room] : rooms) names.push_back(name);
  for (const std::string& name : names) {
    if (rooms.at(name).catching_up) CatchUpRoom(name);
    // That it was destroyed, and perhaps made anew, may not have been heard.
    parts.rooms.Read(name, Guard([name](Impl& self, const absl::StatusOr<RoomView>& view) {
                       if (ReasonOf(view.status()) == v1::ERROR_REASON_ROOM_NOT_FOUND) {
                         self.OnRoomDestroyed(name, absl::InfiniteFuture());
                       } else if (view.ok()) {
                         self.OnRoomDestroyed(name, view->created_at);
                       }
                     }));
  }
}

}  // namespace actioncluster

#include <algorithm>
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

RoomFeed::Incoming AsIncoming(const std::string& room, const RoomPast& past) {
  return {.room = room,
          .from = past.saying.from,
          .kind = past.saying.content.kind,
          .body = past.saying.content.body,
          .sent_at = past.sent_at,
          .offset = past.offset};
}

}  // namespace

void ConnectionHost::Impl::CatchUp(const ClientPtr& client, const SeatPtr& seat, const std::string& room,
                                   std::optional<RoomStore::History> first) {
  if (seat->gone) return;
  if (!first.has_value()) {
    if (!client->stream->HasRoom()) {
      // It reads what it has got first: more would push that out.
      return At(MonotonicNow() + kRoomRetry,
                Guard([client, seat, room](Impl& self) { self.CatchUp(client, seat, room, std::nullopt); }));
    }
    parts.rooms.ReadHistory(room, seat->last_offset, kHistoryPage,
                            Guard([client, seat, room](Impl& self, absl::StatusOr<RoomStore::History> history) {
                              if (!history.ok() || !history->complete) client->stream->MarkGap();
                              self.CatchUp(client, seat, room,
                                           history.ok() ? *std::move(history) : RoomStore::History{});
                            }));
    return;
  }
  seat->catching_up = false;
  const bool asks = !parts.hooks.Idle(kHookDeliver, rooms.at(room).record);
  for (const RoomPast& past : first->sayings) {
    Deliver(client, seat, room, HearSaying(AsIncoming(room, past), asks), OutboxWriter::kPusher);
  }
  if (first->more) {
    seat->catching_up = true;
    return CatchUp(client, seat, room, std::nullopt);
  }
  for (const HeardPtr& heard : seat->waiting.TakeAll()) {
    Deliver(client, seat, room, heard, OutboxWriter::kPusher);
  }
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

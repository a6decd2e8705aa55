#include "backplane/chat/room_feed.h"

#include <utility>

#include "backplane/chat/room_wire.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

using internal::v1::Envelope;
using internal::v1::RoomChange;
using internal::v1::RoomMessage;

}  // namespace

// The bus and the loop outlive this: their callbacks find out so that there is no feed any more.
template <class F>
auto RoomFeed::WhileAlive(F f) {
  return [alive = std::weak_ptr<const bool>(alive_), f = std::move(f)](auto&&... arguments) mutable {
    if (!alive.expired()) f(std::forward<decltype(arguments)>(arguments)...);
  };
}

RoomFeed::RoomFeed(Loop& loop, Bus& bus, const Keys& keys) : loop_(loop), bus_(bus), keys_(keys) {
  // What this node says itself its own members hear as everybody does, so all hear one order.
  bus_.Handle(Envelope::kRoomMessage, WhileAlive([this](const Envelope& envelope, absl::Time) { OnSaying(envelope); }),
              Bus::Own::kHandle);
  bus_.Handle(Envelope::kRoomChange, WhileAlive([this](const Envelope& envelope, absl::Time) { OnChange(envelope); }),
              Bus::Own::kHandle);
  bus_.OnState(WhileAlive([this](const absl::Status& state) { OnBusState(state); }));
}

void RoomFeed::Want(const std::string& room, Listening listening) {
  Room& wanted = rooms_[room];
  const absl::Status state = bus_.state();
  if (++wanted.wanted == 1) bus_.Listen(keys_.ChannelRoom(room), WhileAlive([this, room] { Confirmed(room); }));
  if (!state.ok()) {
    // It is confirmed when the bus is back, who knows when.
    interrupted_ = true;
    loop_.Post([listening = std::move(listening), state]() mutable { std::move(listening)(state); });
    return;
  }
  wanted.waiting.push_back(std::move(listening));
  if (!wanted.listening) return;
  loop_.Post(WhileAlive([this, room] {
    const auto found = rooms_.find(room);
    if (found != rooms_.end() && found->second.listening) Confirmed(room);
  }));
}

void RoomFeed::Unwant(const std::string& room) {
  const auto found = rooms_.find(room);
  if (found == rooms_.end() || --found->second.wanted > 0) return;
  rooms_.erase(found);
  bus_.StopListening(keys_.ChannelRoom(room));
}

void RoomFeed::Confirmed(const std::string& room) {
  Room& confirmed = rooms_.at(room);
  confirmed.listening = true;
  // They may want, and unwant, anything.
  for (Listening& listening : std::exchange(confirmed.waiting, {})) std::move(listening)(absl::OkStatus());
}

void RoomFeed::OnSaying(const Envelope& envelope) {
  const RoomMessage& message = envelope.room_message();
  if (!rooms_.contains(message.room())) return;
  const Incoming saying{.room = message.room(),
                        .from = message.from(),
                        .kind = KindOf(message.content()),
                        .body = message.content().body(),
                        .sent_at = absl::FromUnixMicros(envelope.sent_at_us()),
                        .offset = envelope.postmark()};
  for (Listener* listener : listeners_) listener->OnSaying(saying);
}

void RoomFeed::OnChange(const Envelope& envelope) {
  RoomChange change = envelope.room_change();
  if (!rooms_.contains(change.room()) || !room_wire::ApplyPostmark(envelope.postmark(), &change)) return;
  const absl::Time at = absl::FromUnixMicros(envelope.sent_at_us());
  for (Listener* listener : listeners_) listener->OnChange(change, at);
}

void RoomFeed::OnBusState(const absl::Status& state) {
  if (state.ok()) {
    const bool told = std::exchange(told_, false);
    if (!std::exchange(interrupted_, false) || (!told && rooms_.empty())) return;
    for (Listener* listener : listeners_) listener->OnResumed();
    return;
  }
  std::vector<Listening> waiting;
  for (auto& [name, room] : rooms_) {
    for (Listening& listening : std::exchange(room.waiting, {})) waiting.push_back(std::move(listening));
  }
  for (Listening& listening : waiting) std::move(listening)(state);
  if (std::exchange(interrupted_, true) || rooms_.empty()) return;
  told_ = true;
  for (Listener* listener : listeners_) listener->OnInterrupted();
}

}  // namespace actioncluster

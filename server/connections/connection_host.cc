#include "server/connections/connection_host.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/domain/node_ref.h"
#include "server/connections/connection_impl.h"

namespace actioncluster {
namespace {

using internal::v1::RoomChange;

// Nobody guesses it: 32 hexadecimal digits from the system's random source.
std::string RandomId() { return absl::StrCat(RandomBootId(), RandomBootId()); }

// Before Redis is told again what it could not be told.
constexpr absl::Duration kRetry = absl::Seconds(1);

// How fast a node that drains lets its connections go: one every two milliseconds, about as fast as one node takes them; or as fast as it takes to be through in time.
constexpr absl::Duration kDepartEach = absl::Milliseconds(2);
constexpr absl::Duration kDepartLimit = absl::Seconds(2);
constexpr absl::Duration kDepartEvery = absl::Milliseconds(10);

v1::OpenResponse::Goodbye GoodbyeFor(absl::string_view reason) {
  v1::OpenResponse::Goodbye goodbye;
  goodbye.set_reason(std::string(reason));
  return goodbye;
}

}  // namespace

absl::Status NoSuchConnection(const std::string& connection_id) {
  return MakeError(v1::ERROR_REASON_CONNECTION_NOT_FOUND, absl::StrCat("there is no connection ", connection_id));
}

ConnectionHost::Impl::Impl(const Parts& parts_in, ConnectionSettings settings_in)
    : parts(parts_in), settings(std::move(settings_in)), timer(parts_in.loop, [this] { RunDue(); }) {}

void ConnectionHost::Impl::Attach(const ClientPtr& client) {
  clients.emplace(client->host_id, client);
  absl::Status refused = refusing.value_or(absl::OkStatus());
  if (refused.ok() && !parts.membership.Serving()) {
    refused = BackplaneUnavailable("this node is not in the cluster now");
  }
  if (!refused.ok()) {
    Remove(client, Why::kMoved, nullptr, refused);
    return client->stream->Refuse(refused);
  }
  client->id = client->hello.id().empty() ? RandomId() : client->hello.id();
  client->resume_token = RandomId();
  ++claiming[client->id];
  parts.presence.Claim(client->id, parts.membership.self(), client->hello.resume_token(), client->resume_token,
                       Guard([client](Impl& self, absl::StatusOr<Presence::Claimed> claimed) {
                         self.OnClaimed(client, std::move(claimed));
                       }));
}

void ConnectionHost::Impl::OnClaimed(const ClientPtr& client, absl::StatusOr<Presence::Claimed> claimed) {
  if (--claiming.at(client->id) == 0) claiming.erase(client->id);
  if (!claimed.ok()) {
    if (ReasonOf(claimed.status()) != v1::ERROR_REASON_CONNECTION_EXISTS) {
      // It may have been done, and nobody knows the claim.
      const bool shown = !client->hello.resume_token().empty();
      Owe({.id = client->id,
           .claim = {.boot = parts.membership.self().boot, .epoch = 0},
           .resume_window = shown ? settings.resume_window : absl::ZeroDuration(),
           .kind = RoomChange::KIND_UNSPECIFIED,
           .leaves = {}});
    }
    if (client->phase == Client::Phase::kGone) return;
    Remove(client, Why::kMoved, nullptr, claimed.status());
    return client->stream->Refuse(claimed.status());
  }
  client->claim = claimed->claim;
  const auto former = by_id.find(client->id);
  if (former != by_id.end()) {
    const v1::OpenResponse::Goodbye goodbye = GoodbyeFor("taken_over");
    Remove(ClientPtr(former->second), Why::kMoved, &goodbye, absl::OkStatus());
  }
  if (!claimed->former_boot.empty() && claimed->former_boot != client->claim.boot &&
      parts.membership.directory().FindBoot(claimed->former_boot) != nullptr) {
    internal::v1::Envelope envelope;
    envelope.mutable_connection_moved()->set_connection_id(client->id);
    envelope.mutable_connection_moved()->set_epoch(client->claim.epoch);
    parts.bus.Publish(parts.keys.ChannelBoot(claimed->former_boot), std::move(envelope),
                      [](const absl::StatusOr<int64_t>&) {});
  }
  if (client->phase == Client::Phase::kGone) {
    // Its stream ended meanwhile. What it came back to is kept for its next try.
    const bool kept = claimed->state.has_value() && !client->finished;
    Settle({.id = client->id,
            .claim = client->claim,
            .resume_window = kept ? settings.resume_window : absl::ZeroDuration(),
            .kind = RoomChange::KIND_UNSPECIFIED,
            .leaves = {}});
    return;
  }
  client->phase = Client::Phase::kEntering;
  client->connected_at = absl::FromUnixMicros(client->claim.epoch);
  client->stepping = true;  // Until it is welcomed.
  by_id[client->id] = client;
  if (!claimed->state.has_value()) return Welcome(client, {}, /*resumed=*/false);
  client->resume_token = client->hello.resume_token();
  client->state = *std::move(claimed->state);
  EnterRooms(client);
}

// Puts a client that has come back into the rooms that it was in, and looks whether it can have what it missed there.
void ConnectionHost::Impl::EnterRooms(const ClientPtr& client) {
  struct Entering {
    size_t left = 0;
    absl::Status failed;
    std::vector<std::string> gaps;
    std::map<std::string, Missed> rooms;
  };
  auto entering = std::make_shared<Entering>();
  const auto finish = [this, client, entering] {
    if (--entering->left != 0 || client->phase == Client::Phase::kGone) return;
    if (!entering->failed.ok()) {
      client->stream->Refuse(entering->failed);
      return Remove(client, Why::kLost, nullptr, entering->failed);
    }
    Welcome(client, entering->gaps, /*resumed=*/true);
    CatchUp(client, entering->rooms);
  };
  std::map<std::string, uint64_t> offsets;
  for (const v1::RoomOffset& offset : client->hello.resume()) offsets[offset.room()] = offset.offset();
  const std::map<std::string, int64_t> in(client->state.rooms().begin(), client->state.rooms().end());
  entering->left = in.size() + 1;
  for (const auto& [room, joined_at_us] : in) {
    const auto offset = offsets.find(room);
    const bool told = offset != offsets.end();
    const uint64_t last = told ? offset->second : 0;
    Enter(client, room, joined_at_us, [this, client, entering, finish, room, told, last](const absl::Status& status) {
      const auto seat = client->seats.find(room);
      if (!status.ok() || seat == client->seats.end()) {
        client->state.mutable_rooms()->erase(room);
        if (!status.ok() && ReasonOf(status) != v1::ERROR_REASON_ROOM_NOT_FOUND) entering->failed = status;
        return finish();
      }
      Missed& missed = entering->rooms[room];
      missed.seat = seat->second;
      if (!told || rooms.at(room).record.history_messages() == 0) {
        entering->gaps.push_back(room);
        return finish();
      }
      missed.read = true;
      seat->second->last_offset = last;
      // Nothing is read yet but whether it is all there: of many rooms it would be much that waits for the welcome.
      parts.rooms.ReadHistory(room, last, 0,
                              Guard([entering, finish, room](Impl&, const absl::StatusOr<RoomStore::History>& history) {
                                entering->failed.Update(history.status());
                                if (history.ok() && !history->complete) {
                                  entering->gaps.push_back(room);
                                  entering->rooms.at(room).gap_told = true;
                                }
                                finish();
                              }));
    });
  }
  finish();
}

void ConnectionHost::Impl::Welcome(const ClientPtr& client, const std::vector<std::string>& rooms_with_gaps,
                                   bool resumed) {
  client->phase = Client::Phase::kOpen;
  v1::OpenResponse response;
  v1::OpenResponse::Welcome& welcome = *response.mutable_welcome();
  *welcome.mutable_connection() = Details(*client);
  welcome.set_resume_token(client->resume_token);
  welcome.set_resumed(resumed);
  for (const std::string& room : rooms_with_gaps) welcome.add_rooms_with_gaps(room);
  client->stream->Send(std::move(response));
  // Of what it said, only what its details show is needed any more.
  v1::OpenRequest::Hello said = std::exchange(client->hello, {});
  if (said.has_claims()) client->hello.mutable_claims()->Swap(said.mutable_claims());
  client->hello.set_type(std::move(*said.mutable_type()));
  client->hello.set_fingerprint(std::move(*said.mutable_fingerprint()));
  client->hello.set_can_chat(said.can_chat());
  NextStep(client);
}

void ConnectionHost::Impl::Detach(HostId id, bool finished) {
  const auto found = clients.find(id);
  if (found == clients.end()) return;
  const ClientPtr client = found->second;
  client->finished = finished;
  Remove(client, finished ? Why::kOver : Why::kLost, nullptr, absl::OkStatus());
}

void ConnectionHost::Impl::Remove(const ClientPtr& client, Why why, const v1::OpenResponse::Goodbye* goodbye,
                                  const absl::Status& status) {
  if (client->phase == Client::Phase::kGone) return;
  const bool claimed = client->phase != Client::Phase::kClaiming;
  client->phase = Client::Phase::kGone;
  clients.erase(client->host_id);
  if (goodbye != nullptr) client->stream->Close(*goodbye, status);
  Settlement settlement{.id = client->id,
                        .claim = client->claim,
                        .resume_window = std::nullopt,
                        .kind = RoomChange::KIND_UNSPECIFIED,
                        .leaves = {}};
  for (const auto& [room, seat] : client->seats) {
    settlement.leaves.emplace_back(room, MemberRecord(*client, *seat));
  }
  while (!client->seats.empty()) GetUp(client, std::string(client->seats.begin()->first));
  EndSteps(client);
  if (!claimed) return;
  const auto named = by_id.find(client->id);
  if (named != by_id.end() && named->second == client) by_id.erase(named);
  if (why == Why::kOver) {
    settlement.resume_window = absl::ZeroDuration();
    settlement.kind = RoomChange::KIND_LEFT;
  } else if (why == Why::kLost) {
    settlement.resume_window = settings.resume_window;
    settlement.kind = RoomChange::KIND_LOST;
  }
  Settle(std::move(settlement));
}

// What was said of it here ends; what Redis has of it follows, and follows again when Redis was away.
void ConnectionHost::Impl::Settle(Settlement settlement) {
  struct Settling {
    Settlement left;
    size_t running = 1;
  };
  auto now = std::make_shared<Settling>();
  now->left = {.id = settlement.id,
               .claim = settlement.claim,
               .resume_window = std::nullopt,
               .kind = settlement.kind,
               .leaves = {}};
  ++settling;
  const auto end = [now](Impl& self) {
    if (--now->running != 0) return;
    --self.settling;
    if (!now->left.resume_window.has_value() && now->left.leaves.empty()) return;
    self.Owe(std::move(now->left));
  };
  const auto here = by_id.find(settlement.id);
  for (auto& [room, member] : settlement.leaves) {
    // It is back in that room, on this node.
    if (here != by_id.end() && here->second->seats.contains(room)) continue;
    ++now->running;
    std::vector<internal::v1::RoomMemberRecord> members = {member};
    parts.rooms.Leave(room, settlement.claim.boot, members, settlement.kind,
                      Guard([now, end, room = room, member = member](Impl& self, const absl::StatusOr<int64_t>& left) {
                        if (!left.ok()) now->left.leaves.emplace_back(room, member);
                        end(self);
                      }));
  }
  if (settlement.resume_window.has_value()) {
    ++now->running;
    parts.presence.Release(
        settlement.id, settlement.claim, *settlement.resume_window,
        Guard([now, end, window = *settlement.resume_window](Impl& self, const absl::StatusOr<bool>& released) {
          if (!released.ok()) now->left.resume_window = window;
          end(self);
        }));
  }
  end(*this);
}

void ConnectionHost::Impl::Owe(Settlement settlement) {
  owed.push_back(std::move(settlement));
  RetrySoon();
}

void ConnectionHost::Impl::OweLeave(const Client& client, const std::string& room,
                                    const internal::v1::RoomMemberRecord& member) {
  Owe({.id = client.id,
       .claim = client.claim,
       .resume_window = std::nullopt,
       .kind = RoomChange::KIND_LEFT,
       .leaves = {{room, member}}});
}

void ConnectionHost::Impl::SettleOwed() {
  for (Settlement& settlement : std::exchange(owed, {})) {
    // One whose claim is not known would take it from who has the id here by now, or is about to.
    const bool known = settlement.claim.epoch != 0;
    if (!known && claiming.contains(settlement.id)) {
      Owe(std::move(settlement));
    } else if (known || !by_id.contains(settlement.id)) {
      Settle(std::move(settlement));
    }
  }
}

void ConnectionHost::Impl::RetrySoon() {
  if (std::exchange(retrying, true)) return;
  At(MonotonicNow() + kRetry, Guard([](Impl& self) {
       self.retrying = false;
       self.SettleOwed();
       self.StoreDirty();
     }));
}

void ConnectionHost::Impl::StoreDirty() {
  for (const auto& [id, client] : by_id) {
    if (client->dirty && !client->storing) StoreNow(client);
  }
}

void ConnectionHost::Impl::OnMoved(const std::string& id, int64_t epoch) {
  const auto found = by_id.find(id);
  if (found == by_id.end() || found->second->claim.epoch >= epoch) return;
  const v1::OpenResponse::Goodbye goodbye = GoodbyeFor("taken_over");
  Remove(ClientPtr(found->second), Why::kMoved, &goodbye, absl::OkStatus());
}

void ConnectionHost::Impl::Lose(const ClientPtr& client) {
  const v1::OpenResponse::Goodbye goodbye = GoodbyeFor("lost");
  Remove(client, Why::kLost, &goodbye, BackplaneUnavailable("this node has lost its place in the cluster"));
}

// Another node may have claimed it unheard, or Redis may have lost what it had.
void ConnectionHost::Impl::CheckClaim(const ClientPtr& client) {
  parts.presence.Lookup(client->id, Guard([client](Impl& self, const auto& record) {
                          if (!record.ok() || client->phase == Client::Phase::kGone) return;
                          record->has_value() ? self.OnMoved(client->id, (*record)->epoch()) : self.Lose(client);
                        }));
}

std::deque<ClientPtr> ConnectionHost::Impl::RefuseNewcomers(const absl::Status& why) {
  refusing = why;
  std::deque<ClientPtr> claiming_clients;
  std::deque<ClientPtr> others;
  for (const auto& [id, client] : clients) {
    (client->phase == Client::Phase::kClaiming ? claiming_clients : others).push_back(client);
  }
  for (const ClientPtr& client : claiming_clients) {
    client->stream->Refuse(why);
    Remove(client, Why::kLost, nullptr, why);
  }
  return others;
}

void ConnectionHost::Impl::Depart(const v1::OpenResponse::Goodbye& goodbye, const absl::Status& why, size_t at_once) {
  for (size_t i = 0; i < at_once && !departing.empty(); ++i) {
    const ClientPtr client = std::move(departing.front());
    departing.pop_front();
    Remove(client, Why::kLost, &goodbye, why);
  }
  if (departing.empty()) return;
  At(MonotonicNow() + kDepartEvery, [this, goodbye, why, at_once] { Depart(goodbye, why, at_once); });
}

ConnectionHost::ConnectionHost(const Parts& parts, ConnectionSettings settings)
    : impl_(std::make_shared<Impl>(parts, std::move(settings))) {
  parts.feed.AddListener(this);
  parts.bus.Handle(internal::v1::Envelope::kConnectionMoved,
                   [this](const internal::v1::Envelope& envelope, absl::Time) {
                     impl_->OnMoved(envelope.connection_moved().connection_id(), envelope.connection_moved().epoch());
                   });
}

ConnectionHost::~ConnectionHost() = default;

ConnectionHost::HostId ConnectionHost::Attach(std::shared_ptr<ClientStream> stream, v1::OpenRequest::Hello hello,
                                              std::string remote_address) {
  auto client = std::make_shared<Client>();
  client->host_id = impl_->next_id++;
  client->stream = std::move(stream);
  client->hello = std::move(hello);
  if (client->hello.type().empty()) client->hello.set_type("grpc");
  client->remote_address = std::move(remote_address);
  impl_->Attach(client);
  return client->host_id;
}

void ConnectionHost::Verb(HostId id, v1::OpenRequest::Verb verb) { impl_->Verb(id, std::move(verb)); }

void ConnectionHost::Answer(HostId id, const std::string& call_id, Outcome outcome) {
  const auto client = impl_->clients.find(id);
  if (client == impl_->clients.end()) return;
  const auto invoke = client->second->invokes.find(call_id);
  if (invoke == client->second->invokes.end()) return;
  OutcomeDone done = std::move(invoke->second);
  client->second->invokes.erase(invoke);
  std::move(done)(std::move(outcome));
}

void ConnectionHost::Detach(HostId id, bool finished) { impl_->Detach(id, finished); }

bool ConnectionHost::Holds(absl::string_view connection_id) const { return impl_->by_id.contains(connection_id); }

size_t ConnectionHost::connections() const { return impl_->by_id.size(); }

size_t ConnectionHost::unsettled() const { return impl_->settling + impl_->owed.size() + impl_->departing.size(); }

void ConnectionHost::OnServing(bool serving) {
  if (!serving) return;
  const std::string& boot = impl_->parts.membership.self().boot;
  std::vector<ClientPtr> former;
  for (const auto& [id, client] : impl_->by_id) {
    if (client->claim.boot != boot) former.push_back(client);
  }
  for (const ClientPtr& client : former) impl_->Lose(client);
}

void ConnectionHost::OnBackplane(const absl::Status& state) {
  if (!state.ok()) return;
  impl_->SettleOwed();
  impl_->StoreDirty();
  for (const auto& [id, client] : impl_->by_id) impl_->CheckClaim(client);
}

void ConnectionHost::Drain(const std::vector<std::string>& alternatives) {
  const absl::Status why =
      WithMetadata(BackplaneUnavailable("this node is draining"), "alternatives", absl::StrJoin(alternatives, ","));
  impl_->departing = impl_->RefuseNewcomers(why);
  v1::OpenResponse::Goodbye goodbye = GoodbyeFor("draining");
  goodbye.mutable_alternatives()->Assign(alternatives.begin(), alternatives.end());
  const absl::Duration over = std::min(kDepartLimit, impl_->departing.size() * kDepartEach);
  const double share = absl::FDivDuration(kDepartEvery, std::max(over, kDepartEvery));
  impl_->Depart(goodbye, why, 1 + static_cast<size_t>(share * static_cast<double>(impl_->departing.size())));
}

void ConnectionHost::CloseAll(const absl::Status& why) {
  impl_->departing = impl_->RefuseNewcomers(why);
  impl_->Depart(GoodbyeFor("draining"), why, impl_->departing.size());
}

void ConnectionHost::OnSaying(const RoomFeed::Incoming& saying) { impl_->Hear(saying); }
void ConnectionHost::OnInterrupted() { impl_->OnInterrupted(); }
void ConnectionHost::OnResumed() { impl_->OnResumed(); }

}  // namespace actioncluster

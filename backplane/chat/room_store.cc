#include "backplane/chat/room_store.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "absl/strings/str_cat.h"
#include "backplane/chat/room_wire.h"
#include "backplane/chat/saying_batches.h"
#include "backplane/domain/error.h"
#include "backplane/redis/command.h"
#include "backplane/redis/fields.h"
#include "backplane/redis/reply.h"
#include "backplane/scripts/scripts.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

using internal::v1::Envelope;
using internal::v1::RoomChange;
using internal::v1::RoomMemberRecord;
using internal::v1::RoomRecord;
using redis::Command;
using redis::Reply;

// As many as the bits of what room_leave says of them.
constexpr size_t kLeaving = 50;
// What HSCAN looks at in one step, more or less.
constexpr int kMembers = 200;
constexpr size_t kHistoryBytes = size_t{256} * 1024;
// Lua's numbers are exact up to here. No offset is greater.
constexpr uint64_t kMaxOffset = uint64_t{1} << 53;

absl::StatusOr<int64_t> NumberOf(const absl::StatusOr<Reply>& reply) {
  if (!reply.ok()) return AsBackplaneError(reply.status());
  return reply->view().Integer();
}

// Several steps whose results are added up; the first failure counts.
struct Sum {
  size_t left;
  RoomStore::Then<int64_t> done;
  int64_t sum = 0;
  absl::Status failed;

  void Add(const absl::StatusOr<int64_t>& number) {
    failed.Update(number.status());
    sum += number.value_or(0);
    if (--left > 0) return;
    if (!failed.ok()) return std::move(done)(failed);
    std::move(done)(sum);
  }
};

}  // namespace

struct RoomStore::Impl : std::enable_shared_from_this<Impl> {
  Impl(Loop& loop_in, redis::Client& commands_in, Bus& bus_in, const Keys& keys_in)
      : loop(loop_in),
        commands(commands_in),
        bus(bus_in),
        keys(keys_in),
        batches(std::in_place,
                [this](const std::string& room, std::vector<RoomSaying> sayings, SayingBatches::AllDone done) {
                  SendSayings(room, std::move(sayings), std::move(done));
                }) {}

  void Create(const std::string& room, const RoomRecord& record, Then<absl::Time> done);
  void Destroy(const std::string& room, Then<int64_t> done);
  void List(const std::string& prefix, const std::string& after, int limit, Then<RoomPage> done);
  void Join(const std::string& room, RoomMemberRecord member, Then<Joined> done);
  void Leave(const std::string& room, const std::string& boot, const std::vector<RoomMemberRecord>& members,
             RoomChange::Kind kind, Then<int64_t> done);
  void SendSayings(const std::string& room, std::vector<RoomSaying> sayings, SayingBatches::AllDone done);
  void ReadHistory(const std::string& room, uint64_t offset, int limit, Then<History> done);

  // Nothing: there is no such room.
  void View(const std::string& room, Then<std::optional<RoomView>> done);
  void Enlist(const std::string& room, Then<int64_t> done);
  // `stamp`: as it was read before the room was found gone.
  void Unlist(const std::string& room, const std::string& stamp);
  // What Redis says of a history. Of what it is not ours is left out.
  absl::StatusOr<History> HistoryOf(const std::string& room, redis::ReplyView reply, uint64_t* last) const;

  void Call(const redis::Script& script, const std::string& room, const std::vector<std::string>& arguments,
            redis::Client::Completion done) {
    commands.Execute(
        Command::Call(script,
                      {keys.RoomInfo(room), keys.RoomMembers(room), keys.RoomBoots(room), keys.RoomHistory(room)},
                      arguments),
        std::move(done));
  }
  // Ends what was not begun.
  template <class T>
  void End(T done, absl::Status why) {
    loop.Post([done = std::move(done), why = std::move(why)]() mutable { std::move(done)(std::move(why)); });
  }

  Loop& loop;
  redis::Client& commands;
  Bus& bus;
  const Keys& keys;
  std::optional<SayingBatches>
      batches;  // Until the store is destroyed: what is under way may outlive it, and begins nothing any more.
};

void RoomStore::Impl::Enlist(const std::string& room, Then<int64_t> done) {
  commands.Execute(
      Command::Call(scripts::kRoomsEnlist, {keys.RoomNames(), keys.RoomStamps()}, {room}),
      [done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable { std::move(done)(NumberOf(reply)); });
}

void RoomStore::Impl::Unlist(const std::string& room, const std::string& stamp) {
  // If this fails, the name is found out again.
  commands.Execute(Command::Call(scripts::kRoomsUnlist, {keys.RoomNames(), keys.RoomStamps()}, {room, stamp}),
                   [](const absl::StatusOr<Reply>&) {});
}

void RoomStore::Impl::Create(const std::string& room, const RoomRecord& record, Then<absl::Time> done) {
  Enlist(room, [self = shared_from_this(), room, record,
                done = std::move(done)](const absl::StatusOr<int64_t>& enlisted) mutable {
    if (!enlisted.ok()) return std::move(done)(enlisted.status());
    self->Call(scripts::kRoomCreate, room,
               {record.SerializeAsString(), absl::StrCat(record.history_messages()), absl::StrCat(record.history_us())},
               [room, done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable {
                 const absl::StatusOr<int64_t> created = NumberOf(reply);
                 if (!created.ok()) return std::move(done)(created.status());
                 if (*created == 0) return std::move(done)(room_wire::RoomExists(room));
                 std::move(done)(absl::FromUnixMicros(*created));
               });
    // Somebody may have found the name, but no room yet, and taken it off.
    self->Enlist(room, [](const absl::StatusOr<int64_t>&) {});
  });
}

void RoomStore::Impl::Destroy(const std::string& room, Then<int64_t> done) {
  const std::string channel = keys.ChannelRoom(room);
  const absl::StatusOr<std::string> sealed =
      bus.Seal(channel, room_wire::ChangeOf(room, RoomChange::KIND_DESTROYED, {}));
  if (!sealed.ok()) return End(std::move(done), sealed.status());
  // Read before it is destroyed: whoever makes it anew puts it into the list anew.
  const auto stamp = std::make_shared<std::string>();
  commands.Execute(Command({"HGET", keys.RoomStamps(), room}), [stamp](const absl::StatusOr<Reply>& reply) {
    if (reply.ok()) *stamp = std::string(reply->view().String().value_or(""));
  });
  Call(scripts::kRoomDestroy, room, {channel, *sealed},
       [self = shared_from_this(), room, stamp, done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable {
         const absl::StatusOr<int64_t> members = NumberOf(reply);
         if (!members.ok()) return std::move(done)(members.status());
         if (!stamp->empty()) self->Unlist(room, *stamp);
         if (*members < 0) return std::move(done)(room_wire::RoomNotFound(room));
         std::move(done)(*members);
       });
}

void RoomStore::Impl::View(const std::string& room, Then<std::optional<RoomView>> done) {
  const auto info = std::make_shared<absl::StatusOr<Reply>>();
  commands.Execute(Command({"HMGET", keys.RoomInfo(room), "record", "created"}),
                   [info](absl::StatusOr<Reply> reply) { *info = std::move(reply); });
  commands.Execute(Command({"HGETALL", keys.RoomBoots(room)}),
                   [room, info, done = std::move(done)](const absl::StatusOr<Reply>& boots) mutable {
                     if (!info->ok()) return std::move(done)(AsBackplaneError(info->status()));
                     if (!boots.ok()) return std::move(done)(AsBackplaneError(boots.status()));
                     std::move(done)(room_wire::ViewOf(room, (*info)->view(), boots->view()));
                   });
}

void RoomStore::Impl::List(const std::string& prefix, const std::string& after, int limit, Then<RoomPage> done) {
  struct Listing {
    std::vector<std::pair<std::string, std::string>> names;  // And their stamps.
    std::vector<std::optional<RoomView>> views;
    size_t left = 0;
    absl::Status failed;
    bool more = false;
    Then<RoomPage> done;

    void End() {
      if (!failed.ok()) return std::move(done)(failed);
      RoomPage page;
      if (!names.empty()) page.last = names.back().first;
      page.more = more;
      for (std::optional<RoomView>& view : views) {
        if (view.has_value()) page.rooms.push_back(*std::move(view));
      }
      std::move(done)(std::move(page));
    }
  };
  auto listing = std::make_shared<Listing>();
  listing->done = std::move(done);
  const auto [from, till] = room_wire::NameRange(prefix, after);
  commands.Execute(
      Command::Call(scripts::kRoomsList, {keys.RoomNames(), keys.RoomStamps()}, {from, till, absl::StrCat(limit)}),
      [self = shared_from_this(), listing, limit](const absl::StatusOr<Reply>& reply) {
        if (!reply.ok()) return std::move(listing->done)(AsBackplaneError(reply.status()));
        redis::Fields fields(reply->view());
        while (!fields.done()) {
          std::string name = fields.Text();
          listing->names.emplace_back(std::move(name), fields.Text());
        }
        listing->failed = fields.status();
        listing->left = listing->names.size();
        listing->more = listing->names.size() >= static_cast<size_t>(limit);
        listing->views.resize(listing->names.size());
        if (!listing->failed.ok() || listing->left == 0) return listing->End();
        for (size_t i = 0; i < listing->names.size(); ++i) {
          self->View(listing->names[i].first, [self, listing, i](absl::StatusOr<std::optional<RoomView>> view) {
            const auto& [name, stamp] = listing->names[i];
            if (absl::IsInternal(view.status())) {
              LOG_EVERY_T(WARNING, 1) << "room is not understood: " << view.status();
            } else if (!view.ok()) {
              listing->failed.Update(view.status());
            } else if (view->has_value()) {
              listing->views[i] = *std::move(view);
            } else {
              self->Unlist(name, stamp);
            }
            if (--listing->left == 0) listing->End();
          });
        }
      });
}

void RoomStore::Impl::Join(const std::string& room, RoomMemberRecord member, Then<Joined> done) {
  const std::string channel = keys.ChannelRoom(room);
  const std::string joined_at = absl::StrCat(member.joined_at_us());
  // Both the record and what is told are completed with it where it is known.
  member.clear_joined_at_us();
  const absl::StatusOr<std::string> sealed =
      bus.Seal(channel, room_wire::ChangeOf(room, RoomChange::KIND_JOINED, {member}));
  if (!sealed.ok()) return End(std::move(done), sealed.status());
  Call(scripts::kRoomJoin, room,
       {member.connection_id(), member.boot_id(), member.SerializeAsString(), joined_at, channel, *sealed},
       [room, done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable {
         if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
         if (reply->view().is_array() && reply->view().size() == 0)
           return std::move(done)(room_wire::RoomNotFound(room));
         redis::Fields fields(reply->view());
         Joined joined{.joined_at_us = fields.Number(), .record = {}};
         if (!joined.record.ParseFromString(fields.Text())) {
           fields.Note(absl::InternalError("a room's record does not parse"));
         }
         if (!fields.status().ok()) return std::move(done)(fields.status());
         std::move(done)(std::move(joined));
       });
}

void RoomStore::Impl::Leave(const std::string& room, const std::string& boot,
                            const std::vector<RoomMemberRecord>& members, RoomChange::Kind kind, Then<int64_t> done) {
  const size_t steps = (members.size() + kLeaving - 1) / kLeaving;
  auto sum = std::make_shared<Sum>(Sum{.left = std::max<size_t>(steps, 1), .done = std::move(done), .failed = {}});
  const auto end = [sum](absl::StatusOr<int64_t> left) { sum->Add(left); };
  if (members.empty()) return loop.Post([end] { end(0); });
  const std::string channel = keys.ChannelRoom(room);
  for (size_t from = 0; from < members.size(); from += kLeaving) {
    const size_t till = std::min(from + kLeaving, members.size());
    const std::vector<RoomMemberRecord> some(members.begin() + static_cast<ptrdiff_t>(from),
                                             members.begin() + static_cast<ptrdiff_t>(till));
    std::vector<std::string> arguments = {boot, channel, ""};
    if (kind != RoomChange::KIND_UNSPECIFIED) {
      absl::StatusOr<std::string> sealed = bus.Seal(channel, room_wire::ChangeOf(room, kind, some));
      if (!sealed.ok()) {
        End(end, sealed.status());
        continue;
      }
      arguments[2] = *std::move(sealed);
    }
    for (const RoomMemberRecord& member : some) arguments.push_back(member.connection_id());
    Call(scripts::kRoomLeave, room, arguments, [end](const absl::StatusOr<Reply>& reply) { end(NumberOf(reply)); });
  }
}

void RoomStore::Impl::SendSayings(const std::string& room, std::vector<RoomSaying> sayings,
                                  SayingBatches::AllDone done) {
  const std::string channel = keys.ChannelRoom(room);
  std::vector<std::string> arguments = {channel};
  std::vector<absl::StatusOr<RoomSaid>> results(sayings.size(), RoomSaid());
  for (size_t i = 0; i < sayings.size(); ++i) {
    absl::StatusOr<std::string> sealed = bus.Seal(channel, room_wire::EnvelopeOf(room, std::move(sayings[i])));
    if (sealed.ok()) {
      arguments.push_back(*std::move(sealed));
    } else {
      results[i] = sealed.status();
    }
  }
  const size_t sent = arguments.size() - 1;
  if (sent == 0) {
    return loop.Post(
        [results = std::move(results), done = std::move(done)]() mutable { std::move(done)(std::move(results)); });
  }
  Call(scripts::kRoomSay, room, arguments,
       [room, sent, results = std::move(results), done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable {
         absl::StatusOr<std::vector<RoomSaid>> said;
         if (reply.ok()) {
           said = room_wire::SaidOf(room, reply->view(), sent);
         } else {
           said = AsBackplaneError(reply.status());
         }
         size_t next = 0;
         for (absl::StatusOr<RoomSaid>& result : results) {
           if (!result.ok()) continue;  // It was not sent.
           if (said.ok()) {
             result = (*said)[next++];
           } else {
             result = said.status();
           }
         }
         std::move(done)(std::move(results));
       });
}

absl::StatusOr<RoomStore::History> RoomStore::Impl::HistoryOf(const std::string& room, redis::ReplyView reply,
                                                              uint64_t* last) const {
  if (reply.is_array() && reply.size() == 0) return room_wire::RoomNotFound(room);
  const std::string channel = keys.ChannelRoom(room);
  History history;
  redis::Fields fields(reply);
  history.complete = fields.Number() != 0;
  history.more = fields.Number() != 0;
  while (!fields.done()) {
    *last = static_cast<uint64_t>(fields.Number());
    std::optional<RoomPast> past;
    if (const std::optional<Envelope> envelope = bus.Unseal(channel, fields.Text())) {
      past = room_wire::PastOf(room, *last, *envelope);
    }
    if (past.has_value()) {
      history.sayings.push_back(*std::move(past));
    } else {
      LOG_EVERY_T(WARNING, 1) << "forged message in a history is left out";
    }
  }
  if (!fields.status().ok()) return fields.status();
  return history;
}

void RoomStore::Impl::ReadHistory(const std::string& room, uint64_t offset, int limit, Then<History> done) {
  Call(scripts::kRoomHistory, room, {absl::StrCat(offset), absl::StrCat(limit), absl::StrCat(kHistoryBytes)},
       [self = shared_from_this(), room, offset, limit,
        done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable {
         if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
         uint64_t last = offset;
         absl::StatusOr<History> history = self->HistoryOf(room, reply->view(), &last);
         if (!history.ok() || !history->sayings.empty() || !history->more) return std::move(done)(std::move(history));
         // All of it was forged: the caller goes on behind what it gets, so it has to get something.
         if (last <= offset) return std::move(done)(absl::InternalError("a history does not go on"));
         self->ReadHistory(
             room, last, limit,
             [complete = history->complete, done = std::move(done)](absl::StatusOr<History> rest) mutable {
               if (rest.ok()) rest->complete = complete;
               std::move(done)(std::move(rest));
             });
       });
}

RoomStore::RoomStore(Loop& loop, redis::Client& commands, Bus& bus, const Keys& keys)
    : impl_(std::make_shared<Impl>(loop, commands, bus, keys)) {}
RoomStore::~RoomStore() { impl_->batches.reset(); }

void RoomStore::Create(const std::string& room, const RoomRecord& record, Then<absl::Time> done) {
  impl_->Create(room, record, std::move(done));
}

void RoomStore::Destroy(const std::string& room, Then<int64_t> done) { impl_->Destroy(room, std::move(done)); }

void RoomStore::Read(const std::string& room, Then<RoomView> done) {
  impl_->View(room, [room, done = std::move(done)](absl::StatusOr<std::optional<RoomView>> view) mutable {
    if (!view.ok()) return std::move(done)(view.status());
    if (!view->has_value()) return std::move(done)(room_wire::RoomNotFound(room));
    std::move(done)(**std::move(view));
  });
}

void RoomStore::List(const std::string& prefix, const std::string& after, int limit, Then<RoomPage> done) {
  impl_->List(prefix, after, limit, std::move(done));
}

void RoomStore::Members(const std::string& room, uint64_t cursor, Then<MemberPage> done) {
  impl_->commands.Execute(
      Command({"HSCAN", impl_->keys.RoomMembers(room), absl::StrCat(cursor), "COUNT", absl::StrCat(kMembers)}),
      [done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable {
        if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
        std::move(done)(room_wire::MembersOf(reply->view()));
      });
}

void RoomStore::Join(const std::string& room, RoomMemberRecord member, Then<Joined> done) {
  impl_->Join(room, std::move(member), std::move(done));
}

void RoomStore::Leave(const std::string& room, const std::string& boot, const std::vector<RoomMemberRecord>& members,
                      RoomChange::Kind kind, Then<int64_t> done) {
  impl_->Leave(room, boot, members, kind, std::move(done));
}

void RoomStore::Say(const std::string& room, RoomSaying saying, Then<RoomSaid> done) {
  if (absl::Status full = impl_->batches->HasRoomFor(room, saying); !full.ok()) {
    return impl_->End(std::move(done), std::move(full));
  }
  impl_->batches->Add(room, std::move(saying), std::move(done));
}

void RoomStore::ReadHistory(const std::string& room, uint64_t offset, int limit, Then<History> done) {
  impl_->ReadHistory(room, std::min(offset, kMaxOffset), limit, std::move(done));
}

}  // namespace actioncluster

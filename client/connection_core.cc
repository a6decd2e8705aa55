#include "client/connection_core.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "actioncluster/status.h"

namespace actioncluster::client {

v1::OpenRequest::Hello ConnectionCore::Hello() const {
  v1::OpenRequest::Hello hello = hello_;
  if (hello.resume_token().empty()) return hello;
  for (const auto& [room, offset] : offsets_) {
    v1::RoomOffset* const resume = hello.add_resume();
    resume->set_room(room);
    resume->set_offset(offset);
  }
  return hello;
}

ConnectionCore::Arrival ConnectionCore::Welcome(const v1::OpenResponse::Welcome& welcome) {
  Arrival arrival;
  hello_lost_ = false;
  hello_.set_id(welcome.connection().id());
  hello_.set_resume_token(welcome.resume_token());
  std::set<std::string> rooms(welcome.connection().rooms().begin(), welcome.connection().rooms().end());
  if (welcome.resumed()) {
    arrival.gaps.assign(welcome.rooms_with_gaps().begin(), welcome.rooms_with_gaps().end());
  } else {
    arrival.lost_rooms.assign(rooms_.begin(), rooms_.end());
  }
  // Out of a room, or of all as a new connection: what it has heard there means nothing any more.
  std::erase_if(offsets_, [&rooms](const auto& each) { return !rooms.contains(each.first); });
  rooms_ = std::move(rooms);
  return arrival;
}

bool ConnectionCore::Hear(const v1::OpenResponse::Message& message) {
  // Nobody tells a client that the server side has put it into a room.
  rooms_.insert(message.room());
  if (message.offset() == 0) return true;
  uint64_t& last = offsets_[message.room()];
  if (message.offset() <= last) return false;
  last = message.offset();
  return true;
}

void ConnectionCore::Left(const std::string& room) {
  rooms_.erase(room);
  offsets_.erase(room);
}

std::vector<std::string> ConnectionCore::RoomsWithoutHistory() const {
  std::vector<std::string> without;
  for (const std::string& room : rooms_) {
    if (!offsets_.contains(room)) without.push_back(room);
  }
  return without;
}

bool ConnectionCore::IsFinal(const absl::Status& refusal) const {
  if (ReasonOf(refusal) != v1::ERROR_REASON_CONNECTION_EXISTS) return false;
  return !hello_lost_ || !hello_.resume_token().empty();
}

absl::StatusOr<uint64_t> ConnectionCore::Add(v1::OpenRequest::Verb verb, absl::Time deadline, OnReply& on_reply) {
  if (!ended_.ok()) return ended_;
  if (open_.size() == kMaxOpen) {
    return absl::ResourceExhaustedError(absl::StrCat(kMaxOpen, " verbs are open already, at most"));
  }
  const uint64_t id = ++last_id_;
  verb.set_message_id(absl::StrCat(id));
  open_.emplace(id, Open{.verb = std::move(verb),
                         .on_reply = std::move(on_reply),
                         .sent = false,
                         .deadline = deadlines_.emplace(deadline, id)});
  return id;
}

bool ConnectionCore::Fill(v1::OpenRequest* frame) {
  const auto next = open_.lower_bound(next_unsent_);
  if (next == open_.end()) return false;
  next_unsent_ = next->first + 1;
  Open& open = next->second;
  open.sent = true;
  // Only of these the reply changes something here; what is said may be large.
  if (open.verb.verb() == "roomAdd" || open.verb.verb() == "roomLeave") {
    *frame->mutable_verb() = open.verb;
  } else {
    frame->mutable_verb()->Swap(&open.verb);
  }
  return true;
}

std::optional<ConnectionCore::Over> ConnectionCore::Accept(Reply reply) {
  uint64_t id = 0;
  if (!absl::SimpleAtoi(reply.message_id(), &id)) return std::nullopt;
  const auto open = open_.find(id);
  if (open == open_.end() || !open->second.sent) return std::nullopt;
  if (reply.has_error()) {
    absl::Status error = FromProto(reply.error());
    return Take(open, std::move(error));
  }
  Apply(open->second.verb);
  return Take(open, std::move(reply));
}

std::optional<ConnectionCore::Over> ConnectionCore::Drop(uint64_t id) {
  const auto open = open_.find(id);
  if (open == open_.end()) return std::nullopt;
  return Take(open, open->second.sent ? absl::DeadlineExceededError("no reply in time; it may have been done")
                                      : absl::UnavailableError("no node was reached in time; it was not sent"));
}

std::vector<ConnectionCore::Over> ConnectionCore::StreamLost() {
  std::vector<Over> over;
  for (auto next = open_.begin(); next != open_.end() && next->second.sent;) {
    over.push_back(Take(next++, absl::UnavailableError("the stream was lost before the reply; it may have been done")));
  }
  return over;
}

std::vector<ConnectionCore::Over> ConnectionCore::Expire(absl::Time now) {
  std::vector<Over> over;
  while (next_deadline() <= now) over.push_back(*Drop(deadlines_.begin()->second));
  return over;
}

std::vector<ConnectionCore::Over> ConnectionCore::End(const absl::Status& why) {
  Shut(why);
  std::vector<Over> over = StreamLost();
  while (!open_.empty()) over.push_back(Take(open_.begin(), ended_));
  return over;
}

ConnectionCore::Over ConnectionCore::Take(std::map<uint64_t, Open>::iterator open, absl::StatusOr<Reply> reply) {
  Over over{.on_reply = std::move(open->second.on_reply), .reply = std::move(reply)};
  deadlines_.erase(open->second.deadline);
  open_.erase(open);
  return over;
}

void ConnectionCore::Apply(const v1::OpenRequest::Verb& verb) {
  if (verb.args().values_size() == 0) return;
  const std::string& room = verb.args().values(0).string_value();
  if (verb.verb() == "roomAdd") rooms_.insert(room);
  if (verb.verb() == "roomLeave") Left(room);
}

}  // namespace actioncluster::client

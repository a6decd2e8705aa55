#include "client/connection_hub.h"

#include <optional>
#include <utility>

#include "actioncluster/status.h"
#include "client/callback_scope.h"
#include "client/clock.h"

namespace actioncluster::client {

absl::StatusOr<uint64_t> ConnectionHub::Ask(v1::OpenRequest::Verb verb, absl::Time deadline,
                                            ConnectionCore::OnReply& on_reply) {
  absl::StatusOr<uint64_t> id;
  std::shared_ptr<Writer> writer;
  bool arm = false;
  {
    absl::MutexLock lock(&mutex_);
    id = core_.Add(std::move(verb), deadline, on_reply);
    if (!id.ok()) return id;
    writer = writer_;
    arm = deadline < armed_for_;
    if (arm) armed_for_ = deadline;
  }
  if (arm) strand_.Post([self = shared_from_this(), deadline] { self->Arm(deadline); });
  if (writer != nullptr) writer->Pump();
  return id;
}

bool ConnectionHub::GiveUp(uint64_t id) {
  std::optional<ConnectionCore::Over> over;
  std::shared_ptr<Writer> writer;
  {
    absl::MutexLock lock(&mutex_);
    over = core_.Drop(id);
    writer = writer_;
  }
  if (!over.has_value()) return false;
  std::move(over->on_reply)(std::move(over->reply));
  if (writer != nullptr) writer->Pump();
  return true;
}

std::string ConnectionHub::id() const {
  absl::MutexLock lock(&mutex_);
  return core_.id();
}

void ConnectionHub::Shut(const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  core_.Shut(why);
}

void ConnectionHub::End(const absl::Status& why) {
  std::vector<ConnectionCore::Over> over;
  {
    absl::MutexLock lock(&mutex_);
    over = core_.End(why);
  }
  Finish(std::move(over));
  strand_.Post([self = shared_from_this()] { self->timer_.Cancel(); });
}

bool ConnectionHub::IsFinal(const absl::Status& why) const {
  if (MetadataOf(why).contains("goodbye")) return true;
  absl::MutexLock lock(&mutex_);
  return core_.IsFinal(why);
}

v1::OpenRequest::Hello ConnectionHub::Hello() const {
  absl::MutexLock lock(&mutex_);
  return core_.Hello();
}

void ConnectionHub::HelloLost() {
  absl::MutexLock lock(&mutex_);
  core_.HelloLost();
}

void ConnectionHub::Stand(std::shared_ptr<Writer> writer, const v1::OpenResponse::Welcome& welcome,
                          const std::function<void()>& then) {
  ConnectionCore::Arrival arrival;
  {
    absl::MutexLock lock(&mutex_);
    arrival = core_.Welcome(welcome);
    writer_ = writer;
  }
  then();
  for (const std::string& room : arrival.lost_rooms) TellLeft(room, "lost");
  if (!arrival.gaps.empty() && handlers_.on_missed != nullptr) {
    const CallbackScope scope;
    handlers_.on_missed({.count = 0, .rooms = std::move(arrival.gaps)});
  }
  writer->Pump();
}

void ConnectionHub::OnMessage(const v1::OpenResponse::Message& message) {
  {
    absl::MutexLock lock(&mutex_);
    if (!core_.Hear(message)) return;
  }
  if (handlers_.on_message == nullptr) return;
  const CallbackScope scope;
  handlers_.on_message(message);
}

void ConnectionHub::OnDirect(const v1::OpenResponse::Direct& direct) {
  if (handlers_.on_direct == nullptr) return;
  const CallbackScope scope;
  handlers_.on_direct(direct);
}

bool ConnectionHub::OnMissed(const v1::OpenResponse::Missed& missed) {
  MissedMessages told{.count = missed.count(), .rooms = {}};
  bool resume = false;
  if (missed.gap()) {
    absl::MutexLock lock(&mutex_);
    told.rooms = core_.RoomsWithoutHistory();
    resume = core_.CanResume();
  }
  if (handlers_.on_missed != nullptr && (told.count > 0 || !told.rooms.empty())) {
    const CallbackScope scope;
    handlers_.on_missed(told);
  }
  return resume;
}

void ConnectionHub::OnLeft(const v1::OpenResponse::Left& left) {
  {
    absl::MutexLock lock(&mutex_);
    core_.Left(left.room());
  }
  if (handlers_.on_left == nullptr) return;
  const CallbackScope scope;
  handlers_.on_left(left);
}

void ConnectionHub::OnReply(v1::OpenResponse::Reply reply) {
  std::optional<ConnectionCore::Over> over;
  {
    absl::MutexLock lock(&mutex_);
    over = core_.Accept(std::move(reply));
  }
  if (!over.has_value()) return;
  const CallbackScope scope;
  std::move(over->on_reply)(std::move(over->reply));
}

bool ConnectionHub::Fill(v1::OpenRequest* frame) {
  absl::MutexLock lock(&mutex_);
  return core_.Fill(frame);
}

bool ConnectionHub::idle() const {
  absl::MutexLock lock(&mutex_);
  return core_.idle();
}

void ConnectionHub::Fall() {
  std::vector<ConnectionCore::Over> over;
  std::shared_ptr<Writer> writer;  // May be the last that holds it: to go without the lock.
  {
    absl::MutexLock lock(&mutex_);
    std::swap(writer, writer_);
    over = core_.StreamLost();
  }
  Finish(std::move(over));
}

void ConnectionHub::Finish(std::vector<ConnectionCore::Over> over) {
  const CallbackScope scope;
  for (ConnectionCore::Over& each : over) std::move(each.on_reply)(std::move(each.reply));
}

void ConnectionHub::TellLeft(const std::string& room, const char* reason) {
  if (handlers_.on_left == nullptr) return;
  v1::OpenResponse::Left left;
  left.set_room(room);
  left.set_reason(reason);
  const CallbackScope scope;
  handlers_.on_left(left);
}

void ConnectionHub::Arm(absl::Time at) {
  timer_.Set(at, [self = shared_from_this()] { self->OnTimer(); });
}

void ConnectionHub::OnTimer() {
  std::vector<ConnectionCore::Over> over;
  std::shared_ptr<Writer> writer;
  absl::Time next;
  {
    absl::MutexLock lock(&mutex_);
    over = core_.Expire(MonotonicNow());
    next = armed_for_ = core_.next_deadline();
    writer = writer_;
  }
  if (next < absl::InfiniteFuture()) Arm(next);
  Finish(std::move(over));
  // The stream may have waited for just these, to end.
  if (writer != nullptr) writer->Pump();
}

}  // namespace actioncluster::client

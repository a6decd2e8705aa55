#include "client/connection_session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "actioncluster/status.h"
#include "client/clock.h"
#include "client/duration.h"
#include "client/reply_check.h"

namespace actioncluster::client {
namespace {

// As a call of a method, which is answered by the same handlers.
v1::ServeResponse::Call CallOf(v1::OpenResponse::Invoke* invoke, const std::string& connection_id) {
  v1::ServeResponse::Call call;
  call.set_call_id(invoke->call_id());
  call.set_method(invoke->method());
  call.set_connection_id(connection_id);
  if (invoke->has_args()) *call.mutable_args() = std::move(*invoke->mutable_args());
  if (invoke->has_data()) call.set_data(std::move(*invoke->mutable_data()));
  const absl::Time deadline = absl::Now() + FromProto(invoke->timeout());
  const int64_t seconds = absl::ToUnixSeconds(deadline);
  call.mutable_deadline()->set_seconds(seconds);
  call.mutable_deadline()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(deadline - absl::FromUnixSeconds(seconds))));
  return call;
}

v1::OpenRequest AnswerFrame(v1::ServeRequest::Reply reply) {
  v1::OpenRequest frame;
  v1::OpenRequest::Answer* const answer = frame.mutable_answer();
  answer->set_call_id(reply.call_id());
  if (reply.has_result()) *answer->mutable_result() = std::move(*reply.mutable_result());
  if (reply.has_data()) answer->set_data(std::move(*reply.mutable_data()));
  if (reply.has_error()) *answer->mutable_error() = std::move(*reply.mutable_error());
  return frame;
}

// What a goodbye means for us.
absl::Status StatusOf(const v1::OpenResponse::Goodbye& goodbye) {
  const std::string& reason = goodbye.reason();
  const bool for_good = reason == "taken_over" || reason == "destroyed" || reason == "quit";
  const absl::Status why(for_good ? absl::StatusCode::kAborted : absl::StatusCode::kUnavailable,
                         absl::StrCat("the node has ended the connection: ", reason,
                                      goodbye.message().empty() ? "" : ": ", goodbye.message()));
  if (for_good) return WithMetadata(why, "goodbye", reason);
  return WithMetadata(why, "alternatives", absl::StrJoin(goodbye.alternatives(), ","));
}

}  // namespace

ConnectionSession::ConnectionSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel,
                                     std::shared_ptr<ConnectionHub> hub, Observer observer)
    : hub_(std::move(hub)), observer_(std::move(observer)), stub_(v1::ConnectionService::NewStub(channel)) {
  client.Prepare(context_, absl::InfiniteDuration());
}

void ConnectionSession::Start() {
  if (!hub_->fault().ok()) return observer_.ended(hub_->fault());
  self_ = shared_from_this();
  {
    absl::MutexLock lock(&mutex_);
    held_ = true;
    hello_ = true;
  }
  stub_->async()->Open(&context_, this);
  AddHold();
  StartRead(&incoming_);
  Pump();
  StartCall();
}

void ConnectionSession::Retire() {
  {
    absl::MutexLock lock(&mutex_);
    retiring_ = true;
  }
  Pump();
}

void ConnectionSession::Leave(const absl::Status& why) {
  leaving_ = true;
  {
    absl::MutexLock lock(&mutex_);
    left_for_ = why;
  }
  context_.TryCancel();
}

void ConnectionSession::OnReadDone(bool ok) {
  if (!ok) {
    {
      absl::MutexLock lock(&mutex_);
      closed_ = true;
    }
    return Pump();
  }
  if (!leaving_) Take();
  StartRead(&incoming_);
}

void ConnectionSession::Take() {
  switch (incoming_.frame_case()) {
    case v1::OpenResponse::kWelcome:
      OnWelcome(incoming_.welcome());
      break;
    case v1::OpenResponse::kReply:
      hub_->OnReply(std::move(*incoming_.mutable_reply()));
      Pump();  // It may have been the last that is waited for.
      break;
    case v1::OpenResponse::kMessage:
      hub_->OnMessage(incoming_.message());
      break;
    case v1::OpenResponse::kDirect:
      hub_->OnDirect(incoming_.direct());
      break;
    case v1::OpenResponse::kInvoke:
      OnInvoke(incoming_.mutable_invoke());
      break;
    case v1::OpenResponse::kMissed:
      // What follows would hide what is missing: it is to come again, by the next stream.
      if (hub_->OnMissed(incoming_.missed())) Leave(absl::UnavailableError("the node was cut off: it is asked anew"));
      break;
    case v1::OpenResponse::kLeft:
      hub_->OnLeft(incoming_.left());
      break;
    case v1::OpenResponse::kGoodbye:
      // The last frame: nothing is lost by not waiting for the stream's end.
      Leave(StatusOf(incoming_.goodbye()));
      break;
    case v1::OpenResponse::kError:         // To what we never send.
    case v1::OpenResponse::FRAME_NOT_SET:  // Of a later version.
      break;
  }
}

void ConnectionSession::OnWelcome(const v1::OpenResponse::Welcome& welcome) {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(stands_, true)) return;
  }
  hub_->Stand(self_, welcome, [&] { observer_.attached(welcome.connection().node_id()); });
}

void ConnectionSession::OnInvoke(v1::OpenResponse::Invoke* invoke) {
  const absl::Time until = MonotonicNow() + FromProto(invoke->timeout());
  auto state = std::make_shared<CallState>(CallOf(invoke, hub_->id()), [self = self_](v1::ServeRequest::Reply reply) {
    self->SendAnswer(std::move(reply));
  });
  {
    absl::MutexLock lock(&mutex_);
    calls_[state->call().call_id()] = state;
  }
  hub_->Run(std::move(state), until);
}

void ConnectionSession::SendAnswer(v1::ServeRequest::Reply reply) {
  if (absl::Status fault = CheckReply(reply); !fault.ok()) *reply.mutable_error() = ToProto(fault);
  std::shared_ptr<CallState> state;  // To go without the lock: it may hold what is the user's.
  {
    absl::MutexLock lock(&mutex_);
    const auto found = calls_.find(reply.call_id());
    if (found == calls_.end()) return;
    state = std::move(found->second);
    calls_.erase(found);
    answers_.push_back(AnswerFrame(std::move(reply)));
  }
  Pump();
}

void ConnectionSession::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    hello_sent_ = hello_sent_ || ok;
    if (!ok) closed_ = true;
  }
  Pump();
}

void ConnectionSession::OnWritesDoneDone(bool /*ok*/) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
  }
  Pump();
}

bool ConnectionSession::FillFrame() {
  outgoing_.Clear();
  if (std::exchange(hello_, false)) {
    *outgoing_.mutable_hello() = hub_->Hello();
    return true;
  }
  if (!stands_) return false;
  if (!answers_.empty()) {
    outgoing_ = std::move(answers_.front());
    answers_.pop_front();
    return true;
  }
  return hub_->Fill(&outgoing_);
}

// Whoever sets writing_ starts one operation, whose end comes here again; so operations never overlap, and none is started after the hold is given back.
void ConnectionSession::Pump() {
  enum class Next { kNothing, kWrite, kEndOurHalf, kLetGo };
  Next next = Next::kNothing;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_) return;
    if (closed_) {
      if (std::exchange(held_, false)) next = Next::kLetGo;
    } else if (!left_for_.ok() || half_ended_) {
      return;
    } else if (FillFrame()) {
      next = Next::kWrite;
    } else if (retiring_ && calls_.empty() && hub_->idle()) {
      half_ended_ = true;
      next = Next::kEndOurHalf;
    }
    writing_ = next == Next::kWrite || next == Next::kEndOurHalf;
  }
  switch (next) {
    case Next::kNothing:
      return;
    case Next::kWrite:
      return StartWrite(&outgoing_);
    case Next::kEndOurHalf:
      return StartWritesDone();
    case Next::kLetGo:
      return RemoveHold();
  }
}

void ConnectionSession::OnDone(const grpc::Status& status) {
  const std::shared_ptr<ConnectionSession> self = std::move(self_);
  std::map<std::string, std::shared_ptr<CallState>> open;
  absl::Status why;
  bool unanswered;
  {
    absl::MutexLock lock(&mutex_);
    std::swap(open, calls_);
    why = left_for_.ok() ? FromGrpc(status) : left_for_;
    unanswered = hello_sent_ && !stands_;
  }
  if (unanswered && ReasonOf(why) != v1::ERROR_REASON_CONNECTION_EXISTS) hub_->HelloLost();
  for (const auto& [id, call] : open) call->Cancel();
  hub_->Fall();
  observer_.ended(why);
}

}  // namespace actioncluster::client

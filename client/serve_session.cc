#include "client/serve_session.h"

#include <utility>

#include "actioncluster/status.h"
#include "client/reply_check.h"

namespace actioncluster::client {

ServeSession::ServeSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel,
                           std::shared_ptr<const ServeConfig> config, Observer observer)
    : config_(std::move(config)), observer_(std::move(observer)), stub_(v1::RpcService::NewStub(channel)) {
  client.Prepare(context_, absl::InfiniteDuration());
}

void ServeSession::Start() {
  self_ = shared_from_this();
  v1::ServeRequest frame;
  *frame.mutable_register_() = config_->registration;
  {
    absl::MutexLock lock(&mutex_);
    held_ = true;
    unconfirmed_ = 1;
    outbox_.push_back(std::move(frame));
  }
  stub_->async()->Serve(&context_, this);
  AddHold();
  StartRead(&incoming_);
  Pump();
  StartCall();
}

void ServeSession::Retire() {
  v1::ServeRequest frame;
  *frame.mutable_register_() = config_->registration;
  frame.mutable_register_()->clear_methods();
  frame.mutable_register_()->clear_connection_methods();
  frame.mutable_register_()->clear_hooks();
  {
    absl::MutexLock lock(&mutex_);
    retiring_ = true;
    ++unconfirmed_;
    outbox_.push_back(std::move(frame));
  }
  Pump();
}

void ServeSession::Tick() {
  {
    absl::MutexLock lock(&mutex_);
    if (writing_) return;  // That breaks the silence as well.
    outbox_.emplace_back().mutable_heartbeat();
  }
  Pump();
}

void ServeSession::OnReadDone(bool ok) {
  if (!ok) {
    {
      absl::MutexLock lock(&mutex_);
      closed_ = true;
    }
    return Pump();
  }
  switch (incoming_.frame_case()) {
    case v1::ServeResponse::kRegistered:
      OnRegistered(incoming_.registered().node_id());
      break;
    case v1::ServeResponse::kCall:
      OnCall(incoming_.mutable_call());
      break;
    case v1::ServeResponse::kCancel:
      OnCancelled(incoming_.cancel().call_id());
      break;
    case v1::ServeResponse::kDraining:
      observer_.draining({incoming_.draining().alternatives().begin(), incoming_.draining().alternatives().end()});
      break;
    case v1::ServeResponse::FRAME_NOT_SET:
      break;  // Of a later version.
  }
  StartRead(&incoming_);
}

void ServeSession::OnRegistered(const std::string& node_id) {
  bool is_first;
  {
    absl::MutexLock lock(&mutex_);
    --unconfirmed_;
    is_first = !std::exchange(registered_, true);
  }
  if (is_first) observer_.attached(node_id);
  Pump();
}

void ServeSession::OnCall(v1::ServeResponse::Call* call) {
  auto state = std::make_shared<CallState>(
      std::move(*call), [self = self_](v1::ServeRequest::Reply reply) { self->SendReply(std::move(reply)); });
  {
    absl::MutexLock lock(&mutex_);
    calls_[state->call().call_id()] = state;
  }
  config_->run(std::move(state));
}

void ServeSession::OnCancelled(const std::string& call_id) {
  std::shared_ptr<CallState> state;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = calls_.find(call_id);
    if (found == calls_.end()) return;
    state = std::move(found->second);
    calls_.erase(found);
  }
  state->Cancel();
  Pump();
}

void ServeSession::SendReply(v1::ServeRequest::Reply reply) {
  if (absl::Status fault = CheckReply(reply); !fault.ok()) *reply.mutable_error() = ToProto(fault);
  std::shared_ptr<CallState> state;  // To go without the lock: it may hold what is the user's.
  {
    absl::MutexLock lock(&mutex_);
    const auto found = calls_.find(reply.call_id());
    if (found == calls_.end()) return;
    state = std::move(found->second);
    calls_.erase(found);
    *outbox_.emplace_back().mutable_reply() = std::move(reply);
  }
  Pump();
}

void ServeSession::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) closed_ = true;
  }
  Pump();
}

void ServeSession::OnWritesDoneDone(bool /*ok*/) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    closed_ = true;
  }
  Pump();
}

bool ServeSession::HasServed() const { return retiring_ && unconfirmed_ == 0 && calls_.empty(); }

// Whoever sets writing_ starts one operation, whose end comes here again; so operations never overlap, and none is started after the hold is given back.
void ServeSession::Pump() {
  enum class Next { kNothing, kWrite, kEndOurHalf, kLetGo };
  Next next = Next::kNothing;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_) return;
    if (closed_) {
      outbox_.clear();
      if (std::exchange(held_, false)) next = Next::kLetGo;
    } else if (!outbox_.empty()) {
      outgoing_ = std::move(outbox_.front());
      outbox_.pop_front();
      writing_ = true;
      next = Next::kWrite;
    } else if (HasServed()) {
      writing_ = true;
      next = Next::kEndOurHalf;
    }
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

void ServeSession::OnDone(const grpc::Status& status) {
  const std::shared_ptr<ServeSession> self = std::move(self_);
  std::map<std::string, std::shared_ptr<CallState>> open;
  {
    absl::MutexLock lock(&mutex_);
    std::swap(open, calls_);
  }
  for (const auto& [id, call] : open) call->Cancel();
  observer_.ended(FromGrpc(status));
}

}  // namespace actioncluster::client

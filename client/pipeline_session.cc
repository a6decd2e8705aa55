#include "client/pipeline_session.h"

#include <utility>

#include "absl/synchronization/notification.h"
#include "actioncluster/status.h"
#include "client/clock.h"

namespace actioncluster::client {

// A call, and the thread that waits for it.
struct PipelineSession::Waiter : PipelineCore::Call {
  absl::Notification done;
};

PipelineSession::PipelineSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel,
                                 PipelineCore::Limits limits, Observer observer)
    : observer_(std::move(observer)), stub_(v1::CacheService::NewStub(channel)), core_(limits) {
  client.Prepare(context_, absl::InfiniteDuration());
}

void PipelineSession::Start() {
  self_ = shared_from_this();
  stub_->async()->Pipeline(&context_, this);
  AddHold();
  StartRead(&incoming_);
  {
    absl::MutexLock lock(&mutex_);
    held_ = true;
    writing_ = false;
  }
  Pump();
  StartCall();
}

PipelineOutcome PipelineSession::Do(v1::PipelineRequest::Operation operation, size_t bytes, absl::Time deadline) {
  Waiter waiter;
  waiter.operation = std::move(operation);
  waiter.bytes = bytes;
  {
    absl::MutexLock lock(&mutex_);
    if (!core_.Add(waiter)) return {};
  }
  Pump();
  if (!waiter.done.WaitForNotificationWithTimeout(deadline - MonotonicNow())) GiveUp(waiter);
  return std::move(waiter.outcome);
}

void PipelineSession::GiveUp(Waiter& waiter) {
  bool dropped;
  bool silent;
  bool over;
  {
    absl::MutexLock lock(&mutex_);
    dropped = core_.Drop(waiter);
    silent = core_.silent() && !core_.retired();
    over = core_.retired() && core_.idle();
  }
  // Its outcome is on its way.
  if (!dropped) return waiter.done.WaitForNotification();
  waiter.outcome.kind = PipelineOutcome::Kind::kOverdue;
  if (silent) return Retire();
  // Nobody waits for what may still come.
  if (over) Cancel();
}

void PipelineSession::Retire() {
  std::vector<PipelineCore::Call*> unsent;
  bool over;
  {
    absl::MutexLock lock(&mutex_);
    if (core_.retired()) return;
    unsent = core_.Retire();
    over = core_.silent() && core_.idle();
  }
  observer_.retired();
  HandOut(unsent);
  if (over) return Cancel();
  Pump();
}

void PipelineSession::HandOut(const std::vector<PipelineCore::Call*>& calls) {
  for (PipelineCore::Call* call : calls) static_cast<Waiter*>(call)->done.Notify();
}

void PipelineSession::OnReadDone(bool ok) {
  if (!ok) {
    {
      absl::MutexLock lock(&mutex_);
      closed_ = true;
    }
    return Pump();
  }
  std::vector<PipelineCore::Call*> answered;
  {
    absl::MutexLock lock(&mutex_);
    answered = core_.Accept(&incoming_);
    handing_out_ = true;
  }
  const bool draining = incoming_.has_draining();
  HandOut(answered);
  {
    absl::MutexLock lock(&mutex_);
    handing_out_ = false;
  }
  Pump();
  if (draining) Retire();
  StartRead(&incoming_);
}

void PipelineSession::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) closed_ = true;
  }
  Pump();
}

void PipelineSession::OnWritesDoneDone(bool /*ok*/) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    closed_ = true;
  }
  Pump();
}

// Whoever sets writing_ starts one operation, whose end comes here again; so operations never overlap, and none is started after the hold is given back.
void PipelineSession::Pump() {
  enum class Next { kNothing, kWrite, kEndOurHalf, kLetGo };
  Next next = Next::kNothing;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_ || handing_out_) return;
    if (closed_) {
      if (std::exchange(held_, false)) next = Next::kLetGo;
    } else {
      outgoing_.Clear();
      if (core_.Fill(&outgoing_)) {
        next = Next::kWrite;
      } else if (core_.retired() && !std::exchange(half_ended_, true)) {
        next = Next::kEndOurHalf;
      }
      writing_ = next != Next::kNothing;
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

void PipelineSession::OnDone(const grpc::Status& status) {
  const std::shared_ptr<PipelineSession> self = std::move(self_);
  const absl::Status why = FromGrpc(status);
  std::vector<PipelineCore::Call*> open;
  {
    absl::MutexLock lock(&mutex_);
    open = core_.End(why);
  }
  // First, so that whoever hears of it goes on without this.
  observer_.ended(why);
  HandOut(open);
}

}  // namespace actioncluster::client

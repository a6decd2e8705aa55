#include "client/work_session.h"

#include <algorithm>
#include <cstddef>
#include <variant>

#include "actioncluster/status.h"
#include "client/duration.h"

namespace actioncluster::client {
namespace {

// Nobody needs to hear more often.
constexpr absl::Duration kMinHeartbeat = absl::Milliseconds(10);

}  // namespace

WorkSession::WorkSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel,
                         std::shared_ptr<const WorkConfig> config, Observer observer)
    : config_(std::move(config)), observer_(std::move(observer)), stub_(v1::TaskService::NewStub(channel)) {
  client.Prepare(context_, absl::InfiniteDuration());
}

void WorkSession::Start() {
  if (!config_->fault.ok()) return observer_.ended(config_->fault);
  self_ = shared_from_this();
  {
    absl::MutexLock lock(&mutex_);
    held_ = true;
    start_ = true;
  }
  stub_->async()->Work(&context_, this);
  AddHold();
  StartRead(&incoming_);
  Pump();
  StartCall();
}

// The node ends the stream when all that it has sent is recorded.
void WorkSession::Retire() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  Pump();
}

absl::Duration WorkSession::tick_every() const {
  absl::MutexLock lock(&mutex_);
  return heartbeat_every_;
}

void WorkSession::Tick() {
  {
    absl::MutexLock lock(&mutex_);
    if (writing_) return;  // That breaks the silence as well.
    heartbeat_ = true;
  }
  Pump();
}

void WorkSession::OnReadDone(bool ok) {
  if (!ok) {
    {
      absl::MutexLock lock(&mutex_);
      closed_ = true;
    }
    return Pump();
  }
  switch (incoming_.frame_case()) {
    case v1::WorkResponse::kStarted:
      OnStarted(incoming_.started());
      break;
    case v1::WorkResponse::kTasks:
      OnTasks(incoming_.mutable_tasks());
      break;
    case v1::WorkResponse::kRevoked:
      OnRevoked(incoming_.revoked());
      break;
    case v1::WorkResponse::kDraining:
      observer_.draining({incoming_.draining().alternatives().begin(), incoming_.draining().alternatives().end()});
      break;
    case v1::WorkResponse::kRecorded:      // What is not comes as revoked.
    case v1::WorkResponse::FRAME_NOT_SET:  // Of a later version.
      break;
  }
  StartRead(&incoming_);
}

void WorkSession::OnStarted(const v1::WorkResponse::Started& started) {
  if (started.has_heartbeat_every()) {
    absl::MutexLock lock(&mutex_);
    heartbeat_every_ = std::max(FromProto(started.heartbeat_every()), kMinHeartbeat);
  }
  observer_.attached(started.node_id());
}

void WorkSession::OnTasks(v1::WorkResponse::Tasks* tasks) {
  std::vector<std::shared_ptr<TaskRun>> runs;
  runs.reserve(static_cast<size_t>(tasks->tasks_size()));
  for (v1::WorkResponse::Task& task : *tasks->mutable_tasks()) {
    runs.push_back(std::make_shared<TaskRun>(std::move(task), self_));
  }
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& run : runs) tasks_[{run->task().id(), run->task().token()}] = run;
    // What waits here must not grow with what a node likes to send.
    if (tasks_.size() > config_->start.concurrency()) {
      context_.TryCancel();
      return;
    }
  }
  for (auto& run : runs) config_->run(std::move(run));
}

void WorkSession::OnRevoked(const v1::WorkResponse::Revoked& revoked) {
  std::shared_ptr<TaskRun> run;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = tasks_.find({revoked.task_id(), revoked.token()});
    if (found == tasks_.end()) return;
    run = found->second;
  }
  run->Cancel(revoked.reason());
}

void WorkSession::OnProgress(v1::WorkRequest::Progress progress) {
  {
    absl::MutexLock lock(&mutex_);
    // Told by another thread than the handler's, it may come when all is said.
    if (closed_ || !tasks_.contains({progress.task_id(), progress.token()})) return;
    outcomes_.Add(std::move(progress));
  }
  Pump();
}

void WorkSession::OnOutcome(TaskOutcome outcome) {
  const TaskKey key =
      std::visit([](const auto& message) { return TaskKey(message.task_id(), message.token()); }, outcome);
  std::shared_ptr<TaskRun> run;  // To go without the lock.
  {
    absl::MutexLock lock(&mutex_);
    const auto found = tasks_.find(key);
    if (closed_ || found == tasks_.end()) return;
    run = std::move(found->second);
    tasks_.erase(found);
    outcomes_.Add(std::move(outcome));
  }
  Pump();
}

void WorkSession::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) closed_ = true;
  }
  Pump();
}

bool WorkSession::FillFrame() {
  outgoing_.Clear();
  const bool heartbeat = std::exchange(heartbeat_, false);  // Any frame is one.
  if (std::exchange(start_, false)) {
    *outgoing_.mutable_start() = config_->start;
  } else if (std::exchange(stop_, false)) {
    outgoing_.mutable_stop();
  } else if (!outcomes_.empty()) {
    outcomes_.Fill(outgoing_.mutable_outcomes());
  } else if (heartbeat) {
    outgoing_.mutable_heartbeat();
  }
  return outgoing_.frame_case() != v1::WorkRequest::FRAME_NOT_SET;
}

// Whoever sets writing_ starts one operation, whose end comes here again; so operations never overlap, and none is started after the hold is given back.
void WorkSession::Pump() {
  enum class Next { kNothing, kWrite, kLetGo };
  Next next = Next::kNothing;
  {
    absl::MutexLock lock(&mutex_);
    if (writing_) return;
    if (closed_) {
      outcomes_.Clear();
      if (std::exchange(held_, false)) next = Next::kLetGo;
    } else if (FillFrame()) {
      writing_ = true;
      next = Next::kWrite;
    }
  }
  switch (next) {
    case Next::kNothing:
      return;
    case Next::kWrite:
      return StartWrite(&outgoing_);
    case Next::kLetGo:
      return RemoveHold();
  }
}

void WorkSession::OnDone(const grpc::Status& status) {
  const std::shared_ptr<WorkSession> self = std::move(self_);
  std::map<TaskKey, std::shared_ptr<TaskRun>> open;
  {
    absl::MutexLock lock(&mutex_);
    std::swap(open, tasks_);
  }
  for (const auto& [key, run] : open) run->StreamLost();
  observer_.ended(FromGrpc(status));
}

}  // namespace actioncluster::client

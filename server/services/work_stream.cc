#include "server/services/work_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/tasks/task_id.h"
#include "server/grpc/content.h"
#include "server/services/task_proto.h"

namespace actioncluster {
namespace {

constexpr int kMaxQueues = 64;
constexpr int kMaxNames = 256;
constexpr uint32_t kMaxConcurrency = 1024;
constexpr size_t kMaxWorkerNameBytes = 256;
constexpr int kMaxFollowUps = 100;
// Of a frame: four times what any worker may owe.
constexpr size_t kMaxOutcomes = size_t{4} * kMaxConcurrency;
// What an outcome takes besides its content, about.
constexpr size_t kOutcomeBytes = 256;
// Turns that are under way when a worker becomes congested still bring it tasks.
constexpr size_t kMaxOutboxBytes = size_t{64} * 1024 * 1024;
// What a task costs besides its input, about.
constexpr size_t kTaskBytes = 256;

absl::StatusOr<WorkerSpec> SpecOf(const v1::WorkRequest::Start& start) {
  if (start.queues().empty() || start.queues_size() > kMaxQueues) {
    return absl::InvalidArgumentError(absl::StrCat("start.queues must be 1 to ", kMaxQueues));
  }
  if (start.names_size() > kMaxNames) {
    return absl::InvalidArgumentError(absl::StrCat("start.names must be at most ", kMaxNames));
  }
  if (start.concurrency() > kMaxConcurrency) {
    return absl::InvalidArgumentError(absl::StrCat("start.concurrency must be at most ", kMaxConcurrency));
  }
  if (start.worker_name().size() > kMaxWorkerNameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("start.worker_name must have at most ", kMaxWorkerNameBytes, " bytes"));
  }
  WorkerSpec spec{.queues = {start.queues().begin(), start.queues().end()},
                  .all_queues = start.queues(0) == "*",
                  .names = {start.names().begin(), start.names().end()},
                  .concurrency = start.concurrency() == 0 ? 1 : static_cast<int>(start.concurrency()),
                  .name = start.worker_name()};
  for (const std::string& queue : spec.queues) {
    if (absl::Status valid = ValidateName(queue, "start.queues"); !valid.ok()) return valid;
    if (queue == "*" && spec.queues.size() > 1) {
      return absl::InvalidArgumentError("start.queues: `*` stands for all queues, so it stands alone");
    }
  }
  for (const std::string& name : spec.names) {
    if (absl::Status valid = ValidateName(name, "start.names"); !valid.ok()) return valid;
  }
  if (spec.all_queues) spec.queues.clear();
  return spec;
}

absl::Status Fill(const v1::WorkRequest::Completed& completed, TaskOutcome* outcome) {
  outcome->kind = TaskOutcome::Kind::kDone;
  absl::StatusOr<Content> result = ResultOf(completed);
  if (result.ok()) result = AtMost(kMaxTaskContentBytes, *std::move(result), "result");
  if (!result.ok()) return result.status();
  outcome->result = *std::move(result);
  if (completed.enqueue_size() > kMaxFollowUps) {
    return absl::InvalidArgumentError(absl::StrCat("enqueue must be at most ", kMaxFollowUps, " tasks"));
  }
  outcome->follow_ups.reserve(static_cast<size_t>(completed.enqueue_size()));
  for (int i = 0; i < completed.enqueue_size(); ++i) {
    absl::StatusOr<TaskOutcome::FollowUp> task = NewTaskOf(completed.enqueue(i), absl::StrCat("enqueue[", i, "]"));
    if (!task.ok()) return task.status();
    outcome->follow_ups.push_back(*std::move(task));
  }
  return absl::OkStatus();
}

absl::Status Fill(const v1::WorkRequest::Failed& failed, TaskOutcome* outcome) {
  outcome->kind = TaskOutcome::Kind::kFailed;
  outcome->error = HandlerError(failed.error());
  outcome->retryable = !failed.has_retryable() || failed.retryable();
  return absl::OkStatus();
}

absl::Status Fill(const v1::WorkRequest::Progress& progress, TaskOutcome* outcome) {
  outcome->kind = TaskOutcome::Kind::kProgress;
  absl::StatusOr<Content> content = ResultOf(progress);
  if (content.ok()) content = AtMost(kMaxProgressBytes, *std::move(content), "progress");
  if (!content.ok()) return content.status();
  outcome->result = *std::move(content);
  return absl::OkStatus();
}

// What is wrong with what a worker says fails that one attempt, so that whoever waits for the task hears of it; the worker's other tasks go on.
// If it was no more than how far the task is, the worker still runs it, and is told to stop.
template <class Said>
TaskOutcome OutcomeOf(const Said& said) {
  TaskOutcome outcome;
  if (absl::Status valid = Fill(said, &outcome); !valid.ok()) {
    outcome = {};
    outcome.kind = TaskOutcome::Kind::kFailed;
    outcome.error = MakeError(v1::ERROR_REASON_HANDLER_FAILED, absl::StrCat("the worker's ", valid.message()));
  }
  return outcome;
}

std::string TextOf(const LeaseRef& lease) { return TaskId{.queue = lease.queue, .id = lease.id}.ToString(); }

const char* NameOf(RevokeReason reason) {
  switch (reason) {
    case RevokeReason::kCancelled:
      return "cancelled";
    case RevokeReason::kTimeout:
      return "timeout";
    case RevokeReason::kLeaseLost:
      return "lease_lost";
    case RevokeReason::kInvalid:
      return "invalid";
  }
  return "";
}

v1::WorkResponse RevokedFrame(std::string task_id, int64_t token, RevokeReason reason) {
  v1::WorkResponse response;
  response.mutable_revoked()->set_task_id(std::move(task_id));
  response.mutable_revoked()->set_token(token);
  response.mutable_revoked()->set_reason(NameOf(reason));
  return response;
}

void ToProto(WorkerTask task, v1::WorkResponse::Task* proto) {
  proto->set_id(TaskId{.queue = task.queue, .id = std::move(task.task.id)}.ToString());
  proto->set_queue(std::move(task.queue));
  proto->set_name(std::move(task.task.name));
  SetArguments(std::move(task.task.input), proto);
  proto->set_attempt(static_cast<uint32_t>(task.task.attempt));
  proto->set_token(task.task.token);
  proto->set_lost_leases(static_cast<uint32_t>(task.task.lost_leases));
  if (task.deadline == absl::InfiniteFuture()) return;
  *proto->mutable_deadline() = TimeToProto(absl::Now() + (task.deadline - MonotonicNow()));
}

}  // namespace

WorkStream::WorkStream(Loop& loop, WorkerHost& host, Offload& offload)
    : AttachedStream(loop, offload, {.bytes = kMaxOutboxBytes}, "the worker"), host_(host) {}

grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>* WorkStream::Start(Loop& loop, WorkerHost& host,
                                                                              Offload& offload,
                                                                              const absl::Status& admitted) {
  return Begin(std::shared_ptr<WorkStream>(new WorkStream(loop, host, offload)), admitted);
}

absl::Status WorkStream::Handle(const v1::WorkRequest& frame) {
  if (frame.frame_case() == v1::WorkRequest::FRAME_NOT_SET) {
    return absl::InvalidArgumentError("a frame must be one of start, outcomes, heartbeat, stop");
  }
  if (!started_ && !frame.has_start()) return absl::FailedPreconditionError("the first frame must be start");
  switch (frame.frame_case()) {
    case v1::WorkRequest::kStart:
      return HandleStart(frame.start());
    case v1::WorkRequest::kOutcomes:
      return HandleOutcomes(frame.outcomes());
    case v1::WorkRequest::kHeartbeat:
      OnLoop(0, [this](HostId id) { host_.Heard(id); });
      return absl::OkStatus();
    case v1::WorkRequest::kStop:
      OnLoop(0, [this](HostId id) { host_.Stop(id); });
      return absl::OkStatus();
    case v1::WorkRequest::FRAME_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("unknown frame");
}

absl::Status WorkStream::HandleStart(const v1::WorkRequest::Start& frame) {
  if (started_) return absl::FailedPreconditionError("start comes once, first");
  absl::StatusOr<WorkerSpec> spec = SpecOf(frame);
  if (!spec.ok()) return spec.status();
  started_ = true;
  loop().Post([self = std::static_pointer_cast<WorkStream>(shared_from_this()), spec = *std::move(spec)]() mutable {
    const absl::StatusOr<HostId> id = self->host_.Attach(std::move(spec), self);
    if (!id.ok()) return self->End(id.status(), /*flush=*/true);
    self->SetId(*id);
  });
  return absl::OkStatus();
}

absl::Status WorkStream::HandleOutcomes(const v1::WorkRequest::Outcomes& frame) {
  const size_t count = static_cast<size_t>(frame.progress_size()) + static_cast<size_t>(frame.completed_size()) +
                       static_cast<size_t>(frame.failed_size());
  if (count > kMaxOutcomes) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, absl::StrCat("at most ", kMaxOutcomes, " outcomes a frame"),
                     {{"limit", "outcomes"}});
  }
  std::vector<WorkerOutcome> outcomes;
  outcomes.reserve(count);
  const auto add = [&](const auto& said, bool ends) {
    const absl::StatusOr<TaskId> id = TaskId::Parse(said.task_id());
    // No task has such an id, so no worker has such a task.
    if (!id.ok()) return PushRevoked(said.task_id(), said.token(), RevokeReason::kLeaseLost);
    TaskOutcome outcome = OutcomeOf(said);
    outcome.id = id->id;
    outcome.token = said.token();
    outcomes.push_back({.queue = id->queue, .outcome = std::move(outcome), .ends = ends});
  };
  // How far a task is comes before its end.
  for (const v1::WorkRequest::Progress& progress : frame.progress()) add(progress, /*ends=*/false);
  for (const v1::WorkRequest::Completed& completed : frame.completed()) add(completed, /*ends=*/true);
  for (const v1::WorkRequest::Failed& failed : frame.failed()) add(failed, /*ends=*/true);
  OnLoop(frame.ByteSizeLong() + count * kOutcomeBytes,
         [this, outcomes = std::move(outcomes)](HostId id) mutable { host_.Settle(id, std::move(outcomes)); });
  return absl::OkStatus();
}

void WorkStream::SendStarted(const std::string& worker_id, const std::string& node_id, absl::Duration heartbeat_every) {
  Push(0, [worker_id, node_id, heartbeat_every] {
    v1::WorkResponse response;
    response.mutable_started()->set_worker_id(worker_id);
    response.mutable_started()->set_node_id(node_id);
    *response.mutable_started()->mutable_heartbeat_every() = DurationToProto(heartbeat_every);
    return response;
  });
}

bool WorkStream::SendTasks(std::vector<WorkerTask> tasks) {
  size_t bytes = 0;
  for (const WorkerTask& task : tasks) bytes += kTaskBytes + task.task.input.body.size();
  unwritten_.fetch_add(bytes, std::memory_order_relaxed);
  return TryPush(bytes, [this, bytes, tasks = std::move(tasks)]() mutable {
    Written(bytes);
    v1::WorkResponse response;
    response.mutable_tasks()->mutable_tasks()->Reserve(static_cast<int>(tasks.size()));
    for (WorkerTask& task : tasks) ToProto(std::move(task), response.mutable_tasks()->add_tasks());
    return response;
  });
}

// All that was sent before is written.
void WorkStream::Written(size_t bytes) {
  const size_t before = unwritten_.fetch_sub(bytes, std::memory_order_relaxed);
  if (before < kMaxUnwritten || before - bytes >= kMaxUnwritten) return;
  OnLoop(0, [this](HostId id) { host_.HasRoom(id); });
}

void WorkStream::SendRevoked(const LeaseRef& lease, RevokeReason reason) {
  PushRevoked(TextOf(lease), lease.token, reason);
}

void WorkStream::PushRevoked(std::string task_id, int64_t token, RevokeReason reason) {
  const size_t bytes = task_id.size();
  Push(bytes, [task_id = std::move(task_id), token, reason]() mutable {
    return RevokedFrame(std::move(task_id), token, reason);
  });
}

void WorkStream::SendRecorded(std::vector<RecordedOutcome> outcomes) {
  Push(0, [outcomes = std::move(outcomes)] {
    v1::WorkResponse response;
    for (const RecordedOutcome& recorded : outcomes) {
      v1::WorkResponse::Recorded::Outcome* outcome = response.mutable_recorded()->add_outcomes();
      outcome->set_task_id(TextOf(recorded.lease));
      outcome->set_token(recorded.lease.token);
      outcome->set_state(StateToProto(recorded.state));
    }
    return response;
  });
}

void WorkStream::SendDraining(const std::vector<std::string>& alternatives) {
  Push(0, [alternatives] {
    v1::WorkResponse response;
    response.mutable_draining()->mutable_alternatives()->Assign(alternatives.begin(), alternatives.end());
    return response;
  });
}

}  // namespace actioncluster

#include "tests/cluster/task_worker.h"

#include <utility>

#include "absl/time/clock.h"
#include "glog/logging.h"

namespace actioncluster::cluster {
namespace {

absl::Duration ToDuration(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

bool IsEmpty(const TaskWorker::Outcomes& outcomes) {
  return outcomes.completed_size() + outcomes.failed_size() + outcomes.progress_size() == 0;
}

}  // namespace

TaskWorker::TaskWorker(const Node& node, Options options, Handler handler)
    : TaskWorker(node.channel(), std::move(options), std::move(handler)) {
  CHECK(ok()) << end_.Next().error_message();
  CHECK_EQ(started_->node_id(), node.id());
}

TaskWorker::TaskWorker(const std::shared_ptr<grpc::Channel>& channel, Options options, Handler handler)
    : options_(std::move(options)), handler_(std::move(handler)), stub_(v1::TaskService::NewStub(channel)) {
  stream_ = stub_->Work(&context_);
  reader_ = std::thread([this] { Read(); });
  v1::WorkRequest frame;
  v1::WorkRequest::Start& start = *frame.mutable_start();
  for (const std::string& queue : options_.queues) start.add_queues(queue);
  for (const std::string& name : options_.names) start.add_names(name);
  start.set_concurrency(options_.concurrency);
  start.set_worker_name(options_.name);
  Send(frame);
  started_ = starts_.Next();
  if (!ok() || !options_.heartbeat) return;
  const absl::Duration every = ToDuration(started_->heartbeat_every());
  CHECK_GT(every, absl::ZeroDuration());
  heart_ = std::thread([this, every] { Beat(every); });
}

TaskWorker::~TaskWorker() {
  HangUp();
  reader_.join();
  if (heart_.joinable()) heart_.join();
}

bool TaskWorker::Send(const v1::WorkRequest& frame) {
  absl::MutexLock lock(&writing_);
  return stream_->Write(frame);
}

bool TaskWorker::Send(const Outcomes& outcomes) {
  v1::WorkRequest frame;
  *frame.mutable_outcomes() = outcomes;
  return Send(frame);
}

bool TaskWorker::Stop() {
  v1::WorkRequest frame;
  frame.mutable_stop();
  return Send(frame);
}

void TaskWorker::Beat(absl::Duration every) {
  v1::WorkRequest frame;
  frame.mutable_heartbeat();
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&ended_), every)) return;
    }
    Send(frame);
  }
}

void TaskWorker::Read() {
  for (v1::WorkResponse frame; stream_->Read(&frame);) Hear(frame);
  const grpc::Status status = stream_->Finish();
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  end_.Add(status);
  starts_.Add(std::nullopt);
}

void TaskWorker::Hear(const v1::WorkResponse& frame) {
  switch (frame.frame_case()) {
    case v1::WorkResponse::kStarted:
      starts_.Add(frame.started());
      break;
    case v1::WorkResponse::kTasks: {
      Outcomes outcomes;
      for (const Task& task : frame.tasks().tasks()) {
        handler_(task, outcomes);
        tasks_.Add(task);
      }
      if (!IsEmpty(outcomes)) Send(outcomes);
      break;
    }
    case v1::WorkResponse::kRevoked:
      if (options_.on_revoked) options_.on_revoked(frame.revoked());
      revoked_.Add(frame.revoked());
      break;
    case v1::WorkResponse::kRecorded:
      for (const Recorded& outcome : frame.recorded().outcomes()) {
        if (options_.on_recorded) options_.on_recorded(outcome);
        recorded_.Add(outcome);
      }
      break;
    case v1::WorkResponse::kDraining:
      drainings_.Add(frame.draining());
      break;
    case v1::WorkResponse::FRAME_NOT_SET:
      LOG(FATAL) << "an empty frame";
  }
}

void Completing(const TaskWorker::Task& task, TaskWorker::Outcomes& outcomes) { AddDone(task, "", outcomes); }

void Holding(const TaskWorker::Task&, TaskWorker::Outcomes&) {}

TaskWorker::Outcomes Done(const TaskWorker::Task& task, const std::string& data) {
  TaskWorker::Outcomes outcomes;
  AddDone(task, data, outcomes);
  return outcomes;
}

TaskWorker::Outcomes FailedBy(const TaskWorker::Task& task, const std::string& message) {
  TaskWorker::Outcomes outcomes;
  AddFailed(task, message, outcomes);
  return outcomes;
}

void AddDone(const TaskWorker::Task& task, const std::string& data, TaskWorker::Outcomes& outcomes) {
  v1::WorkRequest::Completed& completed = *outcomes.add_completed();
  completed.set_task_id(task.id());
  completed.set_token(task.token());
  if (!data.empty()) completed.set_data(data);
}

void AddFailed(const TaskWorker::Task& task, const std::string& message, TaskWorker::Outcomes& outcomes) {
  v1::WorkRequest::Failed& failed = *outcomes.add_failed();
  failed.set_task_id(task.id());
  failed.set_token(task.token());
  failed.mutable_error()->set_code(grpc::UNKNOWN);
  failed.mutable_error()->set_message(message);
}

}  // namespace actioncluster::cluster

#include "tests/bench/task_load.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "glog/logging.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::bench {
namespace {

constexpr absl::Duration kHeartbeatEvery = absl::Seconds(1);

}  // namespace

// gRPC's threads call the On… functions: reading and writing each on one at a time, both at once. Completions that come while a frame is written go into the
// next one.
class TaskLoad::Worker final : public grpc::ClientBidiReactor<v1::WorkRequest, v1::WorkResponse> {
 public:
  Worker(TaskLoad& load, v1::TaskService::Stub& stub) : load_(load) {
    stub.async()->Work(&context_, this);
    outgoing_.mutable_start()->add_queues(load.options_.queue);
    outgoing_.mutable_start()->set_concurrency(load.options_.concurrency);
    StartWrite(&outgoing_);
    StartRead(&incoming_);
    AddHold();  // For writes that are started elsewhere.
    StartCall();
    CHECK(started_.WaitForNotificationWithTimeout(fakes::kPatience)) << "the worker is not attached";
    heart_ = std::thread([this] {
      while (!stopping_.WaitForNotificationWithTimeout(kHeartbeatEvery)) Write();
    });
  }
  ~Worker() override {
    stopping_.Notify();
    heart_.join();
    context_.TryCancel();
    RemoveHold();
    ended_.WaitForNotification();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (incoming_.has_started()) started_.Notify();
    for (const v1::WorkResponse::Task& task : incoming_.tasks().tasks()) {
      load_.OnStarted(task);
      absl::MutexLock lock(&mutex_);
      v1::WorkRequest::Completed& completed = *next_.add_completed();
      completed.set_task_id(task.id());
      completed.set_token(task.token());
    }
    if (incoming_.tasks().tasks_size() > 0) Write();
    for (const auto& outcome : incoming_.recorded().outcomes()) load_.OnRecorded(outcome.task_id());
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok || next_.completed_size() == 0) return;
    }
    Write();
  }
  void OnDone(const grpc::Status& status) override {
    LOG_IF(ERROR, status.error_code() != grpc::CANCELLED) << "a worker's stream ended: " << status.error_message();
    ended_.Notify();
  }

  // What is there; without anything a heartbeat.
  void Write() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (writing_) return;
    writing_ = true;
    outgoing_.Clear();
    if (next_.completed_size() == 0) {
      outgoing_.mutable_heartbeat();
    } else {
      outgoing_.mutable_outcomes()->Swap(&next_);
    }
    StartWrite(&outgoing_);
  }

  TaskLoad& load_;
  grpc::ClientContext context_;
  v1::WorkResponse incoming_;
  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;
  v1::WorkRequest outgoing_;  // Of the write that is under way.
  v1::WorkRequest::Outcomes next_ ABSL_GUARDED_BY(mutex_);
  absl::Notification started_;
  absl::Notification stopping_;
  absl::Notification ended_;
  std::thread heart_;
};

TaskLoad::TaskLoad(v1::TaskService::Stub& from, const Options& options) : from_(from), options_(options) {
  workers_.reserve(options_.workers.size());
  for (v1::TaskService::Stub* stub : options_.workers) workers_.push_back(std::make_unique<Worker>(*this, *stub));
}

TaskLoad::~TaskLoad() = default;

Operation TaskLoad::operation(Until until, int tasks) {
  return [this, until, tasks](absl::AnyInvocable<void(bool) &&> done) { Begin(until, tasks, std::move(done)); };
}

void TaskLoad::Begin(Until until, int tasks, absl::AnyInvocable<void(bool) &&> done) {
  uint64_t number;
  {
    absl::MutexLock lock(&mutex_);
    number = ++last_;
    pending_.emplace(number, Pending{until, until == Until::kEnqueued ? 1 : tasks, std::move(done)});
  }
  if (tasks == 1) {
    EnqueueOne(number);
  } else {
    EnqueueMany(number, tasks);
  }
}

v1::EnqueueRequest TaskLoad::NewTask(uint64_t number) const {
  v1::EnqueueRequest request;
  request.set_name("bench");
  request.set_queue(options_.queue);
  request.set_data(absl::StrCat(number));
  return request;
}

void TaskLoad::EnqueueOne(uint64_t number) {
  struct Call {
    grpc::ClientContext context;
    v1::EnqueueRequest request;
    v1::EnqueueResponse response;
  };
  auto call = std::make_shared<Call>();
  call->request = NewTask(number);
  from_.async()->Enqueue(&call->context, &call->request, &call->response,
                         [this, call, number](const grpc::Status& status) {
                           OnEnqueued(number, status.ok() && call->response.created());
                         });
}

void TaskLoad::EnqueueMany(uint64_t number, int tasks) {
  struct Call {
    grpc::ClientContext context;
    v1::EnqueueManyRequest request;
    v1::EnqueueManyResponse response;
  };
  auto call = std::make_shared<Call>();
  call->request.mutable_tasks()->Reserve(tasks);
  for (int i = 0; i < tasks; ++i) *call->request.add_tasks() = NewTask(number);
  from_.async()->EnqueueMany(&call->context, &call->request, &call->response,
                             [this, call, number](const grpc::Status& status) {
                               bool ok = status.ok() && call->response.outcomes_size() == call->request.tasks_size();
                               for (const auto& outcome : call->response.outcomes()) ok = ok && outcome.created();
                               OnEnqueued(number, ok);
                             });
}

void TaskLoad::OnEnqueued(uint64_t number, bool ok) { Reached(number, Until::kEnqueued, ok); }

void TaskLoad::OnStarted(const v1::WorkResponse::Task& task) {
  uint64_t number = 0;
  CHECK(absl::SimpleAtoi(task.data(), &number)) << task.ShortDebugString();
  {
    absl::MutexLock lock(&mutex_);
    running_[task.id()] = number;
  }
  Reached(number, Until::kStarted, true);
}

void TaskLoad::OnRecorded(const std::string& task_id) {
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mutex_);
    const auto running = running_.find(task_id);
    CHECK(running != running_.end()) << task_id << " was never begun";
    number = running->second;
    running_.erase(running);
  }
  Reached(number, Until::kRecorded, true);
}

void TaskLoad::Reached(uint64_t number, Until what, bool ok) {
  absl::AnyInvocable<void(bool) &&> done;
  {
    absl::MutexLock lock(&mutex_);
    const auto pending = pending_.find(number);
    // Of a former measurement, or ended already.
    if (pending == pending_.end() || (ok && (pending->second.until != what || --pending->second.left > 0))) return;
    done = std::move(pending->second.done);
    pending_.erase(pending);
  }
  std::move(done)(ok);
}

}  // namespace actioncluster::bench

#ifndef ACTIONCLUSTER_CLIENT_TASK_RUN_H_
#define ACTIONCLUSTER_CLIENT_TASK_RUN_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/v1/tasks.pb.h"
#include "actioncluster/worker.h"

namespace actioncluster::client {

// What has become of a task.
using TaskOutcome = std::variant<v1::WorkRequest::Completed, v1::WorkRequest::Failed>;

// One task at this worker: it is run once, and has one outcome, which is sent also when it is cancelled, as that frees its place; but not when its stream is lost. Shared
// by the session that it came on and the thread that runs it. Any thread; no lock is held while the user's functions or the listener's run.
class TaskRun {
 public:
  using Task = v1::WorkResponse::Task;

  // The session.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnProgress(v1::WorkRequest::Progress progress) = 0;
    virtual void OnOutcome(TaskOutcome outcome) = 0;
  };

  TaskRun(Task task, std::shared_ptr<Listener> listener) : task_(std::move(task)), listener_(std::move(listener)) {}

  // Runs the handler on this thread, unless the task is cancelled already. Once.
  static void Execute(TaskRun& run, const TaskHandler& handler);

  const Task& task() const { return task_; }
  std::string CancelReason() const ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel(absl::AnyInvocable<void() &&> cancelled) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Progress(const TaskContent& content) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status EnqueueWithCompletion(v1::EnqueueRequest request) ABSL_LOCKS_EXCLUDED(mutex_);

  // The task is no longer this worker's. The first reason counts.
  void Cancel(absl::string_view reason) ABSL_LOCKS_EXCLUDED(mutex_);
  // Its stream is gone: Cancel, and nobody hears of it any more.
  void StreamLost() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void End(const absl::StatusOr<TaskContent>& result) ABSL_LOCKS_EXCLUDED(mutex_);

  const Task task_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<Listener> listener_ ABSL_GUARDED_BY(mutex_);  // Null: it has ended, or its stream has.
  std::string cancel_reason_ ABSL_GUARDED_BY(mutex_);           // Empty: it is not cancelled.
  absl::AnyInvocable<void() &&> on_cancel_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::EnqueueRequest> follow_ups_ ABSL_GUARDED_BY(mutex_);
  size_t follow_up_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_TASK_RUN_H_

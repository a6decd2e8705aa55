#ifndef ACTIONCLUSTER_SERVER_SERVICES_TASK_WATCH_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_TASK_WATCH_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/v1/tasks.pb.h"
#include "backplane/redis/loop.h"
#include "backplane/tasks/task_id.h"
#include "backplane/tasks/task_watchers.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"

namespace actioncluster {

// The server's side of one WatchTask. While its client does not read, at most one frame waits, which shows the task as it was last.
//
// It owns itself until gRPC is done with it.
class TaskWatchStream final : public grpc::ServerWriteReactor<v1::WatchTaskResponse>,
                              public std::enable_shared_from_this<TaskWatchStream> {
 public:
  // An error instead of an id: the stream ends at once with that. The references outlive the stream.
  static grpc::ServerWriteReactor<v1::WatchTaskResponse>* Start(Loop& loop, TaskWatchers& watchers, Offload& offload,
                                                                const absl::StatusOr<TaskId>& id);

 private:
  TaskWatchStream(Loop& loop, TaskWatchers& watchers, Offload& offload, TaskId id);

  // I/O thread.
  void Begin();
  void OnTask(const absl::StatusOr<std::optional<TaskView>>& task);
  void Show(const TaskView& task) ABSL_LOCKS_EXCLUDED(mutex_);

  // When a frame's turn has come.
  v1::WatchTaskResponse MakeFrame() ABSL_LOCKS_EXCLUDED(mutex_);

  // gRPC's threads.
  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override { outbox_.End(absl::UnavailableError("the watcher went away"), /*flush=*/false); }
  void OnDone() override;

  // Constant after construction.
  Loop& loop_;
  TaskWatchers& watchers_;
  const TaskId id_;

  TaskWatchers::WatcherId watcher_ = 0;  // I/O thread only; 0: it does not watch.
  bool shown_ = false;                   // I/O thread only.

  absl::Mutex mutex_;
  std::optional<TaskView> unwritten_ ABSL_GUARDED_BY(mutex_);  // Set: a frame for it is in the outbox.
  Outbox<v1::WatchTaskResponse> outbox_;
  std::shared_ptr<TaskWatchStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_TASK_WATCH_STREAM_H_

#include "server/services/task_watch_stream.h"

#include <utility>

#include "server/services/task_proto.h"

namespace actioncluster {

TaskWatchStream::TaskWatchStream(Loop& loop, TaskWatchers& watchers, Offload& offload, TaskId id)
    : loop_(loop),
      watchers_(watchers),
      id_(std::move(id)),
      outbox_(
          offload, {}, [this](const v1::WatchTaskResponse* frame) { StartWrite(frame); },
          [this](grpc::Status status) { Finish(std::move(status)); }) {}

grpc::ServerWriteReactor<v1::WatchTaskResponse>* TaskWatchStream::Start(Loop& loop, TaskWatchers& watchers,
                                                                        Offload& offload,
                                                                        const absl::StatusOr<TaskId>& id) {
  std::shared_ptr<TaskWatchStream> stream(new TaskWatchStream(loop, watchers, offload, id.ok() ? *id : TaskId()));
  stream->self_ = stream;
  if (!id.ok()) {
    stream->outbox_.End(id.status(), /*flush=*/false);
  } else {
    loop.Post([stream] { stream->Begin(); });
  }
  return stream.get();
}

void TaskWatchStream::Begin() {
  watcher_ = watchers_.Watch(
      id_.queue, id_.id,
      [self = shared_from_this()](const absl::StatusOr<std::optional<TaskView>>& task) { self->OnTask(task); });
}

void TaskWatchStream::OnTask(const absl::StatusOr<std::optional<TaskView>>& task) {
  if (!task.ok()) return outbox_.End(task.status(), /*flush=*/true);
  if (!task->has_value()) {
    // One that was there has ended, and was not kept.
    return outbox_.End(shown_ ? absl::OkStatus() : NoSuchTask(id_), /*flush=*/true);
  }
  Show(**task);
  if ((*task)->state >= TaskState::kDone) outbox_.End(absl::OkStatus(), /*flush=*/true);
}

void TaskWatchStream::Show(const TaskView& task) {
  shown_ = true;
  {
    absl::MutexLock lock(&mutex_);
    const bool waits = unwritten_.has_value();
    unwritten_ = task;
    if (waits) return;
  }
  outbox_.Push(SizeOf(task), [this] { return MakeFrame(); });
}

v1::WatchTaskResponse TaskWatchStream::MakeFrame() {
  std::optional<TaskView> task;
  {
    absl::MutexLock lock(&mutex_);
    task = std::exchange(unwritten_, std::nullopt);
  }
  v1::WatchTaskResponse frame;
  *frame.mutable_task() = TaskToProto(*std::move(task), id_.queue);
  return frame;
}

void TaskWatchStream::OnDone() {
  loop_.Post([self = std::move(self_)] { self->watchers_.Unwatch(self->watcher_); });
}

}  // namespace actioncluster

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "server/services/task_proto.h"
#include "server/services/task_service.h"
#include "server/services/task_watch_stream.h"

namespace actioncluster {
namespace {

// One Await, from its first look to its end: the task's, or the caller's patience's. Confined to the I/O thread.
class AwaitFlow : public std::enable_shared_from_this<AwaitFlow> {
 public:
  static void Start(Loop& loop, TaskWatchers& watchers, Offload& offload, const TaskId& id, UnaryCall* call,
                    v1::AwaitResponse* response) {
    std::shared_ptr<AwaitFlow> flow(new AwaitFlow(watchers, offload, id, call, response));
    flow->watcher_ = watchers.Watch(
        id.queue, id.id, [flow](const absl::StatusOr<std::optional<TaskView>>& task) { flow->OnTask(task); });
    call->OnCancelled([&loop, weak = std::weak_ptr<AwaitFlow>(flow)] {
      loop.Post([weak] {
        if (const std::shared_ptr<AwaitFlow> self = weak.lock()) self->End(absl::CancelledError("the caller is gone"));
      });
    });
  }

 private:
  AwaitFlow(TaskWatchers& watchers, Offload& offload, TaskId id, UnaryCall* call, v1::AwaitResponse* response)
      : watchers_(watchers), offload_(offload), id_(std::move(id)), call_(call), response_(response) {}

  void OnTask(const absl::StatusOr<std::optional<TaskView>>& task) {
    if (!task.ok()) return End(task.status());
    if (!task->has_value()) return End(NoSuchTask(id_));
    if ((*task)->state >= TaskState::kDone) return EndWith(**task);
    if ((*task)->retained) return;
    End(absl::FailedPreconditionError(
        "the task was enqueued without retain_result_for, so there may be nothing to read at its end"));
  }

  void EndWith(const TaskView& task) {
    UnaryCall* call = std::exchange(call_, nullptr);
    if (call == nullptr) return;
    offload_.Run(SizeOf(task), [call, response = response_, task = TaskView(task)]() mutable {
      SetEnd(std::move(task), response);
      call->Finish(absl::OkStatus());
    });
  }

  void End(const absl::Status& status) {
    const std::shared_ptr<AwaitFlow> self = shared_from_this();  // The listener holds it.
    watchers_.Unwatch(watcher_);
    if (UnaryCall* call = std::exchange(call_, nullptr)) call->Finish(status);
  }

  TaskWatchers& watchers_;
  Offload& offload_;
  const TaskId id_;
  UnaryCall* call_;  // Null: it is finished.
  v1::AwaitResponse* const response_;
  TaskWatchers::WatcherId watcher_ = 0;
};

}  // namespace

grpc::ServerUnaryReactor* TaskService::Await(grpc::CallbackServerContext* context, const v1::AwaitRequest* request,
                                             v1::AwaitResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("Await", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<TaskId> id = TaskIdOf(request->task_id());
  if (!id.ok()) return call->Finish(id.status());
  rooms_.loop.Post([this, call, response, id = *std::move(id)] {
    AwaitFlow::Start(rooms_.loop, rooms_.watchers, rooms_.offload, id, call, response);
  });
  return call->reactor();
}

grpc::ServerWriteReactor<v1::WatchTaskResponse>* TaskService::WatchTask(grpc::CallbackServerContext* context,
                                                                        const v1::WatchTaskRequest* request) {
  const absl::Status admitted = Admit("WatchTask", *context);
  return TaskWatchStream::Start(rooms_.loop, rooms_.watchers, rooms_.offload,
                                admitted.ok() ? TaskIdOf(request->task_id()) : admitted);
}

grpc::ServerUnaryReactor* TaskService::Get(grpc::CallbackServerContext* context, const v1::GetRequest* request,
                                           v1::GetResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("Get", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<TaskId> id = TaskIdOf(request->task_id());
  if (!id.ok()) return call->Finish(id.status());
  rooms_.loop.Post([this, call, response, id = *std::move(id)] {
    rooms_.store.Read(id.queue, {id.id}, /*with_input=*/true,
                      [this, call, response, id](absl::StatusOr<std::vector<std::optional<TaskView>>> tasks) {
                        if (!tasks.ok() || tasks->empty() || !tasks->front().has_value()) {
                          call->Finish(tasks.ok() ? NoSuchTask(id) : tasks.status());
                          return;
                        }
                        const size_t bytes = SizeOf(*tasks->front());
                        rooms_.offload.Run(
                            bytes, [call, response, queue = id.queue, task = *std::move(tasks->front())]() mutable {
                              *response->mutable_task() = TaskToProto(std::move(task), queue);
                              call->Finish(absl::OkStatus());
                            });
                      });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::Delete(grpc::CallbackServerContext* context, const v1::DeleteRequest* request,
                                              v1::DeleteResponse*) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("Delete", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<TaskId> id = TaskIdOf(request->task_id());
  if (!id.ok()) return call->Finish(id.status());
  rooms_.loop.Post([this, call, id = *std::move(id)] {
    rooms_.store.Apply(
        id.queue, TaskStore::Change::kDelete, {id.id}, [call, id](absl::StatusOr<TaskStore::Changed> changed) {
          if (!changed.ok()) {
            call->Finish(changed.status());
          } else if (changed->kinds.empty() || changed->kinds[0] == TaskStore::Changed::Kind::kMissing) {
            call->Finish(NoSuchTask(id));
          } else if (changed->kinds[0] == TaskStore::Changed::Kind::kActive) {
            call->Finish(absl::FailedPreconditionError("the task runs: cancel it first, or wait for its end"));
          } else {
            call->Finish(absl::OkStatus());
          }
        });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::Cancel(grpc::CallbackServerContext* context, const v1::CancelRequest* request,
                                              v1::CancelResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("Cancel", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<TaskId> id = TaskIdOf(request->task_id());
  if (!id.ok()) return call->Finish(id.status());
  rooms_.loop.Post([this, call, response, id = *std::move(id)] {
    rooms_.store.Apply(id.queue, TaskStore::Change::kCancel, {id.id},
                       [call, response, id](absl::StatusOr<TaskStore::Changed> changed) {
                         if (!changed.ok()) {
                           call->Finish(changed.status());
                         } else if (changed->kinds.empty() || changed->kinds[0] == TaskStore::Changed::Kind::kMissing) {
                           call->Finish(NoSuchTask(id));
                         } else if (changed->kinds[0] == TaskStore::Changed::Kind::kEnded) {
                           call->Finish(absl::FailedPreconditionError("the task has ended already"));
                         } else {
                           response->set_was_running(changed->was_running[0]);
                           call->Finish(absl::OkStatus());
                         }
                       });
  });
  return call->reactor();
}

}  // namespace actioncluster

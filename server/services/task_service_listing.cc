#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "server/grpc/content.h"
#include "server/services/caller.h"
#include "server/services/task_page.h"
#include "server/services/task_proto.h"
#include "server/services/task_scan.h"
#include "server/services/task_service.h"

namespace actioncluster {
namespace {

// Those that wait come last in an order in which tasks move on: what becomes ready meanwhile is met too.
const std::vector<TaskState>& WaitingStates() {
  static const auto* const kStates =
      new std::vector<TaskState>{TaskState::kScheduled, TaskState::kRetrying, TaskState::kReady};
  return *kStates;
}

std::vector<TaskState> AllStates() {
  return {TaskState::kScheduled, TaskState::kRetrying, TaskState::kReady,    TaskState::kActive,
          TaskState::kDone,      TaskState::kFailed,   TaskState::kCancelled};
}

// How many tasks of the queue match, where a look at the queue's counts says it; otherwise nothing.
std::optional<uint64_t> Counted(const TaskFilter& filter, const QueueCounts& counts) {
  if (!filter.state().has_value()) {
    return static_cast<uint64_t>(counts.ready + counts.scheduled + counts.active + counts.ended + counts.failed);
  }
  switch (*filter.state()) {
    case TaskState::kReady:
      return static_cast<uint64_t>(counts.ready);
    case TaskState::kActive:
      return static_cast<uint64_t>(counts.active);
    case TaskState::kFailed:
      return static_cast<uint64_t>(counts.failed);
    case TaskState::kScheduled:
    case TaskState::kRetrying:  // Those two are counted as one,
      if (counts.scheduled == 0) return 0;
      return std::nullopt;
    case TaskState::kDone:
    case TaskState::kCancelled:  // and those.
      if (counts.ended == 0) return 0;
      return std::nullopt;
  }
  return std::nullopt;
}

// One Count: by the queue's own counts where these say it, else by a look at each. Confined to the I/O thread.
class CountFlow : public std::enable_shared_from_this<CountFlow> {
 public:
  static void Start(const TaskRooms& rooms, TaskFilter filter, UnaryCall* call, v1::CountResponse* response) {
    std::shared_ptr<CountFlow> flow(new CountFlow(rooms, std::move(filter), call, response));
    if (flow->filter_.has_name() || flow->filter_.has_input()) return flow->LookAtEach();
    flow->AskTheQueue();
  }

 private:
  CountFlow(const TaskRooms& rooms, TaskFilter filter, UnaryCall* call, v1::CountResponse* response)
      : rooms_(rooms), filter_(std::move(filter)), call_(call), caller_(call), response_(response) {}

  void AskTheQueue() {
    rooms_.store.View(filter_.queue(), [self = shared_from_this()](absl::StatusOr<QueueView> queue) {
      if (!queue.ok()) return self->End(queue.status());
      const std::optional<uint64_t> count = Counted(self->filter_, queue->counts);
      if (!count.has_value()) return self->LookAtEach();
      self->count_ = *count;
      self->End(absl::OkStatus());
    });
  }

  void LookAtEach() {
    TaskScan::Start(
        rooms_, filter_, filter_.state().has_value() ? std::vector<TaskState>{*filter_.state()} : AllStates(), caller_,
        [self = shared_from_this()](const std::vector<std::string>& ids) { self->count_ += ids.size(); },
        [self = shared_from_this()](const absl::Status& status) { self->End(status); });
  }

  void End(const absl::Status& status) {
    response_->set_count(count_);
    call_->Finish(status);
  }

  const TaskRooms rooms_;
  const TaskFilter filter_;
  UnaryCall* const call_;
  const Caller caller_;
  v1::CountResponse* const response_;
  uint64_t count_ = 0;
};

absl::StatusOr<TaskFilter> FilterToDelete(const v1::TaskFilter& request) {
  absl::StatusOr<TaskFilter> filter = TaskFilter::Parse(request);
  if (!filter.ok()) return filter;
  if (!filter->has_name()) return absl::InvalidArgumentError("filter.name must be set");
  const std::vector<TaskState>& waiting = WaitingStates();
  if (filter->state().has_value() && std::find(waiting.begin(), waiting.end(), *filter->state()) == waiting.end()) {
    return absl::InvalidArgumentError("filter.state must be one that waits: SCHEDULED, READY or RETRYING");
  }
  return filter;
}

// All tasks of a queue.
absl::StatusOr<TaskFilter> WholeQueue(const std::string& queue) {
  v1::TaskFilter filter;
  filter.set_queue(queue);
  return TaskFilter::Parse(filter);
}

// Finishes the call with a page.
template <class Response>
void ReadPage(const TaskRooms& rooms, const TaskPageRequest& request, UnaryCall* call, Response* response) {
  TaskPageFlow::Start(rooms, request, Caller(call), [call, response](absl::StatusOr<TaskPageFlow::Page> page) {
    if (page.ok()) {
      response->mutable_tasks()->Swap(&page->tasks);
      response->set_next_page_token(std::move(page->next));
    }
    call->Finish(page.status());
  });
}

}  // namespace

grpc::ServerUnaryReactor* TaskService::List(grpc::CallbackServerContext* context, const v1::ListRequest* request,
                                            v1::ListResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("List", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<TaskFilter> filter = TaskFilter::Parse(request->filter());
  if (!filter.ok()) return call->Finish(filter.status());
  if (!filter->state().has_value()) {
    return call->Finish(absl::InvalidArgumentError("filter.state must be set: each state has an order of its own"));
  }
  const TaskState state = *filter->state();
  absl::StatusOr<TaskPageRequest> page =
      TaskPageRequest::Parse(*std::move(filter), state, request->page_size(), request->page_token());
  if (!page.ok()) return call->Finish(page.status());
  rooms_.loop.Post([this, call, response, page = *std::move(page)] { ReadPage(flows(), page, call, response); });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::ListFailed(grpc::CallbackServerContext* context,
                                                  const v1::ListFailedRequest* request,
                                                  v1::ListFailedResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("ListFailed", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<TaskFilter> filter = WholeQueue(request->queue());
  if (!filter.ok()) return call->Finish(filter.status());
  absl::StatusOr<TaskPageRequest> page =
      TaskPageRequest::Parse(*std::move(filter), TaskState::kFailed, request->page_size(), request->page_token());
  if (!page.ok()) return call->Finish(page.status());
  rooms_.loop.Post([this, call, response, page = *std::move(page)] { ReadPage(flows(), page, call, response); });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::Count(grpc::CallbackServerContext* context, const v1::CountRequest* request,
                                             v1::CountResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("Count", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<TaskFilter> filter = TaskFilter::Parse(request->filter());
  if (!filter.ok()) return call->Finish(filter.status());
  rooms_.loop.Post([this, call, response, filter = *std::move(filter)]() mutable {
    CountFlow::Start(flows(), std::move(filter), call, response);
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::DeleteMany(grpc::CallbackServerContext* context,
                                                  const v1::DeleteManyRequest* request,
                                                  v1::DeleteManyResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("DeleteMany", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<TaskFilter> filter = FilterToDelete(request->filter());
  if (!filter.ok()) return call->Finish(filter.status());
  rooms_.loop.Post([this, call, response, filter = *std::move(filter)]() mutable {
    std::vector<TaskState> states = filter.state().has_value() ? std::vector{*filter.state()} : WaitingStates();
    TaskChange::Start(flows(), std::move(filter), std::move(states), TaskStore::Change::kDeleteWaiting, Caller(call),
                      [call, response](const absl::StatusOr<uint64_t>& deleted) {
                        if (deleted.ok()) response->set_deleted(*deleted);
                        call->Finish(deleted.status());
                      });
  });
  return call->reactor();
}

template <class Request, class SetCount>
grpc::ServerUnaryReactor* TaskService::ChangeFailed(UnaryCall* call, const Request& request, TaskStore::Change change,
                                                    SetCount set_count) {
  if (request.which_case() == Request::kAllOfQueue) {
    if (absl::Status valid = ValidateName(request.all_of_queue(), "all_of_queue"); !valid.ok()) {
      return call->Finish(valid);
    }
    absl::StatusOr<TaskFilter> filter = WholeQueue(request.all_of_queue());
    if (!filter.ok()) return call->Finish(filter.status());
    rooms_.loop.Post([this, call, change, set_count, filter = *std::move(filter)]() mutable {
      TaskChange::Start(flows(), std::move(filter), {TaskState::kFailed}, change, Caller(call),
                        [call, set_count](const absl::StatusOr<uint64_t>& changed) {
                          if (changed.ok()) set_count(*changed);
                          call->Finish(changed.status());
                        });
    });
    return call->reactor();
  }
  if (request.which_case() != Request::kTaskId) {
    return call->Finish(absl::InvalidArgumentError("one of task_id and all_of_queue must be set"));
  }
  absl::StatusOr<TaskId> id = TaskIdOf(request.task_id());
  if (!id.ok()) return call->Finish(id.status());
  rooms_.loop.Post([this, call, change, set_count, id = *std::move(id)] {
    rooms_.store.Apply(id.queue, change, {id.id}, [call, set_count, id](absl::StatusOr<TaskStore::Changed> changed) {
      if (!changed.ok()) {
        call->Finish(changed.status());
      } else if (changed->kinds.empty() || changed->kinds[0] != TaskStore::Changed::Kind::kDone) {
        call->Finish(
            MakeError(v1::ERROR_REASON_TASK_NOT_FOUND, absl::StrCat("there is no dead letter ", id.ToString())));
      } else {
        set_count(1);
        call->Finish(absl::OkStatus());
      }
    });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::RetryFailed(grpc::CallbackServerContext* context,
                                                   const v1::RetryFailedRequest* request,
                                                   v1::RetryFailedResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("RetryFailed", *context); !admitted.ok()) return call->Finish(admitted);
  return ChangeFailed(call, *request, TaskStore::Change::kRetryFailed,
                      [response](uint64_t count) { response->set_retried(count); });
}

grpc::ServerUnaryReactor* TaskService::RemoveFailed(grpc::CallbackServerContext* context,
                                                    const v1::RemoveFailedRequest* request,
                                                    v1::RemoveFailedResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("RemoveFailed", *context); !admitted.ok()) return call->Finish(admitted);
  return ChangeFailed(call, *request, TaskStore::Change::kRemoveFailed,
                      [response](uint64_t count) { response->set_removed(count); });
}

}  // namespace actioncluster

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "server/services/task_proto.h"
#include "server/services/task_service.h"
#include "server/services/work_stream.h"

namespace actioncluster {
namespace {

constexpr int kMaxTasks = 1000;
constexpr size_t kMaxBytes = size_t{4} * 1024 * 1024;
constexpr size_t kMaxRequestIdBytes = 64;
// For how long the outcomes of a request with an id are remembered.
constexpr absl::Duration kRemember = absl::Seconds(60);

absl::Status QueueIsFull(const std::string& queue) {
  return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, absl::StrCat("the queue ", queue, " has as many tasks as it may"),
                   {{"limit", "queue_length"}, {"queue", queue}});
}

// Into an EnqueueResponse, or an Outcome of EnqueueMany. An error if there is no task.
template <class Message>
absl::Status Set(const EnqueueOutcome& outcome, const std::string& queue, Message* message) {
  if (outcome.kind == EnqueueOutcome::Kind::kFull) return QueueIsFull(queue);
  message->set_task_id(TaskId{.queue = queue, .id = outcome.id}.ToString());
  message->set_created(outcome.kind == EnqueueOutcome::Kind::kCreated);
  return absl::OkStatus();
}

absl::Status Validate(const v1::EnqueueManyRequest& request) {
  if (request.tasks().empty()) return absl::InvalidArgumentError("tasks must not be empty");
  if (request.request_id().size() > kMaxRequestIdBytes) {
    return absl::InvalidArgumentError(absl::StrCat("request_id must have at most ", kMaxRequestIdBytes, " bytes"));
  }
  if (request.tasks_size() > kMaxTasks) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, absl::StrCat("at most ", kMaxTasks, " tasks are taken at once"),
                     {{"limit", "tasks"}});
  }
  if (request.ByteSizeLong() > kMaxBytes) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the tasks have more than 4 MiB together",
                     {{"limit", "request_bytes"}});
  }
  return absl::OkStatus();
}

// One EnqueueMany: a step for each queue, all at once. It ends when each task has its outcome. Made on any thread; from Start on confined to the I/O thread.
class EnqueueManyFlow : public std::enable_shared_from_this<EnqueueManyFlow> {
 public:
  EnqueueManyFlow(UnaryCall* call, v1::EnqueueManyResponse* response) : call_(call), response_(response) {}

  // Sorts the tasks by queue. One that is not valid has its outcome now.
  void Read(const v1::EnqueueManyRequest& request) {
    request_id_ = request.request_id();
    response_->mutable_outcomes()->Reserve(request.tasks_size());
    for (int i = 0; i < request.tasks_size(); ++i) {
      response_->add_outcomes();
      absl::StatusOr<TaskOutcome::FollowUp> task = NewTaskOf(request.tasks(i), absl::StrCat("tasks[", i, "]"));
      if (!task.ok()) {
        Refuse(i, task.status());
        continue;
      }
      Batch& batch = batches_[task->queue];
      batch.tasks.push_back(std::move(task->task));
      batch.positions.push_back(i);
    }
  }

  void Start(TaskStore& store) {
    waiting_ = batches_.size();
    if (waiting_ == 0) call_->Finish(absl::OkStatus());
    for (const auto& [queue, batch] : batches_) {
      store.Enqueue(
          queue, batch.tasks, request_id_, kRemember,
          [self = shared_from_this(), name = queue](const absl::StatusOr<std::vector<EnqueueOutcome>>& outcomes) {
            self->Enqueued(name, outcomes);
          });
    }
  }

 private:
  struct Batch {
    std::vector<NewTask> tasks;
    std::vector<int> positions;  // In the request.
  };

  void Enqueued(const std::string& queue, const absl::StatusOr<std::vector<EnqueueOutcome>>& outcomes) {
    const std::vector<int>& positions = batches_.at(queue).positions;
    for (size_t i = 0; i < positions.size(); ++i) {
      if (!outcomes.ok()) {
        Refuse(positions[i], outcomes.status());
      } else if (i >= outcomes->size()) {
        // Another request had this id before, with fewer tasks for this queue.
        Refuse(positions[i], absl::InvalidArgumentError("request_id was used for other tasks"));
      } else {
        const absl::Status set = Set((*outcomes)[i], queue, response_->mutable_outcomes(positions[i]));
        if (!set.ok()) Refuse(positions[i], set);
      }
    }
    if (--waiting_ == 0) call_->Finish(absl::OkStatus());
  }

  void Refuse(int position, const absl::Status& why) {
    *response_->mutable_outcomes(position)->mutable_error() = ToProto(why);
  }

  UnaryCall* const call_;
  v1::EnqueueManyResponse* const response_;
  std::string request_id_;
  std::map<std::string, Batch> batches_;  // By queue.
  size_t waiting_ = 0;
};

}  // namespace

absl::Status TaskService::Admit(absl::string_view rpc, const grpc::CallbackServerContext& context) const {
  return rooms_.authorizer.Admit(absl::StrCat("/actioncluster.v1.TaskService/", rpc), context);
}

grpc::ServerUnaryReactor* TaskService::Enqueue(grpc::CallbackServerContext* context, const v1::EnqueueRequest* request,
                                               v1::EnqueueResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("Enqueue", *context); !admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<TaskOutcome::FollowUp> task = NewTaskOf(*request, "");
  if (!task.ok()) return call->Finish(task.status());
  rooms_.loop.Post([this, call, response, task = *std::move(task)]() mutable {
    std::vector<NewTask> tasks;
    tasks.push_back(std::move(task.task));
    rooms_.store.Enqueue(task.queue, tasks, /*request_id=*/"", kRemember,
                         [call, response, queue = task.queue](absl::StatusOr<std::vector<EnqueueOutcome>> outcomes) {
                           if (!outcomes.ok()) {
                             call->Finish(outcomes.status());
                           } else if (outcomes->size() != 1) {
                             call->Finish(absl::InternalError("Redis has not said what became of the task"));
                           } else {
                             call->Finish(Set((*outcomes)[0], queue, response));
                           }
                         });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::EnqueueMany(grpc::CallbackServerContext* context,
                                                   const v1::EnqueueManyRequest* request,
                                                   v1::EnqueueManyResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("EnqueueMany", *context); !admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = Validate(*request); !valid.ok()) return call->Finish(valid);
  auto flow = std::make_shared<EnqueueManyFlow>(call, response);
  flow->Read(*request);
  rooms_.loop.Post([this, flow = std::move(flow)] { flow->Start(rooms_.store); });
  return call->reactor();
}

grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>* TaskService::Work(grpc::CallbackServerContext* context) {
  return WorkStream::Start(rooms_.loop, rooms_.workers, rooms_.offload, Admit("Work", *context));
}

}  // namespace actioncluster

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "backplane/domain/error.h"
#include "server/grpc/content.h"
#include "server/services/caller.h"
#include "server/services/queue_tour.h"
#include "server/services/task_proto.h"
#include "server/services/task_service.h"
#include "server/services/worker_proto.h"

namespace actioncluster {
namespace {

// How long nodes have to say which workers they have.
constexpr absl::Duration kWorkersTimeout = absl::Seconds(1);

void Add(const QueueCounts& counts, QueueCounts& sum) {
  sum.ready += counts.ready;
  sum.scheduled += counts.scheduled;
  sum.active += counts.active;
  sum.ended += counts.ended;
  sum.failed += counts.failed;
  sum.total_enqueued += counts.total_enqueued;
  sum.total_completed += counts.total_completed;
  sum.total_failures += counts.total_failures;
  sum.total_lost_leases += counts.total_lost_leases;
}

// One ListWorkers: what each node says of its own, merged. Made on any thread; its callbacks run on the I/O thread.
class ListWorkersFlow : public std::enable_shared_from_this<ListWorkersFlow> {
 public:
  ListWorkersFlow(Rpc& rpc, UnaryCall* call, v1::ListWorkersResponse* response)
      : rpc_(rpc), call_(call), response_(response) {}

  void Start() {
    const CallId id = rpc_.CallAll(
        {.method = "node.workers", .arguments = {}, .target = AllNodes{}, .deadline = MonotonicNow() + kWorkersTimeout},
        [self = shared_from_this()](const std::string& node_id, const absl::StatusOr<Content>& workers) {
          self->Answered(node_id, workers);
        },
        [self = shared_from_this()](const absl::Status& status) { self->End(status); });
    call_->OnCancelled([&rpc = rpc_, id] { rpc.Cancel(id); });
  }

 private:
  void Answered(const std::string& node_id, const absl::StatusOr<Content>& workers) {
    v1::ListWorkersResponse of_node;
    if (!workers.ok() || !of_node.ParseFromString(workers->body)) {
      response_->add_missing_nodes(node_id);
      return;
    }
    response_->mutable_workers()->MergeFrom(of_node.workers());
    response_->set_omitted(response_->omitted() + of_node.omitted());
  }

  void End(const absl::Status& status) {
    const bool late = ReasonOf(status) == v1::ERROR_REASON_RPC_TIMEOUT;
    if (!status.ok() && !late) return (void)call_->Finish(status);
    if (late) {
      const std::string missing = MetadataOf(status)["missing_nodes"];
      for (const absl::string_view node : absl::StrSplit(missing, ',', absl::SkipEmpty())) {
        response_->add_missing_nodes(std::string(node));
      }
    }
    std::sort(response_->mutable_missing_nodes()->begin(), response_->mutable_missing_nodes()->end());
    std::sort(response_->mutable_workers()->pointer_begin(), response_->mutable_workers()->pointer_end(),
              [](const auto* a, const auto* b) {
                return std::tie(a->node_id(), a->worker_id()) < std::tie(b->node_id(), b->worker_id());
              });
    FitIntoMessage(response_);
    call_->Finish(absl::OkStatus());
  }

  Rpc& rpc_;
  UnaryCall* const call_;
  v1::ListWorkersResponse* const response_;
};

}  // namespace

void TaskService::ViewQueues(UnaryCall* call, const std::string& prefix,
                             absl::AnyInvocable<absl::Status(const std::vector<QueueView>&)> use) {
  rooms_.loop.Post([this, call, prefix, use = std::move(use)]() mutable {
    rooms_.store.ListQueues([this, call, caller = Caller(call), prefix,
                             use = std::move(use)](absl::StatusOr<std::vector<std::string>> queues) mutable {
      if (!queues.ok()) {
        call->Finish(queues.status());
        return;
      }
      queues->erase(std::remove_if(queues->begin(), queues->end(),
                                   [&](const std::string& queue) { return !absl::StartsWith(queue, prefix); }),
                    queues->end());
      QueueTour<QueueView>::Start(
          *std::move(queues), std::move(caller),
          [this](const std::string& queue, TaskStore::Then<QueueView> then) {
            rooms_.store.View(queue, std::move(then));
          },
          [call, use = std::move(use)](const absl::StatusOr<std::vector<QueueView>>& views) mutable {
            call->Finish(views.ok() ? use(*views) : views.status());
          });
    });
  });
}

grpc::ServerUnaryReactor* TaskService::ListQueues(grpc::CallbackServerContext* context,
                                                  const v1::ListQueuesRequest* request,
                                                  v1::ListQueuesResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("ListQueues", *context); !admitted.ok()) return call->Finish(admitted);
  ViewQueues(call, request->prefix(), [response](const std::vector<QueueView>& queues) -> absl::Status {
    response->mutable_queues()->Reserve(static_cast<int>(queues.size()));
    for (const QueueView& queue : queues) *response->add_queues() = QueueToProto(queue);
    if (response->ByteSizeLong() <= kMaxListingBytes) return absl::OkStatus();
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the queues have more than 4 MiB together: list them by prefix",
                     {{"limit", "response_bytes"}});
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::Stats(grpc::CallbackServerContext* context, const v1::StatsRequest*,
                                             v1::StatsResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("Stats", *context); !admitted.ok()) return call->Finish(admitted);
  ViewQueues(call, /*prefix=*/"", [response](const std::vector<QueueView>& queues) -> absl::Status {
    QueueCounts sum;
    for (const QueueView& queue : queues) Add(queue.counts, sum);
    *response->mutable_counts() = CountsToProto(sum);
    response->set_queues(static_cast<uint32_t>(queues.size()));
    return absl::OkStatus();
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::SetPaused(UnaryCall* call, const std::string& queue, bool paused) {
  if (absl::Status valid = ValidateName(queue, "queue"); !valid.ok()) return call->Finish(valid);
  rooms_.loop.Post([this, call, queue, paused] {
    rooms_.store.SetPaused(queue, paused, [call](const absl::Status& status) { call->Finish(status); });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::PauseQueue(grpc::CallbackServerContext* context,
                                                  const v1::PauseQueueRequest* request, v1::PauseQueueResponse*) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("PauseQueue", *context); !admitted.ok()) return call->Finish(admitted);
  return SetPaused(call, request->queue(), true);
}

grpc::ServerUnaryReactor* TaskService::ResumeQueue(grpc::CallbackServerContext* context,
                                                   const v1::ResumeQueueRequest* request, v1::ResumeQueueResponse*) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("ResumeQueue", *context); !admitted.ok()) return call->Finish(admitted);
  return SetPaused(call, request->queue(), false);
}

grpc::ServerUnaryReactor* TaskService::DeleteQueue(grpc::CallbackServerContext* context,
                                                   const v1::DeleteQueueRequest* request,
                                                   v1::DeleteQueueResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("DeleteQueue", *context); !admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateName(request->queue(), "queue"); !valid.ok()) return call->Finish(valid);
  rooms_.loop.Post([this, call, response, queue = request->queue(), force = request->force()] {
    rooms_.store.DeleteQueue(queue, force, [call, response](absl::StatusOr<TaskStore::Deleted> deleted) {
      if (deleted.ok() && *deleted == TaskStore::Deleted::kActive) {
        call->Finish(absl::FailedPreconditionError("tasks of the queue run: wait for them, or set force"));
        return;
      }
      if (deleted.ok()) response->set_deleted(*deleted == TaskStore::Deleted::kDone);
      call->Finish(deleted.status());
    });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::SetQueueLimits(grpc::CallbackServerContext* context,
                                                      const v1::SetQueueLimitsRequest* request,
                                                      v1::SetQueueLimitsResponse*) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("SetQueueLimits", *context); !admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateName(request->queue(), "queue"); !valid.ok()) return call->Finish(valid);
  const absl::StatusOr<QueueLimits> limits = QueueLimitsOf(request->limits());
  if (!limits.ok()) return call->Finish(limits.status());
  rooms_.loop.Post([this, call, queue = request->queue(), limits = *limits] {
    rooms_.store.SetLimits(queue, limits, [call](const absl::Status& status) { call->Finish(status); });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* TaskService::ListWorkers(grpc::CallbackServerContext* context, const v1::ListWorkersRequest*,
                                                   v1::ListWorkersResponse* response) {
  auto* call = UnaryCall::Start();
  if (absl::Status admitted = Admit("ListWorkers", *context); !admitted.ok()) return call->Finish(admitted);
  std::make_shared<ListWorkersFlow>(rooms_.rpc, call, response)->Start();
  return call->reactor();
}

}  // namespace actioncluster

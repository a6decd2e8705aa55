#ifndef ACTIONCLUSTER_SERVER_SERVICES_TASK_SERVICE_H_
#define ACTIONCLUSTER_SERVER_SERVICES_TASK_SERVICE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/v1/tasks.grpc.pb.h"
#include "backplane/domain/clock.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "backplane/tasks/task_store.h"
#include "backplane/tasks/task_watchers.h"
#include "server/grpc/authorizer.h"
#include "server/grpc/offload.h"
#include "server/grpc/unary_call.h"
#include "server/services/task_scan.h"
#include "server/workers/worker_host.h"

namespace actioncluster {

// TaskService of the public API: validates, converts, delegates. Its implementation is in one file for each theme: task_service_*.cc. One instance may be registered with
// several servers. Any thread.
class TaskService final : public v1::TaskService::CallbackService {
 public:
  // All outlive the servers that this is registered with.
  struct Rooms {
    Loop& loop;
    TaskStore& store;
    TaskWatchers& watchers;
    WorkerHost& workers;
    Rpc& rpc;
    const RedisClock& clock;  // Read on the I/O thread.
    const Authorizer& authorizer;
    Offload& offload;
  };

  explicit TaskService(Rooms rooms) : rooms_(rooms) {}

  // task_service_enqueue.cc
  grpc::ServerUnaryReactor* Enqueue(grpc::CallbackServerContext* context, const v1::EnqueueRequest* request,
                                    v1::EnqueueResponse* response) override;
  grpc::ServerUnaryReactor* EnqueueMany(grpc::CallbackServerContext* context, const v1::EnqueueManyRequest* request,
                                        v1::EnqueueManyResponse* response) override;
  grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>* Work(grpc::CallbackServerContext* context) override;

  // task_service_by_id.cc
  grpc::ServerUnaryReactor* Await(grpc::CallbackServerContext* context, const v1::AwaitRequest* request,
                                  v1::AwaitResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchTaskResponse>* WatchTask(grpc::CallbackServerContext* context,
                                                             const v1::WatchTaskRequest* request) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::GetRequest* request,
                                v1::GetResponse* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context, const v1::DeleteRequest* request,
                                   v1::DeleteResponse* response) override;
  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* context, const v1::CancelRequest* request,
                                   v1::CancelResponse* response) override;

  // task_service_listing.cc
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const v1::ListRequest* request,
                                 v1::ListResponse* response) override;
  grpc::ServerUnaryReactor* Count(grpc::CallbackServerContext* context, const v1::CountRequest* request,
                                  v1::CountResponse* response) override;
  grpc::ServerUnaryReactor* DeleteMany(grpc::CallbackServerContext* context, const v1::DeleteManyRequest* request,
                                       v1::DeleteManyResponse* response) override;
  grpc::ServerUnaryReactor* ListFailed(grpc::CallbackServerContext* context, const v1::ListFailedRequest* request,
                                       v1::ListFailedResponse* response) override;
  grpc::ServerUnaryReactor* RetryFailed(grpc::CallbackServerContext* context, const v1::RetryFailedRequest* request,
                                        v1::RetryFailedResponse* response) override;
  grpc::ServerUnaryReactor* RemoveFailed(grpc::CallbackServerContext* context, const v1::RemoveFailedRequest* request,
                                         v1::RemoveFailedResponse* response) override;

  // task_service_recurring.cc
  grpc::ServerUnaryReactor* ScheduleRecurring(grpc::CallbackServerContext* context,
                                              const v1::ScheduleRecurringRequest* request,
                                              v1::ScheduleRecurringResponse* response) override;
  grpc::ServerUnaryReactor* StopRecurring(grpc::CallbackServerContext* context, const v1::StopRecurringRequest* request,
                                          v1::StopRecurringResponse* response) override;
  grpc::ServerUnaryReactor* ListRecurring(grpc::CallbackServerContext* context, const v1::ListRecurringRequest* request,
                                          v1::ListRecurringResponse* response) override;

  // task_service_queues.cc
  grpc::ServerUnaryReactor* ListQueues(grpc::CallbackServerContext* context, const v1::ListQueuesRequest* request,
                                       v1::ListQueuesResponse* response) override;
  grpc::ServerUnaryReactor* PauseQueue(grpc::CallbackServerContext* context, const v1::PauseQueueRequest* request,
                                       v1::PauseQueueResponse* response) override;
  grpc::ServerUnaryReactor* ResumeQueue(grpc::CallbackServerContext* context, const v1::ResumeQueueRequest* request,
                                        v1::ResumeQueueResponse* response) override;
  grpc::ServerUnaryReactor* DeleteQueue(grpc::CallbackServerContext* context, const v1::DeleteQueueRequest* request,
                                        v1::DeleteQueueResponse* response) override;
  grpc::ServerUnaryReactor* SetQueueLimits(grpc::CallbackServerContext* context,
                                           const v1::SetQueueLimitsRequest* request,
                                           v1::SetQueueLimitsResponse* response) override;
  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context, const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) override;
  grpc::ServerUnaryReactor* Stats(grpc::CallbackServerContext* context, const v1::StatsRequest* request,
                                  v1::StatsResponse* response) override;

 private:
  // `rpc` without the service's name.
  absl::Status Admit(absl::string_view rpc, const grpc::CallbackServerContext& context) const;
  TaskRooms flows() const { return {.loop = rooms_.loop, .store = rooms_.store, .offload = rooms_.offload}; }

  template <class Request, class SetCount>
  grpc::ServerUnaryReactor* ChangeFailed(UnaryCall* call, const Request& request, TaskStore::Change change,
                                         SetCount set_count);
  grpc::ServerUnaryReactor* SetPaused(UnaryCall* call, const std::string& queue, bool paused);
  // The counts and settings of all queues whose names begin so, by name; `use` says how the call ends.
  void ViewQueues(UnaryCall* call, const std::string& prefix,
                  absl::AnyInvocable<absl::Status(const std::vector<QueueView>&)> use);

  const Rooms rooms_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_TASK_SERVICE_H_

#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_TASKS_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_TASKS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/client.h"
#include "actioncluster/v1/tasks.pb.h"

namespace actioncluster::client {

// TaskService as plain functions, on the channel of a client: see there for token, deadline, errors, threads and retries; and tasks.proto for the fields and
// errors. To run tasks: worker.h.
//
// Those that only read are repeated; of the others, who gives an Enqueue its `id`, or an EnqueueMany its `request_id`, may call again after UNAVAILABLE,
// and what is enqueued once stays enqueued once.
//
// As cheap as a reference, which it is: the client outlives it.
class Tasks {
 public:
  explicit Tasks(Client& client) : client_(client) {}

  absl::StatusOr<v1::EnqueueResponse> Enqueue(const v1::EnqueueRequest& request);
  absl::StatusOr<v1::EnqueueManyResponse> EnqueueMany(const v1::EnqueueManyRequest& request);

  // DEADLINE_EXCEEDED: it has not ended within `limit`.
  absl::StatusOr<v1::AwaitResponse> Await(const v1::AwaitRequest& request, absl::Duration limit);
  // In this call, on this thread: each change until the task has ended (OK), `on_change` returns false (OK), or the stream ends (why). Without a deadline.
  absl::Status Watch(const v1::WatchTaskRequest& request, absl::FunctionRef<bool(const v1::Task&)> on_change);

  absl::StatusOr<v1::GetResponse> Get(const v1::GetRequest& request);
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request);
  absl::StatusOr<v1::CountResponse> Count(const v1::CountRequest& request);

  absl::StatusOr<v1::DeleteResponse> Delete(const v1::DeleteRequest& request);
  absl::StatusOr<v1::DeleteManyResponse> DeleteMany(const v1::DeleteManyRequest& request);
  absl::StatusOr<v1::CancelResponse> Cancel(const v1::CancelRequest& request);

  absl::StatusOr<v1::ScheduleRecurringResponse> ScheduleRecurring(const v1::ScheduleRecurringRequest& request);
  absl::StatusOr<v1::StopRecurringResponse> StopRecurring(const v1::StopRecurringRequest& request);
  absl::StatusOr<v1::ListRecurringResponse> ListRecurring(const v1::ListRecurringRequest& request = {});

  absl::StatusOr<v1::ListFailedResponse> ListFailed(const v1::ListFailedRequest& request = {});
  absl::StatusOr<v1::RetryFailedResponse> RetryFailed(const v1::RetryFailedRequest& request);
  absl::StatusOr<v1::RemoveFailedResponse> RemoveFailed(const v1::RemoveFailedRequest& request);

  absl::StatusOr<v1::ListQueuesResponse> ListQueues(const v1::ListQueuesRequest& request = {});
  absl::StatusOr<v1::PauseQueueResponse> PauseQueue(const v1::PauseQueueRequest& request);
  absl::StatusOr<v1::ResumeQueueResponse> ResumeQueue(const v1::ResumeQueueRequest& request);
  absl::StatusOr<v1::DeleteQueueResponse> DeleteQueue(const v1::DeleteQueueRequest& request);
  absl::StatusOr<v1::SetQueueLimitsResponse> SetQueueLimits(const v1::SetQueueLimitsRequest& request);

  absl::StatusOr<v1::ListWorkersResponse> ListWorkers();
  absl::StatusOr<v1::StatsResponse> Stats();

 private:
  Client& client_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_TASKS_H_

#include "actioncluster/tasks.h"

#include <utility>

#include "actioncluster/status.h"

namespace actioncluster::client {
namespace {

using Stub = v1::TaskService::StubInterface;

template <class Request, class Response>
absl::StatusOr<Response> Call(Client& client, const Request& request, absl::Duration timeout,
                              grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  grpc::ClientContext context;
  client.Prepare(context, timeout);
  Response response;
  const grpc::Status status = (client.tasks().*call)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

template <class Request, class Response>
absl::StatusOr<Response> Call(Client& client, const Request& request,
                              grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  return Call(client, request, client.options().timeout, call);
}

}  // namespace

absl::StatusOr<v1::EnqueueResponse> Tasks::Enqueue(const v1::EnqueueRequest& request) {
  return Call(client_, request, &Stub::Enqueue);
}

absl::StatusOr<v1::EnqueueManyResponse> Tasks::EnqueueMany(const v1::EnqueueManyRequest& request) {
  return Call(client_, request, &Stub::EnqueueMany);
}

absl::StatusOr<v1::AwaitResponse> Tasks::Await(const v1::AwaitRequest& request, absl::Duration limit) {
  return Call(client_, request, limit, &Stub::Await);
}

absl::Status Tasks::Watch(const v1::WatchTaskRequest& request, absl::FunctionRef<bool(const v1::Task&)> on_change) {
  grpc::ClientContext context;
  client_.Prepare(context, absl::InfiniteDuration());
  const auto stream = client_.tasks().WatchTask(&context, request);
  for (v1::WatchTaskResponse change; stream->Read(&change);) {
    if (on_change(change.task())) continue;
    context.TryCancel();
    while (stream->Read(&change)) continue;
    stream->Finish();
    return absl::OkStatus();
  }
  return FromGrpc(stream->Finish());
}

absl::StatusOr<v1::GetResponse> Tasks::Get(const v1::GetRequest& request) { return Call(client_, request, &Stub::Get); }

absl::StatusOr<v1::ListResponse> Tasks::List(const v1::ListRequest& request) {
  return Call(client_, request, &Stub::List);
}

absl::StatusOr<v1::CountResponse> Tasks::Count(const v1::CountRequest& request) {
  return Call(client_, request, &Stub::Count);
}

absl::StatusOr<v1::DeleteResponse> Tasks::Delete(const v1::DeleteRequest& request) {
  return Call(client_, request, &Stub::Delete);
}

absl::StatusOr<v1::DeleteManyResponse> Tasks::DeleteMany(const v1::DeleteManyRequest& request) {
  return Call(client_, request, &Stub::DeleteMany);
}

absl::StatusOr<v1::CancelResponse> Tasks::Cancel(const v1::CancelRequest& request) {
  return Call(client_, request, &Stub::Cancel);
}

absl::StatusOr<v1::ScheduleRecurringResponse> Tasks::ScheduleRecurring(const v1::ScheduleRecurringRequest& request) {
  return Call(client_, request, &Stub::ScheduleRecurring);
}

absl::StatusOr<v1::StopRecurringResponse> Tasks::StopRecurring(const v1::StopRecurringRequest& request) {
  return Call(client_, request, &Stub::StopRecurring);
}

absl::StatusOr<v1::ListRecurringResponse> Tasks::ListRecurring(const v1::ListRecurringRequest& request) {
  return Call(client_, request, &Stub::ListRecurring);
}

absl::StatusOr<v1::ListFailedResponse> Tasks::ListFailed(const v1::ListFailedRequest& request) {
  return Call(client_, request, &Stub::ListFailed);
}

absl::StatusOr<v1::RetryFailedResponse> Tasks::RetryFailed(const v1::RetryFailedRequest& request) {
  return Call(client_, request, &Stub::RetryFailed);
}

absl::StatusOr<v1::RemoveFailedResponse> Tasks::RemoveFailed(const v1::RemoveFailedRequest& request) {
  return Call(client_, request, &Stub::RemoveFailed);
}

absl::StatusOr<v1::ListQueuesResponse> Tasks::ListQueues(const v1::ListQueuesRequest& request) {
  return Call(client_, request, &Stub::ListQueues);
}

absl::StatusOr<v1::PauseQueueResponse> Tasks::PauseQueue(const v1::PauseQueueRequest& request) {
  return Call(client_, request, &Stub::PauseQueue);
}

absl::StatusOr<v1::ResumeQueueResponse> Tasks::ResumeQueue(const v1::ResumeQueueRequest& request) {
  return Call(client_, request, &Stub::ResumeQueue);
}

absl::StatusOr<v1::DeleteQueueResponse> Tasks::DeleteQueue(const v1::DeleteQueueRequest& request) {
  return Call(client_, request, &Stub::DeleteQueue);
}

absl::StatusOr<v1::SetQueueLimitsResponse> Tasks::SetQueueLimits(const v1::SetQueueLimitsRequest& request) {
  return Call(client_, request, &Stub::SetQueueLimits);
}

absl::StatusOr<v1::ListWorkersResponse> Tasks::ListWorkers() {
  return Call(client_, v1::ListWorkersRequest(), &Stub::ListWorkers);
}

absl::StatusOr<v1::StatsResponse> Tasks::Stats() { return Call(client_, v1::StatsRequest(), &Stub::Stats); }

}  // namespace actioncluster::client

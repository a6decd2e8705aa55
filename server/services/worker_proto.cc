#include "server/services/worker_proto.h"

#include <cstddef>
#include <utility>

#include "backplane/tasks/task_id.h"
#include "server/services/task_proto.h"

namespace actioncluster {
namespace {

constexpr size_t kMostBytesWithTasks = size_t{3} * 1024 * 1024;
// A tag and a length.
constexpr size_t kFieldBytes = 8;

}  // namespace

v1::ListWorkersResponse WorkersToProto(std::vector<WorkerView> workers, const std::string& node_id) {
  v1::ListWorkersResponse response;
  response.mutable_workers()->Reserve(static_cast<int>(workers.size()));
  for (WorkerView& view : workers) {
    v1::ListWorkersResponse::Worker& worker = *response.add_workers();
    worker.set_worker_id(std::move(view.worker_id));
    worker.set_worker_name(std::move(view.spec.name));
    worker.set_node_id(node_id);
    worker.mutable_queues()->Assign(view.spec.queues.begin(), view.spec.queues.end());
    if (view.spec.all_queues) worker.add_queues(std::string("*"));
    worker.mutable_names()->Assign(view.spec.names.begin(), view.spec.names.end());
    worker.set_concurrency(static_cast<uint32_t>(view.spec.concurrency));
    *worker.mutable_last_heard() = TimeToProto(view.last_heard);
    for (WorkerView::Working& working : view.tasks) {
      v1::ListWorkersResponse::Working* task = worker.add_tasks();
      task->set_task_id(TaskId{.queue = std::move(working.lease.queue), .id = std::move(working.lease.id)}.ToString());
      task->set_name(std::move(working.name));
      *task->mutable_since() = TimeToProto(working.since);
    }
  }
  FitIntoMessage(&response);
  return response;
}

void FitIntoMessage(v1::ListWorkersResponse* response) {
  size_t bytes = 0;
  int kept = 0;
  for (v1::ListWorkersResponse::Worker& worker : *response->mutable_workers()) {
    if (bytes + worker.ByteSizeLong() > kMostBytesWithTasks) worker.clear_tasks();
    bytes += worker.ByteSizeLong() + kFieldBytes;
    if (bytes > kMaxListingBytes) break;
    ++kept;
  }
  const int omitted = response->workers_size() - kept;
  response->mutable_workers()->DeleteSubrange(kept, omitted);
  response->set_omitted(response->omitted() + static_cast<uint32_t>(omitted));
}

}  // namespace actioncluster

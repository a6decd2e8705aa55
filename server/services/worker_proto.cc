#include "server/services/worker_proto.h"

#include <cstddef>
#include <utility>

#include "backplane/tasks/task_id.h"
#include "server/services/task_proto.h"

namespace actioncluster {
namespace {

constexpr size_t kMostBytesWithTasks = size_t{3} * 1024 * 1024;
constexpr size_t kMostBytes = size_t{4} * 1024 * 1024;

}  // namespace

v1::ListWorkersResponse WorkersToProto(std::vector<WorkerView> workers, const std::string& node_id) {
  v1::ListWorkersResponse response;
  size_t bytes = 0;
  for (WorkerView& view : workers) {
    v1::ListWorkersResponse::Worker worker;
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
    if (bytes + worker.ByteSizeLong() > kMostBytesWithTasks) worker.clear_tasks();
    bytes += worker.ByteSizeLong();
    if (bytes > kMostBytes) break;
    *response.add_workers() = std::move(worker);
  }
  return response;
}

}  // namespace actioncluster

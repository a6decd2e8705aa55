#ifndef ACTIONCLUSTER_SERVER_SERVICES_TASK_SCAN_H_
#define ACTIONCLUSTER_SERVER_SERVICES_TASK_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backplane/redis/loop.h"
#include "backplane/tasks/task_store.h"
#include "server/grpc/offload.h"
#include "server/services/caller.h"
#include "server/services/task_filter.h"

namespace actioncluster {

// What flows over many tasks stand on; it outlives them.
struct TaskRooms {
  Loop& loop;
  TaskStore& store;
  Offload& offload;
};

// Walks over the tasks of one queue that match a filter, state by state and page by page, in the order in which they come next. It is no snapshot: what moves meanwhile may be
// met twice, or not at all.
//
// Confined to the I/O thread; inputs are compared on the offload's.
class TaskScan : public std::enable_shared_from_this<TaskScan> {
 public:
  // The ids of a page's tasks that match. What is sent to Redis inside is done before the next page is read.
  using OnPage = absl::AnyInvocable<void(std::vector<std::string> ids)>;
  // Once: OK, what Redis said, or CANCELLED: the caller is gone.
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  static void Start(const TaskRooms& rooms, TaskFilter filter, std::vector<TaskState> states, Caller caller,
                    OnPage on_page, Done done);

 private:
  TaskScan(const TaskRooms& rooms, TaskFilter filter, std::vector<TaskState> states, Caller caller, OnPage on_page,
           Done done);
  void ReadPage();
  void Match(TaskStore::Page page);
  void Matched(std::vector<std::string> ids);

  const TaskRooms rooms_;
  const TaskFilter filter_;
  const std::vector<TaskState> states_;
  const Caller caller_;
  OnPage on_page_;
  Done done_;
  size_t state_ = 0;  // The one that is being read.
  std::string from_;  // Where in it.
};

// Does one thing to all tasks that match. Confined to the I/O thread.
class TaskChange : public std::enable_shared_from_this<TaskChange> {
 public:
  // How many it was done to, or why it was not done to all.
  using Done = absl::AnyInvocable<void(absl::StatusOr<uint64_t>) &&>;

  static void Start(const TaskRooms& rooms, TaskFilter filter, std::vector<TaskState> states, TaskStore::Change change,
                    const Caller& caller, Done done);

 private:
  TaskChange(TaskStore& store, std::string queue, TaskStore::Change change, Done done);
  void Apply(const std::vector<std::string>& ids);
  void Ended(const absl::Status& status);

  TaskStore& store_;
  const std::string queue_;
  const TaskStore::Change change_;
  Done done_;
  absl::Status status_;
  size_t under_way_ = 1;  // The scan, and what is being applied.
  uint64_t changed_ = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_TASK_SCAN_H_

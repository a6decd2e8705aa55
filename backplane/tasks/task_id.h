#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_TASK_ID_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_TASK_ID_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace actioncluster {

// A task's name to the outside: its queue, and its id within that, so that who has it finds the slot. As text `queue/id`, where `%` and `/` in the queue are written `%25` and
// `%2F`. Pure; any thread.
struct TaskId {
  std::string queue;
  std::string id;

  std::string ToString() const;
  // INVALID_ARGUMENT if it is not of that form. Of one text there is one TaskId, and the other way round.
  static absl::StatusOr<TaskId> Parse(absl::string_view text);

  friend bool operator==(const TaskId&, const TaskId&) = default;
};

// An id within a queue that no other process makes, and this one not twice. Any thread.
std::string NewTaskId();

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_TASK_ID_H_

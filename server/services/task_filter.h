#ifndef ACTIONCLUSTER_SERVER_SERVICES_TASK_FILTER_H_
#define ACTIONCLUSTER_SERVER_SERVICES_TASK_FILTER_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "actioncluster/v1/tasks.pb.h"
#include "backplane/domain/content.h"
#include "backplane/tasks/task.h"

namespace actioncluster {

// Which tasks a caller means. Immutable; any thread.
class TaskFilter {
 public:
  // INVALID_ARGUMENT, or LIMIT_EXCEEDED for an input that is larger than any task's.
  static absl::StatusOr<TaskFilter> Parse(const v1::TaskFilter& filter);

  const std::string& queue() const { return queue_; }
  // Unset: any.
  std::optional<TaskState> state() const { return state_; }
  bool has_name() const { return !name_.empty(); }
  // Whether inputs are compared, which takes longer the larger they are.
  bool has_input() const { return input_.has_value(); }

  // Whether the task has the name and the input, whatever its state; the view has its input. JSON is equal whatever the order of its keys.
  bool Matches(const TaskView& task) const;

 private:
  bool HasOurInput(const Content& input) const;

  std::string queue_;
  std::optional<TaskState> state_;
  std::string name_;
  std::optional<Content> input_;  // JSON with its keys in order.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_TASK_FILTER_H_

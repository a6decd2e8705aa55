#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_TASK_WIRE_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_TASK_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/redis/fields.h"
#include "backplane/redis/reply.h"
#include "backplane/tasks/task.h"
#include "backplane/tasks/task_store.h"

// What the scripts of tasks take and give, as they state it. Pure; any thread.
namespace actioncluster::task_wire {

using Arguments = std::vector<std::string>;

// Appends the SPEC arguments of a task.
void Append(const NewTask& task, Arguments& arguments);
// The arguments of tasks_turn, at `queue`. `random` gives a number from 0 up to 1: it spreads the waits after failures.
Arguments TurnArguments(const std::string& queue, const TaskTurn& turn, absl::Duration lease,
                        const std::function<double()>& random);
// What a task is buried with whose leases are all lost; serialized.
std::string LeasesLost();

using redis::Fields;

absl::StatusOr<TaskHints> HintsOf(redis::ReplyView reply);
absl::StatusOr<std::vector<EnqueueOutcome>> OutcomesOf(redis::ReplyView reply);
absl::StatusOr<TaskTurnResult> TurnResultOf(redis::ReplyView reply);
absl::StatusOr<TaskSweepResult> SweepResultOf(redis::ReplyView reply);
absl::StatusOr<TaskView> ViewOf(redis::ReplyView reply, bool with_input);
absl::StatusOr<QueueView> QueueOf(redis::ReplyView reply);

}  // namespace actioncluster::task_wire

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_TASK_WIRE_H_

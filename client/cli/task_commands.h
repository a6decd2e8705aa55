#ifndef ACTIONCLUSTER_CLIENT_CLI_TASK_COMMANDS_H_
#define ACTIONCLUSTER_CLIENT_CLI_TASK_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actioncluster/v1/tasks.pb.h"
#include "client/cli/command.h"
#include "client/cli/content.h"

namespace actioncluster::cli {

// A task as the command line describes it.
struct TaskOptions {
  std::string name = "";
  ContentOptions content = {};
  std::string queue = "";
  std::optional<uint32_t> priority = std::nullopt;
  std::string unique_key = "";
  std::string unique_for = "";
  std::optional<uint32_t> max_attempts = std::nullopt;
  std::string backoff = "";
  std::string max_backoff = "";
  std::string timeout = "";
  std::string retain = "";
};

// The arguments NAME and ARGS, and the options of a task. Not its start and its id: a schedule sets these itself.
void AddTaskOptions(CLI::App* app, TaskOptions* options);
// INVALID_ARGUMENT: an option's value makes no sense. What only the node knows to be wrong is the node's to say.
absl::StatusOr<v1::EnqueueRequest> MakeTask(const TaskOptions& options);

// tasks enqueue, await, get, watch, list, cancel, delete; failed, retry, remove.
void AddTaskCommands(CommandTree& tree, CLI::App* tasks);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_TASK_COMMANDS_H_

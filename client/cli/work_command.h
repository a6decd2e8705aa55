#ifndef ACTIONCLUSTER_CLIENT_CLI_WORK_COMMAND_H_
#define ACTIONCLUSTER_CLIENT_CLI_WORK_COMMAND_H_

#include <string>

#include "absl/status/statusor.h"
#include "actioncluster/worker.h"
#include "client/cli/command.h"
#include "client/cli/exec.h"

namespace actioncluster::cli {

// What a task is for the command that runs it: its input as JSON, or its bytes, and the variables ACTIONCLUSTER_TASK_….
Command CommandFor(const v1::WorkResponse::Task& task, const std::string& line);

// What the command has printed, as a result; or its failure, which is not to be tried again if the command says so by its exit status.
absl::StatusOr<client::TaskContent> ResultOf(absl::StatusOr<std::string> output);

// work.
void AddWorkCommand(CommandTree& tree);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_WORK_COMMAND_H_

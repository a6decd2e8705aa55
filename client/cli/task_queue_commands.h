#ifndef ACTIONCLUSTER_CLIENT_CLI_TASK_QUEUE_COMMANDS_H_
#define ACTIONCLUSTER_CLIENT_CLI_TASK_QUEUE_COMMANDS_H_

#include "client/cli/command.h"

namespace actioncluster::cli {

// tasks stats, queues, pause, resume, limits, delete-queue, workers; schedule, schedules, unschedule.
void AddTaskQueueCommands(CommandTree& tree, CLI::App* tasks);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_TASK_QUEUE_COMMANDS_H_

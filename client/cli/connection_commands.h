#ifndef ACTIONCLUSTER_CLIENT_CLI_CONNECTION_COMMANDS_H_
#define ACTIONCLUSTER_CLIENT_CLI_CONNECTION_COMMANDS_H_

#include "client/cli/command.h"

namespace actioncluster::cli {

// The subcommands below `connection`.
void AddConnectionCommands(CommandTree& tree, CLI::App* connection);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CONNECTION_COMMANDS_H_

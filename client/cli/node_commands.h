#ifndef ACTIONCLUSTER_CLIENT_CLI_NODE_COMMANDS_H_
#define ACTIONCLUSTER_CLIENT_CLI_NODE_COMMANDS_H_

#include "client/cli/command.h"

namespace actioncluster::cli {

// nodes, watch, drain.
void AddNodeCommands(CommandTree& tree);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_NODE_COMMANDS_H_

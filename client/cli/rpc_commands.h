#ifndef ACTIONCLUSTER_CLIENT_CLI_RPC_COMMANDS_H_
#define ACTIONCLUSTER_CLIENT_CLI_RPC_COMMANDS_H_

#include "client/cli/command.h"

namespace actioncluster::cli {

// rpc call, call-all, notify, methods.
void AddRpcCommands(CommandTree& tree, CLI::App* rpc);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_RPC_COMMANDS_H_

#ifndef ACTIONCLUSTER_CLIENT_CLI_ROOM_COMMANDS_H_
#define ACTIONCLUSTER_CLIENT_CLI_ROOM_COMMANDS_H_

#include "client/cli/command.h"

namespace actioncluster::cli {

// The subcommands below `room`.
void AddRoomCommands(CommandTree& tree, CLI::App* room);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_ROOM_COMMANDS_H_

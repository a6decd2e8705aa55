#ifndef ACTIONCLUSTER_CLIENT_CLI_PUBSUB_COMMANDS_H_
#define ACTIONCLUSTER_CLIENT_CLI_PUBSUB_COMMANDS_H_

#include "client/cli/command.h"

namespace actioncluster::cli {

// publish, subscribe.
void AddPubSubCommands(CommandTree& tree);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_PUBSUB_COMMANDS_H_

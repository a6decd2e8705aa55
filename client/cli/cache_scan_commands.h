#ifndef ACTIONCLUSTER_CLIENT_CLI_CACHE_SCAN_COMMANDS_H_
#define ACTIONCLUSTER_CLIENT_CLI_CACHE_SCAN_COMMANDS_H_

#include "client/cli/command.h"

namespace actioncluster::cli {

// cache keys, locks, size, clear; dump, restore.
void AddCacheScanCommands(CommandTree& tree, CLI::App* cache);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CACHE_SCAN_COMMANDS_H_

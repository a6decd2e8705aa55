#ifndef ACTIONCLUSTER_SERVER_CONTROL_COMMANDS_H_
#define ACTIONCLUSTER_SERVER_CONTROL_COMMANDS_H_

#include <string>
#include <vector>

#include "client/cli/cli.h"

namespace actioncluster {

// The subcommands that speak to a running `start` on this machine: status, stop, restart, scale. What the command line must know of them, to list and
// complete them.
std::vector<cli::ForeignCommand> ControlCommands();

// Whether `command` is one of them.
bool IsControlCommand(const std::string& command);

// Runs it with the arguments behind its name and this environment (`NAME=value`), and gives the exit status: as the rest of the command line has it
// (client/cli/exit_code.h). Blocks until what was ordered is done. Main thread.
int RunControlCommand(const std::string& command, const std::vector<std::string>& args,
                      const std::vector<std::string>& environment);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONTROL_COMMANDS_H_

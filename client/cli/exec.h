#ifndef ACTIONCLUSTER_CLIENT_CLI_EXEC_H_
#define ACTIONCLUSTER_CLIENT_CLI_EXEC_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/event.h"
#include "client/cli/exec_core.h"

namespace actioncluster::cli {

// A command for the shell.
struct Command {
  std::string line;                                // For `sh -c`.
  std::map<std::string, std::string> environment;  // Besides our own variables, and instead of them.
  std::string input;                               // For its standard input, which ends after it.
};

// Runs it in a process group of its own, with no other descriptors open than its input and outputs, and waits until it is over, as ExecCore says; `cancelled` or
// `stop_all` (null: there is none) ends it. What it wrote to its standard output, or why not, as of ExecCore::Result; INTERNAL or UNAVAILABLE: the system does not let it run.
//
// Any number at the same time, from any threads. SIGPIPE must be ignored in this process.
absl::StatusOr<std::string> RunCommand(const Command& command, const Event& cancelled, const Event* stop_all,
                                       ExecCore::Options options = {});

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_EXEC_H_

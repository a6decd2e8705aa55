#ifndef ACTIONCLUSTER_CLIENT_CLI_EXIT_CODE_H_
#define ACTIONCLUSTER_CLIENT_CLI_EXIT_CODE_H_

#include <string>

#include "absl/status/status.h"

// What the program's exit status says to scripts. Pure functions; any thread.
namespace actioncluster::cli {

enum class ExitCode : int {
  kOk = 0,
  kOther = 1,          // None of the below.
  kUsage = 2,          // The command line or a value is wrong: INVALID_ARGUMENT, OUT_OF_RANGE.
  kNotFound = 3,       // NOT_FOUND, and METHOD_NOT_FOUND whatever its code.
  kTimeout = 4,        // DEADLINE_EXCEEDED: RPC_TIMEOUT, or the network's.
  kUnavailable = 5,    // UNAVAILABLE: no node is reached, or BACKPLANE_UNAVAILABLE.
  kUnauthorized = 6,   // UNAUTHENTICATED, PERMISSION_DENIED.
  kLimit = 7,          // RESOURCE_EXHAUSTED: LIMIT_EXCEEDED.
  kHandlerFailed = 8,  // HANDLER_FAILED, whatever code the handler chose.
  kConflict = 9,       // FAILED_PRECONDITION, ABORTED, ALREADY_EXISTS.
  // The reader of our output is gone: what a shell says of a program that SIGPIPE ended.
  kClosedPipe = 141,
};

// By the node's reason where that says more than the code.
ExitCode ExitCodeOf(const absl::Status& status);

// The table above, for people: one line each.
std::string ExitCodeHelp();

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_EXIT_CODE_H_

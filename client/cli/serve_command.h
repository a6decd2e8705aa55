#ifndef ACTIONCLUSTER_CLIENT_CLI_SERVE_COMMAND_H_
#define ACTIONCLUSTER_CLIENT_CLI_SERVE_COMMAND_H_

#include <string>

#include "absl/status/statusor.h"
#include "actioncluster/method_host.h"
#include "client/cli/command.h"
#include "client/cli/exec.h"

namespace actioncluster::cli {

// What a call is for the command that answers it: its arguments as JSON, or its bytes, and the variables ACTIONCLUSTER_CALL_….
Command CommandFor(const v1::ServeResponse::Call& call, const std::string& line);

// What the command has printed, as an answer.
void Answer(absl::StatusOr<std::string> output, client::Invocation invocation);

// rpc serve.
void AddServeCommand(CommandTree& tree, CLI::App* rpc);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_SERVE_COMMAND_H_

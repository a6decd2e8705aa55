#ifndef ACTIONCLUSTER_CLIENT_CLI_CONNECT_COMMAND_H_
#define ACTIONCLUSTER_CLIENT_CLI_CONNECT_COMMAND_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/command.h"

namespace actioncluster::cli {

// Lines, from what is read in pieces. Not thread-safe.
class LineBuffer {
 public:
  // The lines that are complete now, without their ends.
  std::vector<std::string> Add(absl::string_view piece);
  // What has no end yet.
  const std::string& rest() const { return rest_; }

 private:
  std::string rest_;
};

// connect.
void AddConnectCommand(CommandTree& tree);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CONNECT_COMMAND_H_

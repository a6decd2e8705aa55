#ifndef ACTIONCLUSTER_CLIENT_CLI_COMMAND_H_
#define ACTIONCLUSTER_CLIENT_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/connect.h"
#include "client/cli/console.h"

// What all subcommands are made of. One file pair for each group of them adds these to the tree. For the main thread.
namespace actioncluster::cli {

// What a subcommand runs with.
struct Session {
  Console& console;
  const CommonOptions& options;
  const Environment& environment;

  absl::StatusOr<std::unique_ptr<client::Client>> Connect() const { return cli::Connect(options, environment); }
};

// Runs a subcommand. Its error is said, and becomes the exit status.
using Action = std::function<absl::Status(const Session& session)>;

struct CommandSpec {
  std::string name;
  std::string meaning;  // In a line.
  std::string example;  // A command line, as it is typed.
  std::string details;  // What else its help says: what is printed, also with --json. Each line with its end.
};

// The tree of subcommands.
class CommandTree {
 public:
  CommandTree();
  CommandTree(const CommandTree&) = delete;
  CommandTree& operator=(const CommandTree&) = delete;

  CLI::App& root() { return root_; }
  const CommonOptions& options() const { return options_; }

  // A subcommand that has others below it.
  CLI::App* AddGroup(const std::string& name, const std::string& meaning, const std::string& heading);
  // A subcommand that talks to the cluster: it takes the common options besides its own, which are to be added to what this returns.
  CLI::App* AddCommand(CLI::App* parent, const CommandSpec& spec, Action action);
  // One that does not.
  CLI::App* AddPlainCommand(CLI::App* parent, const CommandSpec& spec, Action action);

  // The help of the subcommand that was parsed.
  std::string Help() const;
  // The action of the subcommand that was parsed; null if there is none.
  const Action* Chosen() const;

 private:
  void AddCommonOptions(CLI::App* app);

  CommonOptions options_;
  CLI::App root_;
  std::map<const CLI::App*, Action> actions_;
};

// Below this heading the main help lists the subcommand.
inline constexpr char kCallsHeading[] = "Calls";
inline constexpr char kNodesHeading[] = "Nodes";
inline constexpr char kMessagesHeading[] = "Messages";
inline constexpr char kTasksHeading[] = "Tasks";
inline constexpr char kCacheHeading[] = "Shared memory";
inline constexpr char kConnectionsHeading[] = "Connections and rooms";
inline constexpr char kProgramHeading[] = "This program";

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_COMMAND_H_

#include "client/cli/cli.h"

#include <fcntl.h>
#include <grpc/support/log.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/cli/cache_commands.h"
#include "client/cli/cache_scan_commands.h"
#include "client/cli/command.h"
#include "client/cli/completion.h"
#include "client/cli/connect_command.h"
#include "client/cli/connection_commands.h"
#include "client/cli/console.h"
#include "client/cli/exit_code.h"
#include "client/cli/node_commands.h"
#include "client/cli/pubsub_commands.h"
#include "client/cli/room_commands.h"
#include "client/cli/rpc_commands.h"
#include "client/cli/serve_command.h"
#include "client/cli/task_commands.h"
#include "client/cli/task_queue_commands.h"
#include "client/cli/text.h"
#include "client/cli/work_command.h"

namespace actioncluster::cli {
namespace {

Environment ReadEnvironment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    if (const size_t equals = text.find('='); equals != absl::string_view::npos) {
      environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return environment;
}

void AddForeignCommand(CommandTree& tree, const ForeignCommand& foreign) {
  CLI::App* const app = tree.root().add_subcommand(foreign.name, foreign.meaning);
  app->group(kNodesHeading);
  for (const ForeignCommand::Option& option : foreign.options) {
    if (option.metavar.empty()) {
      app->add_flag("--" + option.name, option.meaning);
    } else {
      app->add_option("--" + option.name, option.meaning)->option_text(option.metavar);
    }
  }
}

void AddCompletionCommands(CommandTree& tree) {
  CLI::App* const group =
      tree.AddGroup("completion", "Print a script that teaches a shell to complete", kProgramHeading);
  const auto add = [&](const std::string& shell, const std::string& example, std::string (*make)(const CLI::App&)) {
    tree.AddPlainCommand(group,
                         {.name = shell, .meaning = "Completion for " + shell, .example = example, .details = ""},
                         [&tree, make](const Session& session) {
                           session.console.Write(make(tree.root()));
                           return absl::OkStatus();
                         });
  };
  add("bash", "source <(actioncluster completion bash)", &BashCompletion);
  add("zsh", "source <(actioncluster completion zsh)", &ZshCompletion);
  add("fish", "actioncluster completion fish | source", &FishCompletion);
}

// `rpc call METHOD [ARGS]`
std::string UsageOf(const CLI::App& app, const std::string& path) {
  std::string usage = path;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) continue;
    const std::string name =
        option->get_items_expected_max() > 1 ? option->get_name(true) + "..." : option->get_name(true);
    absl::StrAppend(&usage, " ", option->get_required() ? name : absl::StrCat("[", name, "]"));
  }
  return usage;
}

void AppendLeaves(const CLI::App& app, const std::string& path, std::string* text) {
  constexpr size_t kUsageWidth = 29;
  const std::vector<const CLI::App*> below = app.get_subcommands([](const CLI::App*) { return true; });
  if (below.empty()) {
    absl::StrAppend(text, "  ", Cell(UsageOf(app, path), kUsageWidth), "  ", app.get_description(), "\n");
  }
  for (const CLI::App* each : below) AppendLeaves(*each, absl::StrCat(path, " ", each->get_name()), text);
}

std::string MainHelp(const CLI::App& root) {
  std::string text = "Usage: actioncluster SUBCOMMAND [OPTION]...      actioncluster --version\n";
  for (const char* heading : {kNodesHeading, kCallsHeading, kMessagesHeading, kTasksHeading, kCacheHeading,
                              kConnectionsHeading, kProgramHeading}) {
    absl::StrAppend(&text, "\n", heading, ":\n");
    for (const CLI::App* each :
         root.get_subcommands([&](const CLI::App* app) { return app->get_group() == heading; })) {
      AppendLeaves(*each, each->get_name(), &text);
    }
  }
  return absl::StrCat(
      text,
      "\nEach says more, and shows an example, with --help. Errors are one line on standard error. Exit status:\n",
      ExitCodeHelp());
}

absl::Status UsageError(const CLI::ParseError& error, const CLI::App& root) {
  std::string path = root.get_name();
  const CLI::App* app = &root;
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands().front();
    absl::StrAppend(&path, " ", app->get_name());
  }
  std::string what = error.what();
  // CLI11 only says that a subcommand is missing, when there is one that it does not know.
  if (const std::vector<std::string> rest = app->remaining();
      !rest.empty() && rest[0][0] != '-' && !app->get_subcommands([](const CLI::App*) { return true; }).empty()) {
    what = absl::StrCat("there is no subcommand ", rest[0]);
  }
  return absl::InvalidArgumentError(absl::StrCat(what, "; see ", path, " --help"));
}

// Whoever has closed a standard descriptor must not find a connection in its place: what takes it fails at each use.
void ReserveStandardDescriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest that is free is given.
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

// What gRPC has to say is for who looks for it: errors are told by the calls.
void SilenceGrpc(const Environment& environment) {
  if (!environment.contains("GRPC_VERBOSITY")) gpr_set_log_function([](gpr_log_func_args*) {});
}

}  // namespace

int RunCli(const std::vector<std::string>& args, const std::vector<ForeignCommand>& foreign) {
  ReserveStandardDescriptors();
  const Environment environment = ReadEnvironment();
  SilenceGrpc(environment);
  CommandTree tree;
  for (const ForeignCommand& each : foreign) AddForeignCommand(tree, each);
  AddNodeCommands(tree);
  CLI::App* const rpc = tree.AddGroup("rpc", "Call methods, and offer them", kCallsHeading);
  AddRpcCommands(tree, rpc);
  AddServeCommand(tree, rpc);
  AddPubSubCommands(tree);
  AddWorkCommand(tree);
  CLI::App* const tasks = tree.AddGroup("tasks", "Enqueue tasks, and see what becomes of them", kTasksHeading);
  AddTaskCommands(tree, tasks);
  AddTaskQueueCommands(tree, tasks);
  CLI::App* const cache = tree.AddGroup("cache", "Values, locks and lists that all nodes share", kCacheHeading);
  AddCacheCommands(tree, cache);
  AddCacheScanCommands(tree, cache);
  AddConnectCommand(tree);
  AddConnectionCommands(tree,
                        tree.AddGroup("connection", "Reach connections from the server side", kConnectionsHeading));
  AddRoomCommands(tree, tree.AddGroup("room", "Rooms of connections", kConnectionsHeading));
  AddCompletionCommands(tree);

  // An error in the command line is told in the form that was asked for, too.
  const bool json = std::find(args.begin(), std::find(args.begin(), args.end(), "--"), "--json") !=
                    std::find(args.begin(), args.end(), "--");
  Console console(STDOUT_FILENO, STDERR_FILENO, json);
  try {
    // CLI11 takes them from the end.
    tree.root().parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp&) {
    console.Write(tree.root().get_subcommands().empty() ? MainHelp(tree.root()) : tree.Help());
    return static_cast<int>(console.Finish(absl::OkStatus()));
  } catch (const CLI::ParseError& error) {
    return static_cast<int>(console.Finish(UsageError(error, tree.root())));
  }
  const Action* const action = tree.Chosen();
  if (action == nullptr) {
    return static_cast<int>(
        console.Finish(absl::InvalidArgumentError("its name comes first: actioncluster start ...")));
  }
  const absl::Status end = (*action)({.console = console, .options = tree.options(), .environment = environment});
  return static_cast<int>(console.Finish(end));
}

}  // namespace actioncluster::cli

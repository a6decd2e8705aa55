#include "server/control_commands.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "client/cli/console.h"
#include "client/cli/exit_code.h"
#include "client/cli/text.h"
#include "server/config/settings.h"
#include "server/supervisor/control.h"

namespace actioncluster {
namespace {

struct Option {
  absl::string_view name;
  absl::string_view metavar;  // Empty: a switch.
  absl::string_view meaning;
  absl::string_view of = "";  // Empty: of all.
};

constexpr std::array kOptions = {
    Option{"data-dir", "DIR", "The data directory of `actioncluster start`; found as that finds it"},
    Option{"timeout", "DURATION", "How long to wait until it is done; the order stands"},
    Option{"json", "", "For programs"},
    Option{"now", "", "Kill the nodes instead of draining them", "stop"},
    Option{"reload", "", "Read the settings anew, as SIGHUP does", "restart"},
    Option{"help", "", "Print this"},
};

struct Command {
  absl::string_view name;
  absl::string_view usage;
  absl::string_view meaning;
  absl::string_view details;
};

constexpr std::array kCommands = {
    Command{"status", "status", "Show what `start` runs on this machine",
            "With --json: {\"pid\", \"state\", \"workers\", \"redis\": {\"state\", \"pid\"}, \"nodes\": [{\"slot\", "
            "\"id\",\n"
            "\"state\", \"pid\", \"addresses\": [], \"restarts\"}]}.\n"},
    Command{"stop", "stop", "Drain and stop all that `start` runs, and wait until nothing is left", ""},
    Command{"restart", "restart", "Restart the nodes, one after the other, and wait until all serve",
            "Each is drained, and the next waits until its successor serves. Prints what status prints.\n"},
    Command{"scale", "scale N", "Have N nodes on this machine, and wait until they serve",
            "Fewer: the last ones are drained. Prints what status prints.\n"},
};

const Command* Find(absl::string_view name) {
  const auto found = std::ranges::find(kCommands, name, &Command::name);
  return found == kCommands.end() ? nullptr : &*found;
}

struct Arguments {
  std::vector<std::string> settings;  // For LoadSettings.
  absl::Duration timeout = absl::InfiniteDuration();
  bool now = false;
  bool reload = false;
  bool help = false;
  std::vector<std::string> words;
};

bool TakesOption(const Option& option, const Command& command) {
  return option.of.empty() || option.of == command.name;
}

absl::StatusOr<Arguments> Parse(const Command& command, const std::vector<std::string>& args) {
  const std::string see = absl::StrCat("; see actioncluster ", command.name, " --help");
  Arguments parsed;
  for (size_t i = 0; i < args.size(); ++i) {
    absl::string_view text = args[i];
    if (text == "-h") text = "--help";
    if (!absl::ConsumePrefix(&text, "--")) {
      parsed.words.emplace_back(text);
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    const auto option = std::ranges::find(kOptions, parts.first, &Option::name);
    if (option == kOptions.end() || !TakesOption(*option, command)) {
      return absl::InvalidArgumentError(absl::StrCat("there is no option --", parts.first, see));
    }
    const bool given = absl::StrContains(text, '=');
    if (option->metavar.empty() ? given : !given && i + 1 == args.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", option->name, option->metavar.empty() ? " takes no value" : " takes a value", see));
    }
    const std::string value(option->metavar.empty() ? "" : given ? parts.second : absl::string_view(args[++i]));
    if (option->name == "data-dir") parsed.settings = {"--data-dir", value};
    if (option->name == "timeout" &&
        (!absl::ParseDuration(value, &parsed.timeout) || parsed.timeout <= absl::ZeroDuration())) {
      return absl::InvalidArgumentError(absl::StrCat("--timeout takes a duration such as 30s", see));
    }
    parsed.now = parsed.now || option->name == "now";
    parsed.reload = parsed.reload || option->name == "reload";
    parsed.help = parsed.help || option->name == "help";
  }
  const size_t expected = command.name == "scale" ? 1 : 0;
  if (!parsed.help && parsed.words.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("the usage is: actioncluster ", command.usage, see));
  }
  return parsed;
}

std::string Help(const Command& command) {
  std::string text = absl::StrCat("Usage: actioncluster ", command.usage, " [OPTION]...\n\n", command.meaning, ".\n",
                                  command.details, "\n");
  for (const Option& option : kOptions) {
    if (!TakesOption(option, command)) continue;
    absl::StrAppend(&text, "  ", cli::Cell(absl::StrCat("--", option.name, " ", option.metavar), 20), "  ",
                    option.meaning, "\n");
  }
  return text;
}

std::string ToJson(const SupervisorStatus& status) {
  std::vector<std::string> nodes;
  for (const SupervisorStatus::Worker& node : status.nodes) {
    const std::vector<absl::string_view> addresses = absl::StrSplit(node.addresses, ' ', absl::SkipEmpty());
    nodes.push_back(absl::StrCat(
        "{\"slot\":", node.slot, ",\"id\":", cli::QuoteJson(node.name), ",\"state\":", cli::QuoteJson(node.state),
        ",\"pid\":", node.pid, ",\"addresses\":[",
        absl::StrJoin(addresses, ",",
                      [](std::string* out, absl::string_view address) { out->append(cli::QuoteJson(address)); }),
        "],\"restarts\":", node.restarts, "}"));
  }
  return absl::StrCat("{\"pid\":", status.pid, ",\"state\":", cli::QuoteJson(status.state),
                      ",\"workers\":", status.workers, ",\"redis\":{\"state\":", cli::QuoteJson(status.redis),
                      ",\"pid\":", status.redis_pid, "},\"nodes\":[", absl::StrJoin(nodes, ","), "]}");
}

std::string ToText(const SupervisorStatus& status) {
  std::string text = absl::StrCat("supervisor ", status.state, ", process ", status.pid,
                                  "; nodes wanted: ", status.workers, "\nredis ", status.redis,
                                  status.redis_pid > 0 ? absl::StrCat(", process ", status.redis_pid) : "", "\n");
  cli::Table table({"NODE", "STATE", "PID", "RESTARTS", "ADDRESSES"});
  for (const SupervisorStatus::Worker& node : status.nodes) {
    table.Add({node.name.empty() ? absl::StrCat("(worker ", node.slot, ")") : node.name, node.state,
               node.pid > 0 ? absl::StrCat(node.pid) : "-", absl::StrCat(node.restarts),
               node.addresses.empty() ? "-" : node.addresses});
  }
  return absl::StrCat(text, table.Format());
}

absl::Status PrintStatus(const std::string& data_dir, absl::Duration timeout, cli::Console& console) {
  const absl::StatusOr<std::string> answer = AskSupervisor(data_dir, "status", timeout, /*ended_is_ok=*/false);
  if (!answer.ok()) return answer.status();
  const absl::StatusOr<SupervisorStatus> status = SupervisorStatus::Parse(*answer);
  if (!status.ok()) return status.status();
  console.Write(console.json() ? absl::StrCat(ToJson(*status), "\n") : ToText(*status));
  return absl::OkStatus();
}

absl::Status Run(const Command& command, const std::vector<std::string>& args,
                 const std::vector<std::string>& environment, cli::Console& console) {
  const absl::StatusOr<Arguments> parsed = Parse(command, args);
  if (!parsed.ok()) return parsed.status();
  if (parsed->help) {
    console.Write(Help(command));
    return absl::OkStatus();
  }
  const absl::StatusOr<Settings> settings = LoadSettings(parsed->settings, environment);
  if (!settings.ok()) return settings.status();
  const std::string& data_dir = settings->data_dir;
  if (command.name == "status") return PrintStatus(data_dir, parsed->timeout, console);
  if (command.name == "stop") {
    const absl::StatusOr<std::string> answer =
        AskSupervisor(data_dir, parsed->now ? "stop now" : "stop", parsed->timeout, /*ended_is_ok=*/true);
    if (!answer.ok()) return answer.status();
    console.WriteLine(console.json() ? "{\"state\":\"stopped\"}" : "stopped");
    return absl::OkStatus();
  }
  std::string order = parsed->reload ? "reload" : "restart";
  if (command.name == "scale") {
    int workers;
    if (!absl::SimpleAtoi(parsed->words[0], &workers) || workers < 1) {
      return absl::InvalidArgumentError("N is a whole number from 1");
    }
    order = absl::StrCat("scale ", workers);
  }
  const absl::StatusOr<std::string> answer = AskSupervisor(data_dir, order, parsed->timeout, /*ended_is_ok=*/false);
  if (!answer.ok()) return answer.status();
  return PrintStatus(data_dir, parsed->timeout, console);
}

}  // namespace

std::vector<cli::ForeignCommand> ControlCommands() {
  std::vector<cli::ForeignCommand> commands;
  for (const Command& command : kCommands) {
    cli::ForeignCommand foreign = {
        .name = std::string(command.name), .meaning = std::string(command.meaning), .options = {}};
    for (const Option& option : kOptions) {
      if (option.name == "help" || !TakesOption(option, command)) continue;
      foreign.options.push_back({std::string(option.name), std::string(option.metavar), std::string(option.meaning)});
    }
    commands.push_back(std::move(foreign));
  }
  return commands;
}

bool IsControlCommand(const std::string& command) { return Find(command) != nullptr; }

int RunControlCommand(const std::string& command, const std::vector<std::string>& args,
                      const std::vector<std::string>& environment) {
  cli::Console console(STDOUT_FILENO, STDERR_FILENO, std::ranges::find(args, "--json") != args.end());
  return static_cast<int>(console.Finish(Run(*Find(command), args, environment, console)));
}

}  // namespace actioncluster

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/cli.h"
#include "glog/logging.h"
#include "server/config/settings.h"
#include "server/config/version.h"
#include "server/control_commands.h"
#include "server/node.h"
#include "server/supervisor/supervisor.h"

namespace actioncluster {
namespace {

constexpr int kClean = 0;
constexpr int kFailed = 1;
constexpr int kBadSettings = 2;

std::string OneLine(absl::string_view text) { return absl::StrReplaceAll(text, {{"\n", " "}}); }

int Fail(int code, absl::string_view message) {
  std::fprintf(stderr, "actioncluster: %s\n", OneLine(message).c_str());
  return code;
}

std::vector<std::string> Environment() {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  return variables;
}

int Start(const std::vector<std::string>& args) {
  for (const std::string& arg : args) {
    if (arg != "--help" && arg != "-h") continue;
    std::fputs(SettingsHelp().c_str(), stdout);
    return kClean;
  }
  absl::StatusOr<Settings> settings = LoadSettings(args, Environment());
  if (!settings.ok()) return Fail(kBadSettings, settings.status().message());
  WorkerProgram program;
  // By its name, not by what runs here: a restart after an update starts the new one.
  std::error_code error;
  if (const auto path = std::filesystem::read_symlink(program.path, error); !error) program.path = path;
  program.reload = [&args] { return LoadSettings(args, Environment()); };
  const absl::Status end = RunSupervisor(*std::move(settings), program);
  return end.ok() ? kClean : Fail(kFailed, end.message());
}

// One line to the supervisor. If it is gone, so are we soon; if it does not read, it has enough to read.
void Report(int fd, absl::string_view what, absl::string_view text) {
  const std::string line = absl::StrCat(what, text.empty() ? "" : " ", OneLine(text), "\n");
  if (write(fd, line.data(), line.size()) < 0) {
    PLOG_EVERY_N(WARNING, 100) << "supervisor not reached";
  }
}

// Run by the supervisor only, as RunSupervisor says: `node --slot I --ready-fd F`, the settings in the environment.
int Node(const std::vector<std::string>& args) {
  WorkerSlot slot;
  int ready_fd;
  if (args.size() != 4 || args[0] != "--slot" || !absl::SimpleAtoi(args[1], &slot.index) || args[2] != "--ready-fd" ||
      !absl::SimpleAtoi(args[3], &ready_fd)) {
    return Fail(kBadSettings, "node: is for the supervisor only; use start");
  }
  // It must not hold us up.
  fcntl(ready_fd, F_SETFL, O_NONBLOCK);
  absl::StatusOr<Settings> settings = LoadSettings({}, Environment());
  if (!settings.ok()) {
    Report(ready_fd, "failed", settings.status().message());
    return kBadSettings;
  }
  bool ready = false;
  slot.on_ready = [ready_fd, &ready](const std::string& node_id, const std::string& addresses) {
    ready = true;
    Report(ready_fd, "ready", absl::StrCat(node_id, " ", addresses));
  };
  slot.on_alive = [ready_fd] { Report(ready_fd, "alive", ""); };
  const absl::Status end = RunNode(*settings, std::move(slot));
  if (end.ok()) return kClean;
  if (ready) {
    LOG(ERROR) << "node failed: " << end.message();
  } else {
    Report(ready_fd, "failed", end.message());
  }
  return kFailed;
}

// What the command line must know of what is not its own, to list and complete it.
std::vector<cli::ForeignCommand> ForeignCommands() {
  cli::ForeignCommand start = {.name = "start", .meaning = "Run nodes on this machine", .options = {}};
  for (const SettingSummary& setting : ListSettings()) {
    start.options.push_back({setting.name, setting.metavar, setting.meaning});
  }
  std::vector<cli::ForeignCommand> commands = ControlCommands();
  commands.insert(commands.begin(), std::move(start));
  return commands;
}

int Main(const std::vector<std::string>& args) {
  const std::string command = args.empty() ? "" : args[0];
  const std::vector<std::string> rest(args.empty() ? args.end() : args.begin() + 1, args.end());
  // What a node writes (the log, Redis's files) is for its user alone.
  if (command == "start" || command == "node") umask(077);
  if (command == "start") return Start(rest);
  if (command == "node") return Node(rest);
  if (IsControlCommand(command)) return RunControlCommand(command, rest, Environment());
  if (command == "--version") {
    std::printf("actioncluster %s\n", std::string(Version()).c_str());
    return kClean;
  }
  if (command.empty()) return Fail(kBadSettings, "what to do? See actioncluster --help");
  return cli::RunCli(args, ForeignCommands());
}

}  // namespace
}  // namespace actioncluster

int main(int argc, char** argv) {
  // The packaged Abseil checks for deadlocks on every lock: it costs more than the lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // A reader of our output that goes away is no reason to end.
  signal(SIGPIPE, SIG_IGN);
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(argv[0]);
  return actioncluster::Main(std::vector<std::string>(argv + 1, argv + argc));
}

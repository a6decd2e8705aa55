#include "tests/cluster/program.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "glog/logging.h"

namespace actioncluster::cluster {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(5);

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const std::vector<std::string>& more) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!absl::StartsWith(*entry, "ACTIONCLUSTER_")) variables.emplace_back(*entry);
  }
  variables.insert(variables.end(), more.begin(), more.end());
  return variables;
}

void AddDescendants(pid_t pid, std::vector<pid_t>* descendants) {
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/task"), ignored)) {
    const std::string children = ReadFile(task.path() / "children");
    for (const absl::string_view text : absl::StrSplit(children, ' ', absl::SkipWhitespace())) {
      pid_t child;
      if (!absl::SimpleAtoi(text, &child)) continue;
      descendants->push_back(child);
      AddDescendants(child, descendants);
    }
  }
}

}  // namespace

bool Await(absl::FunctionRef<bool()> condition, absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(kPoll);
  }
  return true;
}

std::string ReadFile(const std::string& path) {
  // By the stream, which takes a failure for the end: /proc fails while a process dies.
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void WriteFile(const std::string& path, absl::string_view text, mode_t mode) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  PCHECK(chmod(path.c_str(), mode) == 0) << path;
}

bool IsAlive(pid_t pid) {
  const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  const size_t name_end = stat.rfind(") ");
  return name_end != std::string::npos && stat[name_end + 2] != 'Z' && stat[name_end + 2] != 'X';
}

TempDir::TempDir() {
  char path[] = "/tmp/actioncluster-test-XXXXXX";
  PCHECK(mkdtemp(path) != nullptr);
  path_ = path;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::operator/(absl::string_view name) const { return absl::StrCat(path_, "/", name); }

Program::Program(const std::vector<std::string>& args, const std::vector<std::string>& environment,
                 std::optional<int> network) {
  std::vector<std::string> argument_texts = args;
  std::vector<std::string> variable_texts = Environment(environment);
  const std::vector<char*> arguments = Pointers(argument_texts);
  const std::vector<char*> variables = Pointers(variable_texts);
  const int out = open((directory_ / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const int err = open((directory_ / "err").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  PCHECK(out >= 0 && err >= 0 && null >= 0);
  const pid_t parent = getpid();
  pid_ = fork();
  PCHECK(pid_ >= 0);
  if (pid_ == 0) {
    // Only what is safe in the child of a program with threads.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    if (network.has_value() && setns(*network, CLONE_NEWNET) != 0) _exit(126);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execvpe(arguments[0], arguments.data(), variables.data());
    _exit(127);
  }
  for (const int fd : {out, err, null}) close(fd);
}

Program::~Program() {
  if (exit_.has_value()) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Program::Signal(int number) const {
  if (!exit_.has_value()) PCHECK(kill(pid_, number) == 0);
}

std::optional<int> Program::Wait(absl::Duration limit) {
  Await(
      [this] {
        int wait_status = 0;
        if (exit_.has_value()) return true;
        if (waitpid(pid_, &wait_status, WNOHANG) != pid_) return false;
        exit_ = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -WTERMSIG(wait_status);
        return true;
      },
      limit);
  return exit_;
}

bool Program::AwaitOut(absl::string_view text) {
  Await([&] { return absl::StrContains(Out(), text) || Wait(absl::ZeroDuration()).has_value(); });
  return absl::StrContains(Out(), text);
}

std::vector<pid_t> Program::Descendants() const {
  std::vector<pid_t> descendants;
  AddDescendants(pid_, &descendants);
  return descendants;
}

}  // namespace actioncluster::cluster

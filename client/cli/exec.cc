#include "client/cli/exec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/cli/file_descriptor.h"
#include "client/clock.h"

namespace actioncluster::cli {
namespace {

struct Pipe {
  FileDescriptor read_end;
  FileDescriptor write_end;
};

absl::Status SystemError(absl::string_view what, int error) {
  const std::string message = absl::StrCat(what, ": ", std::strerror(error));
  return error == EAGAIN || error == EMFILE || error == ENFILE || error == ENOMEM ? absl::UnavailableError(message)
                                                                                  : absl::InternalError(message);
}

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError("cannot make a pipe", errno);
  return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

std::vector<std::string> EnvironmentOf(const Command& command) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    if (!command.environment.contains(std::string(text.substr(0, text.find('='))))) variables.emplace_back(text);
  }
  for (const auto& [name, value] : command.environment) variables.push_back(absl::StrCat(name, "=", value));
  return variables;
}

// posix_spawn rather than fork: there are other threads, and nothing of ours may run between fork and exec.
absl::StatusOr<pid_t> Spawn(const Command& command, int input, int output, int error_output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error_output, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD}) sigaddset(&signals, number);
  posix_spawnattr_setsigdefault(&attributes, &signals);

  std::array<std::string, 3> arguments = {"sh", "-c", command.line};
  char* const argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  std::vector<std::string> variables = EnvironmentOf(command);
  std::vector<char*> envp;
  envp.reserve(variables.size() + 1);
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, "/bin/sh", &actions, &attributes, argv, envp.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return SystemError("cannot run /bin/sh", error);
  return pid;
}

// One command while it runs: moves bytes and signals, and asks the core what they mean.
class Run {
 public:
  Run(pid_t pid, FileDescriptor process, Pipe input, Pipe output, Pipe error_output, absl::string_view bytes,
      ExecCore::Options options)
      : pid_(pid),
        process_(std::move(process)),
        input_(std::move(input.write_end)),
        output_(std::move(output.read_end)),
        error_output_(std::move(error_output.read_end)),
        unsent_(bytes),
        core_(options) {
    for (const FileDescriptor* each : {&input_, &output_, &error_output_}) fcntl(each->get(), F_SETFL, O_NONBLOCK);
    if (unsent_.empty()) input_.Close();
  }

  absl::StatusOr<std::string> Finish(const Event& cancelled, const Event* stop_all) {
    while (!core_.done()) {
      Wait(cancelled, stop_all);
      if (const std::optional<int> number = core_.TakeSignal(client::MonotonicNow()); number.has_value()) {
        // Its leader is not reaped yet: nobody else can have the group's number.
        kill(-pid_, *number);
      }
    }
    // What has closed its outputs and heeds no SIGTERM is still there.
    if (core_.stopped()) kill(-pid_, SIGKILL);
    int wait_status;
    while (waitpid(pid_, &wait_status, 0) < 0 && errno == EINTR) continue;
    return std::move(core_).Result();
  }

 private:
  void Wait(const Event& cancelled, const Event* stop_all) {
    enum { kCancelled, kStopAll, kProcess, kInput, kOutput, kErrorOutput, kCount };
    std::array<pollfd, kCount> watched;
    const auto watch = [&watched](int i, int fd, short events) { watched[static_cast<size_t>(i)] = {fd, events, 0}; };
    // A negative descriptor is not looked at. Both events stay set: once is enough.
    watch(kCancelled, stopping_ ? -1 : cancelled.fd(), POLLIN);
    watch(kStopAll, stopping_ || stop_all == nullptr ? -1 : stop_all->fd(), POLLIN);
    watch(kProcess, exited_ ? -1 : process_.get(), POLLIN);
    watch(kInput, input_.get(), POLLOUT);
    watch(kOutput, output_.get(), POLLIN);
    watch(kErrorOutput, error_output_.get(), POLLIN);
    const absl::Duration patience =
        std::clamp(core_.next_signal_at() - client::MonotonicNow(), absl::ZeroDuration(), absl::Hours(1));
    if (poll(watched.data(), watched.size(),
             static_cast<int>(absl::ToInt64Milliseconds(patience + absl::Microseconds(999)))) <= 0) {
      return;
    }
    if (watched[kCancelled].revents != 0 || watched[kStopAll].revents != 0) {
      stopping_ = true;
      core_.Cancel(client::MonotonicNow());
    }
    if (watched[kInput].revents != 0) Send();
    // What a process wrote before its end must be read before that end is told.
    const bool ended = watched[kProcess].revents != 0;
    if (watched[kOutput].revents != 0 || ended) {
      Receive(output_, [this](absl::string_view bytes) { core_.Output(bytes, client::MonotonicNow()); });
    }
    if (watched[kErrorOutput].revents != 0 || ended) {
      Receive(error_output_, [this](absl::string_view bytes) { core_.ErrorOutput(bytes); });
    }
    if (!output_.is_open() && !error_output_.is_open()) core_.OutputsClosed();
    if (ended) NoteEnd();
  }

  void Send() {
    const ssize_t written = write(input_.get(), unsent_.data(), unsent_.size());
    if (written > 0) unsent_.remove_prefix(static_cast<size_t>(written));
    // A command need not read what it is given.
    const bool failed = written < 0 && errno != EAGAIN && errno != EINTR;
    if (failed || unsent_.empty()) input_.Close();
  }

  // All that is there now; but in turns, so that one who writes without end leaves time for all else.
  template <class Take>
  void Receive(FileDescriptor& from, Take take) {
    constexpr int kMaxTurns = 64;
    for (int turn = 0; turn < kMaxTurns && from.is_open(); ++turn) {
      const ssize_t got = read(from.get(), buffer_.data(), buffer_.size());
      if (got > 0) {
        take(absl::string_view(buffer_.data(), static_cast<size_t>(got)));
      } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        from.Close();
      } else if (errno == EAGAIN) {
        return;
      }
    }
  }

  void NoteEnd() {
    siginfo_t info = {};
    // Without reaping it: its group may have to be signalled yet.
    if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != pid_) return;
    exited_ = true;
    // As waitpid encodes it.
    core_.Exited(info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status);
  }

  const pid_t pid_;
  const FileDescriptor process_;
  FileDescriptor input_;
  FileDescriptor output_;
  FileDescriptor error_output_;
  absl::string_view unsent_;
  bool stopping_ = false;
  bool exited_ = false;
  std::array<char, 65536> buffer_;
  ExecCore core_;
};

}  // namespace

absl::StatusOr<std::string> RunCommand(const Command& command, const Event& cancelled, const Event* stop_all,
                                       ExecCore::Options options) {
  std::array<Pipe, 3> pipes;
  for (Pipe& each : pipes) {
    absl::StatusOr<Pipe> made = MakePipe();
    if (!made.ok()) return made.status();
    each = *std::move(made);
  }
  auto& [input, output, error_output] = pipes;
  const absl::StatusOr<pid_t> pid =
      Spawn(command, input.read_end.get(), output.write_end.get(), error_output.write_end.get());
  if (!pid.ok()) return pid.status();
  // Ours would keep the command from seeing the end of its input, and us from seeing that of its outputs.
  input.read_end.Close();
  output.write_end.Close();
  error_output.write_end.Close();
  // Debian 12 declares pidfd_open for C only.
  FileDescriptor process(static_cast<int>(syscall(SYS_pidfd_open, *pid, 0)));
  if (!process.is_open()) {
    const absl::Status error = SystemError("cannot watch a process", errno);
    kill(-*pid, SIGKILL);
    waitpid(*pid, nullptr, 0);
    return error;
  }
  return Run(*pid, std::move(process), std::move(input), std::move(output), std::move(error_output), command.input,
             options)
      .Finish(cancelled, stop_all);
}

}  // namespace actioncluster::cli

#include "server/supervisor/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/supervisor/file_descriptor.h"

namespace actioncluster {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

void ResetSignals() {
  // A handler cannot survive exec, but an ignored signal does, and so does the mask.
  for (const int number :
       {SIGINT, SIGTERM, SIGCHLD, SIGPIPE, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH}) {
    signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// In the child, up to exec. Returns only on failure, with errno.
void Become(const ProcessSpec& spec, char** args, char** environment, pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return;
  if (getppid() != parent) _exit(1);  // It ended before the line above; nobody will signal us.
  setpgid(0, 0);
  ResetSignals();
  const int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0) return;
  if (null > STDERR_FILENO) close(null);
  if (spec.output >= 0 && (dup2(spec.output, STDOUT_FILENO) < 0 || dup2(spec.output, STDERR_FILENO) < 0)) return;
  for (const int fd : spec.inherited) {
    if (fcntl(fd, F_SETFD, 0) != 0) return;
  }
  execvpe(spec.program.c_str(), args, environment);
}

}  // namespace

absl::StatusOr<pid_t> Spawn(const ProcessSpec& spec) {
  // The child reports a failed exec through this pipe; a successful one closes it.
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return absl::InternalError(absl::StrCat("cannot make a pipe: ", std::strerror(errno)));
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  const std::vector<char*> args = Pointers(spec.args);
  const std::vector<char*> environment = Pointers(spec.environment);

  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return absl::InternalError(absl::StrCat("cannot start a process: ", std::strerror(errno)));
  if (child == 0) {
    Become(spec, const_cast<char**>(args.data()), const_cast<char**>(environment.data()), parent);
    const int error = errno;
    if (write(write_end.get(), &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }
  write_end.Close();
  int error = 0;
  ssize_t got;
  do {
    got = read(read_end.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof error) return child;
  waitpid(child, nullptr, 0);
  const std::string message = absl::StrCat("cannot run ", spec.program, ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(message) : absl::InternalError(message);
}

std::string DescribeExit(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int number = WTERMSIG(wait_status);
    return absl::StrCat("was killed by signal ", number, " (", strsignal(number), ")");
  }
  return absl::StrCat("exited with status ", WEXITSTATUS(wait_status));
}

}  // namespace actioncluster

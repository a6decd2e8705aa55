#include "server/supervisor/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "backplane/domain/clock.h"
#include "glog/logging.h"
#include "server/supervisor/address_file.h"
#include "server/supervisor/data_dir.h"
#include "server/supervisor/embedded_redis.h"
#include "server/supervisor/file_descriptor.h"
#include "server/supervisor/port_guard.h"
#include "server/supervisor/process.h"
#include "server/supervisor/supervisor_core.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kLockPatience = absl::Seconds(5);
constexpr absl::Duration kProbeEvery = absl::Milliseconds(5);
constexpr size_t kMaxReport = 4096;

std::vector<std::string> WorkerEnvironment(const Settings& settings) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!absl::StartsWith(*entry, "ACTIONCLUSTER_")) variables.emplace_back(*entry);
  }
  for (const auto& [name, value] : ToEnvironment(settings)) variables.push_back(absl::StrCat(name, "=", value));
  return variables;
}

// Takes SIGTERM, SIGINT and SIGCHLD out of the ordinary way and into a descriptor; puts things back at the end.
class Signals {
 public:
  Signals() {
    sigset_t ours;
    sigemptyset(&ours);
    for (const int number : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&ours, number);
    sigprocmask(SIG_BLOCK, &ours, &before_);
    fd_ = FileDescriptor(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
    PCHECK(fd_.is_open());
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

  int fd() const { return fd_.get(); }
  std::optional<int> Next() const {
    signalfd_siginfo info;
    if (read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
    return static_cast<int>(info.ssi_signo);
  }

 private:
  sigset_t before_;
  FileDescriptor fd_;
};

// Feeds the core with what happens to processes, and does what it says.
class Supervisor {
 public:
  Supervisor(Settings settings, WorkerProgram program, std::optional<EmbeddedRedis> redis, SupervisorOptions options)
      : settings_(std::move(settings)),
        program_(std::move(program)),
        redis_(std::move(redis)),
        core_(std::move(options)) {}

  absl::Status Run() {
    Do(core_.Start(MonotonicNow()));
    while (!core_.done()) {
      Wait();
      while (const std::optional<int> number = signals_.Next()) {
        // One SIGCHLD may stand for many, so children are looked for in every turn.
        if (*number != SIGCHLD) Do(core_.Signalled(MonotonicNow()));
      }
      for (auto& [slot, worker] : workers_) ReadReport(slot, worker);
      Reap();
      if (core_.probing() && redis_pid_ > 0) Probe();
      if (const absl::Time now = MonotonicNow(); now >= core_.next_deadline()) Do(core_.Tick(now));
    }
    return core_.result();
  }

 private:
  struct Worker {
    pid_t pid = 0;
    FileDescriptor report;  // Closed once it has reported.
    std::string text;
  };

  void Do(const SupervisorCore::Actions& actions);
  void StartRedis();
  void StartWorker(int slot);
  void Signal(pid_t pid, int number) const;
  void SignalWorker(int slot, int number) const;
  void Wait() const;
  void ReadReport(int slot, Worker& worker);
  void Reap();
  void Probe();

  const Settings settings_;
  const WorkerProgram program_;
  std::optional<EmbeddedRedis> redis_;
  SupervisorCore core_;
  Signals signals_;
  pid_t redis_pid_ = 0;
  std::map<int, Worker> workers_;  // Those that run, by slot.
};

void Supervisor::Do(const SupervisorCore::Actions& actions) {
  for (const SupervisorAction& action : actions) {
    switch (action.kind) {
      case SupervisorAction::Kind::kStartRedis:
        StartRedis();
        break;
      case SupervisorAction::Kind::kStopRedis:
        Signal(redis_pid_, SIGTERM);
        break;
      case SupervisorAction::Kind::kKillRedis:
        Signal(redis_pid_, SIGKILL);
        break;
      case SupervisorAction::Kind::kStartWorker:
        StartWorker(action.slot);
        break;
      case SupervisorAction::Kind::kStopWorker:
        SignalWorker(action.slot, SIGTERM);
        break;
      case SupervisorAction::Kind::kKillWorker:
        SignalWorker(action.slot, SIGKILL);
        break;
      case SupervisorAction::Kind::kSay:
        std::printf("actioncluster: %s\n", action.text.c_str());
        std::fflush(stdout);
        break;
      case SupervisorAction::Kind::kLog:
        LOG(WARNING) << action.text;
        break;
    }
  }
}

void Supervisor::StartRedis() {
  const absl::StatusOr<pid_t> pid = redis_->Start();
  if (pid.ok()) {
    redis_pid_ = *pid;
  } else {
    Do(core_.RedisEnded(absl::StrCat("could not be started (", pid.status().message(), ")"), MonotonicNow()));
  }
}

void Supervisor::StartWorker(int slot) {
  Worker& worker = workers_[slot];
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    const std::string why = absl::StrCat("cannot make a pipe: ", std::strerror(errno));
    workers_.erase(slot);
    Do(core_.WorkerFailed(slot, why, MonotonicNow()));
    Do(core_.WorkerEnded(slot, why, MonotonicNow()));
    return;
  }
  worker.report = FileDescriptor(ends[0]);
  const FileDescriptor write_end(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);

  ProcessSpec spec;
  spec.program = program_.path;
  spec.args = {"actioncluster", "node", "--slot", absl::StrCat(slot), "--ready-fd", absl::StrCat(ends[1])};
  spec.environment = WorkerEnvironment(settings_);
  spec.inherited = {ends[1]};
  const absl::StatusOr<pid_t> pid = Spawn(spec);
  if (!pid.ok()) {
    workers_.erase(slot);
    Do(core_.WorkerFailed(slot, pid.status().message(), MonotonicNow()));
    Do(core_.WorkerEnded(slot, "could not be started", MonotonicNow()));
    return;
  }
  worker.pid = *pid;
}

void Supervisor::Signal(pid_t pid, int number) const {
  // Zero would be our whole group. An ended child that is not reaped yet takes the signal without harm.
  if (pid > 0) kill(pid, number);
}

void Supervisor::SignalWorker(int slot, int number) const {
  if (const auto worker = workers_.find(slot); worker != workers_.end()) Signal(worker->second.pid, number);
}

void Supervisor::Wait() const {
  std::vector<pollfd> watched = {{.fd = signals_.fd(), .events = POLLIN, .revents = 0}};
  for (const auto& [slot, worker] : workers_) {
    if (worker.report.is_open()) watched.push_back({.fd = worker.report.get(), .events = POLLIN, .revents = 0});
  }
  absl::Duration patience = core_.next_deadline() - MonotonicNow();
  if (core_.probing()) patience = std::min(patience, kProbeEvery);
  // Rounded up, so that the deadline has passed when it wakes; at most a minute, as the units of poll end somewhere.
  const auto milliseconds =
      absl::ToInt64Milliseconds(std::clamp(patience, absl::ZeroDuration(), absl::Minutes(1)) + absl::Microseconds(999));
  poll(watched.data(), watched.size(), static_cast<int>(milliseconds));
}

void Supervisor::ReadReport(int slot, Worker& worker) {
  while (worker.report.is_open()) {
    char buffer[512];
    const ssize_t got = read(worker.report.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) worker.text.append(buffer, static_cast<size_t>(got));
    const size_t end = worker.text.find('\n');
    if (got > 0 && end == std::string::npos && worker.text.size() < kMaxReport) continue;
    worker.report.Close();
    absl::string_view line = absl::string_view(worker.text).substr(0, end);
    if (absl::ConsumePrefix(&line, "ready ")) {
      const size_t space = std::min(line.find(' '), line.size());
      Do(core_.WorkerReady(slot, line.substr(0, space), absl::StripPrefix(line.substr(space), " "), MonotonicNow()));
    } else if (absl::ConsumePrefix(&line, "failed ")) {
      Do(core_.WorkerFailed(slot, line, MonotonicNow()));
    }
    // Anything else is the end of a process that said nothing: its exit is heard of next.
    return;
  }
}

void Supervisor::Reap() {
  int wait_status;
  // Also children that we do not know: those that a shell had before it became this program.
  for (pid_t pid; (pid = waitpid(-1, &wait_status, WNOHANG)) > 0;) {
    if (pid == redis_pid_) {
      redis_pid_ = 0;
      Do(core_.RedisEnded(DescribeExit(wait_status), MonotonicNow()));
      continue;
    }
    const auto found = std::ranges::find_if(workers_, [pid](const auto& entry) { return entry.second.pid == pid; });
    if (found == workers_.end()) continue;
    const int slot = found->first;
    ReadReport(slot, found->second);  // Its last words come before its end.
    workers_.erase(slot);
    Do(core_.WorkerEnded(slot, DescribeExit(wait_status), MonotonicNow()));
  }
}

void Supervisor::Probe() {
  switch (redis_->Probe()) {
    case EmbeddedRedis::Health::kReady:
      Do(core_.RedisReady(MonotonicNow()));
      break;
    case EmbeddedRedis::Health::kLoading:
      Do(core_.RedisLoading(MonotonicNow()));
      break;
    case EmbeddedRedis::Health::kSilent:
      break;
  }
}

}  // namespace

absl::Status RunSupervisor(Settings settings, const WorkerProgram& program) {
  const absl::StatusOr<DataDir> data_dir = DataDir::Open(settings.data_dir, kLockPatience);
  if (!data_dir.ok()) return data_dir.status();
  AddressFile::Remove(settings.data_dir);
  const absl::StatusOr<PortGuard> ports = PortGuard::Take(settings.host, settings.port, settings.workers);
  if (!ports.ok()) return ports.status();
  const absl::StatusOr<AddressFile> address_file = AddressFile::Write(settings.data_dir, LocalAddresses(settings));
  if (!address_file.ok()) return address_file.status();
  if (settings.server_token_file.empty()) {
    absl::StatusOr<std::string> token_file = data_dir->ServerTokenFile();
    if (!token_file.ok()) return token_file.status();
    settings.server_token_file = *std::move(token_file);
  }

  SupervisorOptions options = {
      .workers = settings.workers,
      .embedded_redis = settings.redis.empty(),
      .redis_log = "",
      .ready_text = absl::StrCat("on ", HostPort(settings.host, settings.port), " (data in ", settings.data_dir, ")"),
      .drain_timeout = settings.drain_timeout,
  };
  std::optional<EmbeddedRedis> redis;
  if (options.embedded_redis) {
    absl::StatusOr<EmbeddedRedis> embedded = EmbeddedRedis::Create(settings.data_dir, data_dir->lock_fd());
    if (!embedded.ok()) return embedded.status();
    options.redis_log = embedded->log_path();
    settings.redis = embedded->url();
    redis = *std::move(embedded);
  }
  return Supervisor(std::move(settings), program, std::move(redis), std::move(options)).Run();
}

}  // namespace actioncluster

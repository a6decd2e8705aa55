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
#include <functional>
#include <map>
#include <optional>
#include <random>
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
#include "server/supervisor/control.h"
#include "server/supervisor/data_dir.h"
#include "server/supervisor/embedded_redis.h"
#include "server/supervisor/file_descriptor.h"
#include "server/supervisor/orders.h"
#include "server/supervisor/port_guard.h"
#include "server/supervisor/process.h"
#include "server/supervisor/service_notifier.h"
#include "server/supervisor/supervisor_core.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kLockPatience = absl::Seconds(5);
constexpr absl::Duration kProbeEvery = absl::Milliseconds(5);
constexpr size_t kMaxReport = 4096;
constexpr absl::Duration kAnswersWithin = absl::Seconds(10);

std::vector<std::string> WorkerEnvironment(const Settings& settings) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!absl::StartsWith(*entry, "ACTIONCLUSTER_")) variables.emplace_back(*entry);
  }
  for (const auto& [name, value] : ToEnvironment(settings)) variables.push_back(absl::StrCat(name, "=", value));
  return variables;
}

// Takes our signals out of the ordinary way and into a descriptor; puts things back at the end.
class Signals {
 public:
  Signals() {
    sigset_t ours;
    sigemptyset(&ours);
    for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH, SIGCHLD}) {
      sigaddset(&ours, number);
    }
    sigprocmask(SIG_BLOCK, &ours, &before_);
    fd_ = FileDescriptor(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
    PCHECK(fd_.is_open());
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() {
    // What comes in the last moment must not end us as if we knew nothing of it.
    while (Next().has_value()) {
    }
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

  int fd() const { return fd_.get(); }
  std::optional<signalfd_siginfo> Next() const {
    signalfd_siginfo info;
    if (read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
    return info;
  }

 private:
  sigset_t before_;
  FileDescriptor fd_;
};

// Feeds the core with what happens to processes and what is ordered, and does what it says.
class Supervisor {
 public:
  Supervisor(WorkerProgram program, std::optional<EmbeddedRedis> redis, ServiceNotifier notifier,
             SupervisorOptions options, OrdersOptions orders)
      : program_(std::move(program)),
        redis_(std::move(redis)),
        notifier_(std::move(notifier)),
        core_(std::move(options)),
        orders_(core_, WithPids(std::move(orders))) {}
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  absl::Status Run() {
    Do(core_.Start(MonotonicNow()));
    while (!core_.done()) {
      Wait();
      while (const std::optional<signalfd_siginfo> info = signals_.Next()) {
        // One SIGCHLD may stand for many, so children are looked for in every turn.
        if (info->ssi_signo != SIGCHLD) Do(orders_.Signalled(*info, MonotonicNow()));
      }
      Do(orders_.Asked(MonotonicNow()));
      for (auto& [slot, worker] : workers_) ReadReport(slot, worker);
      Reap();
      if (core_.probing() && redis_pid_ > 0) Probe();
      if (const absl::Time now = MonotonicNow(); now >= core_.next_deadline()) Do(core_.Tick(now));
      orders_.AnswerWhoWaited();
      Notify();
    }
    return core_.result();
  }

 private:
  struct Worker {
    pid_t pid = 0;
    FileDescriptor report;  // Closed once it has failed, or has no more to say.
    std::string text;
  };

  OrdersOptions WithPids(OrdersOptions orders) {
    orders.redis_pid = [this] { return redis_pid_; };
    orders.worker_pid = [this](int slot) {
      const auto found = workers_.find(slot);
      return found == workers_.end() ? 0 : found->second.pid;
    };
    return orders;
  }
  void Do(const SupervisorCore::Actions& actions);
  void StartRedis();
  void StartWorker(int slot);
  void Signal(pid_t pid, int number) const;
  void SignalWorker(int slot, int number) const;
  void Wait() const;
  void ReadReport(int slot, Worker& worker);
  void Hear(int slot, absl::string_view line);
  void Reap();
  void Probe();
  void Notify();

  const WorkerProgram program_;
  std::optional<EmbeddedRedis> redis_;
  const ServiceNotifier notifier_;
  SupervisorCore core_;
  Orders orders_;
  Signals signals_;
  std::optional<SupervisorCore::State> told_;  // To the service manager.
  absl::Time watchdog_at_ = absl::InfinitePast();
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
    Do(core_.WorkerEnded(slot, why, /*clean=*/false, MonotonicNow()));
    return;
  }
  worker.report = FileDescriptor(ends[0]);
  const FileDescriptor write_end(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);

  ProcessSpec spec;
  spec.program = program_.path;
  spec.args = {"actioncluster", "node", "--slot", absl::StrCat(slot), "--ready-fd", absl::StrCat(ends[1])};
  spec.environment = WorkerEnvironment(orders_.settings());
  spec.inherited = {ends[1]};
  const absl::StatusOr<pid_t> pid = Spawn(spec);
  if (!pid.ok()) {
    workers_.erase(slot);
    Do(core_.WorkerFailed(slot, pid.status().message(), MonotonicNow()));
    Do(core_.WorkerEnded(slot, "could not be started", /*clean=*/false, MonotonicNow()));
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
  orders_.Watch(&watched);
  absl::Duration patience = core_.next_deadline() - MonotonicNow();
  // Also while nobody answers: it may be said again as soon as somebody does.
  patience = std::min(patience, notifier_.watchdog_every());
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
    // At its end, what stands there is a line, too; if it is none, its exit is heard of next.
    if (got <= 0 || worker.text.size() > kMaxReport) worker.report.Close();
    for (size_t end; (end = worker.text.find('\n')) != std::string::npos;) {
      Hear(slot, absl::string_view(worker.text).substr(0, end));
      worker.text.erase(0, end + 1);
    }
  }
}

void Supervisor::Hear(int slot, absl::string_view line) {
  if (line == "alive") {
    core_.WorkerAlive(slot, MonotonicNow());
  } else if (absl::ConsumePrefix(&line, "ready ")) {
    const size_t space = std::min(line.find(' '), line.size());
    Do(core_.WorkerReady(slot, line.substr(0, space), absl::StripPrefix(line.substr(space), " "), MonotonicNow()));
  } else if (absl::ConsumePrefix(&line, "failed ")) {
    Do(core_.WorkerFailed(slot, line, MonotonicNow()));
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
    const bool clean = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
    Do(core_.WorkerEnded(slot, DescribeExit(wait_status), clean, MonotonicNow()));
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

void Supervisor::Notify() {
  using enum SupervisorCore::State;
  const absl::Time now = MonotonicNow();
  if (const SupervisorCore::State state = core_.state(); told_ != state) {
    const bool was_ready = told_.has_value() && told_ != kStarting;
    told_ = state;
    if (state == kStopping) notifier_.Send("STOPPING=1\nSTATUS=stopping");
    if (state == kRestarting && was_ready) {
      notifier_.Send(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", absl::ToUnixMicros(now),
                                  "\nSTATUS=restarting nodes, one after the other"));
    }
    if (state == kServing) notifier_.Send(absl::StrCat("READY=1\nMAINPID=", getpid(), "\nSTATUS=nodes serve"));
    if (state == kSuspended)
      notifier_.Send(absl::StrCat("READY=1\nMAINPID=", getpid(), "\nSTATUS=no nodes: suspended"));
  }
  if (notifier_.watchdog_every() == absl::InfiniteDuration() || now < watchdog_at_) return;
  if (!core_.AnyAnswers(kAnswersWithin, now)) return;
  watchdog_at_ = now + notifier_.watchdog_every();
  notifier_.Send("WATCHDOG=1");
}

// The settings that workers get, which need not ask where the data directory or Redis is.
absl::Status Complete(const DataDir& data_dir, const std::string& embedded_url, Settings& settings) {
  if (settings.server_token_file.empty()) {
    absl::StatusOr<std::string> token_file = data_dir.ServerTokenFile();
    if (!token_file.ok()) return token_file.status();
    settings.server_token_file = *std::move(token_file);
  }
  if (settings.redis.empty()) settings.redis = embedded_url;
  return absl::OkStatus();
}

double Random() {
  thread_local std::mt19937 generator(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(generator);
}

}  // namespace

absl::Status RunSupervisor(Settings settings, const WorkerProgram& program) {
  ServiceNotifier notifier = ServiceNotifier::FromEnvironment();
  const absl::StatusOr<DataDir> data_dir = DataDir::Open(settings.data_dir, kLockPatience);
  if (!data_dir.ok()) return data_dir.status();
  AddressFile::Remove(settings.data_dir);
  absl::StatusOr<PortGuard> ports = PortGuard::Take(settings.host, settings.port, settings.workers);
  if (!ports.ok()) return ports.status();
  absl::StatusOr<AddressFile> address_file = AddressFile::Write(settings.data_dir, LocalAddresses(settings));
  if (!address_file.ok()) return address_file.status();
  absl::StatusOr<ControlServer> control = ControlServer::Open(settings.data_dir);
  if (!control.ok()) return control.status();

  SupervisorOptions options = {
      .workers = settings.workers,
      .embedded_redis = settings.redis.empty(),
      .redis_log = "",
      .worker_log = absl::StrCat("the nodes' logs in ", settings.data_dir),
      .ready_text = absl::StrCat("on ", HostPort(settings.host, settings.port), " (data in ", settings.data_dir, ")"),
      .drain_timeout = settings.drain_timeout,
      .random = &Random,
  };
  std::optional<EmbeddedRedis> redis;
  std::string embedded_url;
  if (options.embedded_redis) {
    absl::StatusOr<EmbeddedRedis> embedded = EmbeddedRedis::Create(settings.data_dir, data_dir->lock_fd());
    if (!embedded.ok()) return embedded.status();
    options.redis_log = embedded->log_path();
    embedded_url = embedded->url();
    redis = *std::move(embedded);
  }
  if (const absl::Status complete = Complete(*data_dir, embedded_url, settings); !complete.ok()) return complete;
  std::function<absl::StatusOr<Settings>()> reload;
  if (program.reload != nullptr) {
    reload = [&]() -> absl::StatusOr<Settings> {
      absl::StatusOr<Settings> fresh = program.reload();
      if (!fresh.ok()) return fresh;
      if (const absl::Status complete = Complete(*data_dir, embedded_url, *fresh); !complete.ok()) return complete;
      return fresh;
    };
  }
  OrdersOptions orders = {.settings = std::move(settings),
                          .ports = *std::move(ports),
                          .address_file = *std::move(address_file),
                          .control = *std::move(control),
                          .reload = std::move(reload),
                          .worker_pid = {},
                          .redis_pid = {}};
  return Supervisor(program, std::move(redis), std::move(notifier), std::move(options), std::move(orders)).Run();
}

}  // namespace actioncluster

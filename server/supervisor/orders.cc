#include "server/supervisor/orders.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

constexpr int kMaxWorkers = 256;

// Those that cannot change while the supervisor lives: it holds the port and the directory, and nodes of one machine must find one another.
std::vector<std::string> FixedThatDiffer(const Settings& before, const Settings& after, bool embedded_redis) {
  std::vector<std::string> names;
  if (before.host != after.host) names.emplace_back("host");
  if (before.port != after.port) names.emplace_back("port");
  if (before.data_dir != after.data_dir) names.emplace_back("data-dir");
  if (before.cluster_namespace != after.cluster_namespace) names.emplace_back("namespace");
  // Another Redis of others may just be another password.
  if (embedded_redis ? before.redis != after.redis : after.redis.empty()) names.emplace_back("redis");
  return names;
}

const char* NameOf(SupervisorCore::State state) {
  switch (state) {
    case SupervisorCore::State::kStarting:
      return "starting";
    case SupervisorCore::State::kServing:
      return "serving";
    case SupervisorCore::State::kRestarting:
      return "restarting";
    case SupervisorCore::State::kSuspended:
      return "suspended";
    case SupervisorCore::State::kStopping:
      return "stopping";
  }
  return "";
}

const char* NameOf(const SupervisorCore::Worker& worker) {
  switch (worker.process) {
    case SupervisorCore::Process::kStarting:
      return "starting";
    case SupervisorCore::Process::kReady:
      return "ready";
    case SupervisorCore::Process::kStopping:
      return "stopping";
    case SupervisorCore::Process::kAbsent:
      break;
  }
  return worker.looping ? "looping" : worker.retired ? "retired" : "waiting";
}

}  // namespace

Orders::Actions Orders::Signalled(const signalfd_siginfo& info, absl::Time now) {
  // The kernel's own come from the terminal: its end, or its change of size.
  const bool by_terminal = info.ssi_code == SI_KERNEL;
  absl::StatusOr<Actions> actions = Actions();
  switch (static_cast<int>(info.ssi_signo)) {
    case SIGTERM:
    case SIGINT:
      return core_.Stop(now);
    case SIGQUIT:
      return core_.StopNow(now);
    case SIGUSR2:
      return core_.Restart(now);
    case SIGHUP:
      if (by_terminal) return core_.Stop(now);
      actions = Reload(now);
      break;
    case SIGTTIN:
      actions = Scale(core_.wanted() + (core_.state() == SupervisorCore::State::kSuspended ? 0 : 1), now);
      break;
    case SIGTTOU:
      actions = Scale(core_.wanted() - 1, now);
      break;
    case SIGWINCH:
      if (!by_terminal) return core_.Suspend(now);
      break;
    default:
      break;
  }
  if (actions.ok()) return *std::move(actions);
  LOG(WARNING) << "order refused: " << actions.status().message();
  return {};
}

Orders::Actions Orders::Asked(absl::Time now) {
  Actions actions;
  for (const ControlServer::Request& request : options_.control.Take()) {
    for (SupervisorAction& action : Obey(request, now)) actions.push_back(std::move(action));
  }
  return actions;
}

Orders::Actions Orders::Obey(const ControlServer::Request& request, absl::Time now) {
  absl::string_view words = request.line;
  if (words == "status") {
    options_.control.Answer(request.id, absl::StrCat("ok\n", Status().Format()));
    return {};
  }
  // Who asks to stop hears the end of the connection.
  if (words == "stop") return core_.state() == SupervisorCore::State::kStopping ? Actions() : core_.Stop(now);
  if (words == "stop now") return core_.StopNow(now);
  absl::StatusOr<Actions> actions = absl::InvalidArgumentError("there is no such order");
  int workers;
  if (core_.state() == SupervisorCore::State::kStopping) {
    actions = absl::FailedPreconditionError("it is stopping");
  } else if (words == "restart") {
    actions = core_.state() == SupervisorCore::State::kSuspended
                  ? absl::StatusOr<Actions>(absl::FailedPreconditionError("there are no nodes now; see scale"))
                  : core_.Restart(now);
  } else if (words == "reload") {
    actions = Reload(now);
  } else if (absl::ConsumePrefix(&words, "scale ") && absl::SimpleAtoi(words, &workers)) {
    actions = Scale(workers, now);
  }
  if (!actions.ok()) {
    Refuse(request.id, actions.status());
    return {};
  }
  waiting_.push_back(request.id);
  return *std::move(actions);
}

void Orders::AnswerWhoWaited() {
  if (waiting_.empty() || !core_.settled()) return;
  const bool looping = std::ranges::any_of(core_.workers(), [](const auto& worker) { return worker.looping; });
  for (const int id : waiting_) {
    if (looping) {
      Refuse(id, absl::UnavailableError("a node dies again and again before it serves; see status, and its log"));
    } else if (core_.outdated()) {
      Refuse(id, absl::AbortedError("the restart was given up; see the log"));
    } else {
      options_.control.Answer(id, "ok\n");
    }
  }
  waiting_.clear();
}

absl::StatusOr<Orders::Actions> Orders::Reload(absl::Time now) {
  if (core_.state() == SupervisorCore::State::kStopping) return Actions();
  absl::StatusOr<Settings> fresh = options_.reload == nullptr ? options_.settings : options_.reload();
  if (!fresh.ok()) return fresh.status();
  if (const std::vector<std::string> fixed = FixedThatDiffer(options_.settings, *fresh, core_.embedded_redis());
      !fixed.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("takes a stop and a start to change: ", absl::StrJoin(fixed, ", "), "; nothing was changed"));
  }
  if (const absl::Status grown = options_.ports.Grow(fresh->workers); !grown.ok()) return grown;
  options_.settings = *std::move(fresh);
  const absl::Status updated = options_.address_file.Update(LocalAddresses(options_.settings));
  LOG_IF(WARNING, !updated.ok()) << updated.message();
  return core_.Reload(options_.settings.workers, options_.settings.drain_timeout, now);
}

absl::StatusOr<Orders::Actions> Orders::Scale(int workers, absl::Time now) {
  if (core_.state() == SupervisorCore::State::kStopping) return Actions();
  if (workers < 1 || workers > kMaxWorkers) {
    return absl::InvalidArgumentError(
        absl::StrCat("there can be 1 … ", kMaxWorkers, " nodes; SIGWINCH takes all of them down"));
  }
  if (const absl::Status grown = options_.ports.Grow(workers); !grown.ok()) return grown;
  options_.settings.workers = workers;
  const absl::Status updated = options_.address_file.Update(LocalAddresses(options_.settings));
  LOG_IF(WARNING, !updated.ok()) << updated.message();
  return core_.Scale(workers, now);
}

void Orders::Refuse(int id, const absl::Status& status) {
  options_.control.Answer(id, absl::StrCat(static_cast<int>(status.code()), " ", status.message(), "\n"));
}

SupervisorStatus Orders::Status() const {
  SupervisorStatus status = {.pid = getpid(),
                             .state = NameOf(core_.state()),
                             .workers = core_.wanted(),
                             .redis = "external",
                             .redis_pid = options_.redis_pid(),
                             .nodes = {}};
  if (core_.embedded_redis()) {
    status.redis = core_.redis() == SupervisorCore::Process::kReady    ? "ready"
                   : core_.redis() == SupervisorCore::Process::kAbsent ? "absent"
                                                                       : "starting";
  }
  int slot = 0;
  for (const SupervisorCore::Worker& worker : core_.workers()) {
    const int pid = options_.worker_pid(++slot);
    // Those beyond are of interest only while they still run.
    if (pid == 0 && (slot > core_.wanted() || core_.state() == SupervisorCore::State::kSuspended)) continue;
    status.nodes.push_back({.slot = slot,
                            .pid = pid,
                            .state = NameOf(worker),
                            .name = worker.name,
                            .addresses = worker.addresses,
                            .restarts = worker.restarts});
  }
  return status;
}

}  // namespace actioncluster

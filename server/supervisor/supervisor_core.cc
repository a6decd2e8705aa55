#include "server/supervisor/supervisor_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace actioncluster {
namespace {

using enum SupervisorAction::Kind;

// The first death costs no time; those that follow soon, ever more.
absl::Duration RestartPause(size_t recent_deaths) {
  return recent_deaths <= 1 ? absl::ZeroDuration()
                            : absl::Milliseconds(100) * (1 << std::min<size_t>(recent_deaths - 2, 4));
}

}  // namespace

SupervisorCore::SupervisorCore(SupervisorOptions options)
    : options_(std::move(options)), workers_(static_cast<size_t>(options_.workers)) {}

SupervisorCore::Actions SupervisorCore::Start(absl::Time now) {
  Actions actions;
  if (options_.embedded_redis) {
    StartRedis(now, &actions);
  } else {
    phase_ = Phase::kStartingWorkers;
    StartNextWorker(now, &actions);
  }
  return actions;
}

SupervisorCore::Actions SupervisorCore::RedisReady(absl::Time now) {
  Actions actions;
  if (redis_ != Process::kStarting || stopping()) return actions;
  redis_ = Process::kReady;
  redis_deadline_ = absl::InfiniteFuture();
  if (phase_ == Phase::kStartingRedis) {
    phase_ = Phase::kStartingWorkers;
    StartNextWorker(now, &actions);
  } else {
    actions.push_back({.kind = kLog, .text = "embedded redis ready again"});
  }
  return actions;
}

SupervisorCore::Actions SupervisorCore::RedisLoading(absl::Time now) {
  // Reading a large file takes what it takes.
  if (redis_ == Process::kStarting) redis_deadline_ = now + kStartLimit;
  return {};
}

SupervisorCore::Actions SupervisorCore::RedisEnded(absl::string_view how, absl::Time now) {
  Actions actions;
  if (redis_ == Process::kAbsent) return actions;
  redis_ = Process::kAbsent;
  redis_deadline_ = absl::InfiniteFuture();
  if (phase_ == Phase::kStoppingRedis) {
    StopRedisIfIdle(now, &actions);
  } else if (phase_ == Phase::kStoppingWorkers) {
    actions.push_back({.kind = kLog, .text = absl::StrCat("embedded redis died while stopping: ", how)});
  } else if (phase_ == Phase::kStartingRedis) {
    Stop(absl::UnavailableError(
             absl::StrCat("the embedded redis-server ", how, " before it was ready; see ", options_.redis_log)),
         now, &actions);
  } else {
    RedisDied(how, now, &actions);
  }
  return actions;
}

void SupervisorCore::RedisDied(absl::string_view how, absl::Time now, Actions* actions) {
  std::erase_if(redis_deaths_, [now](absl::Time at) { return now - at >= kRedisDeathsWithin; });
  redis_deaths_.push_back(now);
  actions->push_back({.kind = kLog, .text = absl::StrCat("embedded redis died: ", how, "; see ", options_.redis_log)});
  if (redis_deaths_.size() >= kRedisDeaths) {
    Stop(absl::UnavailableError(absl::StrCat("the embedded redis-server died ", kRedisDeaths, " times within ",
                                             absl::FormatDuration(kRedisDeathsWithin), "; see ", options_.redis_log)),
         now, actions);
    return;
  }
  redis_deadline_ = now + RestartPause(redis_deaths_.size());
  if (redis_deadline_ <= now) StartRedis(now, actions);
}

SupervisorCore::Actions SupervisorCore::WorkerReady(int slot, absl::string_view name, absl::string_view addresses,
                                                    absl::Time now) {
  Actions actions;
  Worker& worker = workers_[static_cast<size_t>(slot) - 1];
  if (worker.process != Process::kStarting || stopping()) return actions;
  worker.process = Process::kReady;
  worker.name = std::string(name);
  actions.push_back({.kind = kSay, .text = absl::StrCat(name, " listens on ", addresses)});
  StartNextWorker(now, &actions);
  return actions;
}

SupervisorCore::Actions SupervisorCore::WorkerFailed(int slot, absl::string_view reason, absl::Time now) {
  Actions actions;
  if (workers_[static_cast<size_t>(slot) - 1].process != Process::kStarting || stopping()) return actions;
  Stop(absl::UnavailableError(absl::StrCat(Label(slot), ": ", reason)), now, &actions);
  return actions;
}

SupervisorCore::Actions SupervisorCore::WorkerEnded(int slot, absl::string_view how, absl::Time now) {
  Actions actions;
  Worker& worker = workers_[static_cast<size_t>(slot) - 1];
  if (worker.process == Process::kAbsent) return actions;
  const bool was_ready = worker.process == Process::kReady;
  worker.process = Process::kAbsent;
  if (stopping()) {
    StopRedisIfIdle(now, &actions);
    return actions;
  }
  if (!was_ready) {
    Stop(absl::UnavailableError(absl::StrCat(Label(slot), " ", how, " before it was ready")), now, &actions);
    return actions;
  }
  actions.push_back({.kind = kLog, .text = absl::StrCat("worker ended: ", Label(slot), " ", how)});
  if (phase_ == Phase::kServing && Living() == 0) {
    Stop(absl::UnavailableError("no node is left"), now, &actions);
  }
  return actions;
}

SupervisorCore::Actions SupervisorCore::Signalled(absl::Time now) {
  Actions actions;
  if (!stopping()) {
    Stop(absl::OkStatus(), now, &actions);
  } else if (phase_ == Phase::kStoppingWorkers) {
    KillWorkers(&actions);
  } else if (phase_ == Phase::kStoppingRedis) {
    actions.push_back({.kind = kKillRedis});
  }
  return actions;
}

SupervisorCore::Actions SupervisorCore::Tick(absl::Time now) {
  Actions actions;
  if (now >= redis_deadline_ && !stopping()) {
    if (redis_ == Process::kAbsent) {
      StartRedis(now, &actions);
    } else {
      redis_deadline_ = absl::InfiniteFuture();
      // Its end will be heard of, and is then handled as any other.
      actions.push_back({.kind = kLog, .text = "embedded redis does not answer: killed"});
      actions.push_back({.kind = kKillRedis});
    }
  }
  if (now < deadline_) return actions;
  deadline_ = absl::InfiniteFuture();
  if (phase_ == Phase::kStartingWorkers) {
    Stop(absl::DeadlineExceededError(
             absl::StrCat(Label(started_), " was not ready within ", absl::FormatDuration(kStartLimit))),
         now, &actions);
  } else if (phase_ == Phase::kStoppingWorkers) {
    actions.push_back({.kind = kLog, .text = "workers did not drain in time: killed"});
    KillWorkers(&actions);
  } else if (phase_ == Phase::kStoppingRedis) {
    actions.push_back({.kind = kLog, .text = "embedded redis did not stop in time: killed"});
    actions.push_back({.kind = kKillRedis});
  }
  return actions;
}

absl::Time SupervisorCore::next_deadline() const {
  return stopping() ? deadline_ : std::min(deadline_, redis_deadline_);
}

int SupervisorCore::Living() const {
  return static_cast<int>(
      std::ranges::count_if(workers_, [](const Worker& worker) { return worker.process != Process::kAbsent; }));
}

std::string SupervisorCore::Label(int slot) const {
  const std::string& name = workers_[static_cast<size_t>(slot) - 1].name;
  return name.empty() ? absl::StrCat("worker ", slot) : name;
}

void SupervisorCore::StartRedis(absl::Time now, Actions* actions) {
  redis_ = Process::kStarting;
  redis_deadline_ = now + kStartLimit;
  actions->push_back({.kind = kStartRedis});
}

void SupervisorCore::StartNextWorker(absl::Time now, Actions* actions) {
  if (started_ < options_.workers) {
    ++started_;
    workers_[static_cast<size_t>(started_) - 1].process = Process::kStarting;
    deadline_ = now + kStartLimit;
    actions->push_back({.kind = kStartWorker, .slot = started_});
    return;
  }
  phase_ = Phase::kServing;
  deadline_ = absl::InfiniteFuture();
  const int ready = Living();
  actions->push_back(
      {.kind = kSay,
       .text = absl::StrCat(ready, ready == 1 ? " node is ready " : " nodes are ready ", options_.ready_text)});
}

void SupervisorCore::Stop(absl::Status result, absl::Time now, Actions* actions) {
  result_ = std::move(result);
  phase_ = Phase::kStoppingWorkers;
  deadline_ = now + options_.drain_timeout + kDrainGrace;
  for (int slot = 1; slot <= started_; ++slot) {
    if (workers_[static_cast<size_t>(slot) - 1].process == Process::kAbsent) continue;
    actions->push_back({.kind = kStopWorker, .slot = slot});
  }
  StopRedisIfIdle(now, actions);
}

void SupervisorCore::KillWorkers(Actions* actions) const {
  for (int slot = 1; slot <= started_; ++slot) {
    if (workers_[static_cast<size_t>(slot) - 1].process == Process::kAbsent) continue;
    actions->push_back({.kind = kKillWorker, .slot = slot});
  }
}

void SupervisorCore::StopRedisIfIdle(absl::Time now, Actions* actions) {
  if (Living() > 0) return;
  if (redis_ == Process::kAbsent) {
    phase_ = Phase::kDone;
    deadline_ = absl::InfiniteFuture();
  } else if (phase_ != Phase::kStoppingRedis) {
    phase_ = Phase::kStoppingRedis;
    deadline_ = now + kRedisStopLimit;
    actions->push_back({.kind = kStopRedis});
  }
}

}  // namespace actioncluster

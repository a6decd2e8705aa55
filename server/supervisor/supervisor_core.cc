#include "server/supervisor/supervisor_core.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"

namespace actioncluster {
namespace {

using enum SupervisorAction::Kind;

// One more death at `now`; those of long ago are forgotten.
void CountDeath(std::vector<absl::Time>& deaths, absl::Time now) {
  std::erase_if(deaths, [now](absl::Time at) { return now - at >= SupervisorCore::kManyDeathsWithin; });
  deaths.push_back(now);
}

}  // namespace

SupervisorCore::SupervisorCore(SupervisorOptions options)
    : options_(std::move(options)), wanted_(options_.workers), workers_(static_cast<size_t>(options_.workers)) {}

SupervisorCore::Actions SupervisorCore::Start(absl::Time now) {
  Actions actions;
  if (options_.embedded_redis) {
    StartRedis(now, &actions);
  } else {
    phase_ = Phase::kStartingWorkers;
    Reconcile(now, &actions);
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
  } else {
    actions.push_back({.kind = kLog, .text = "embedded redis ready again"});
  }
  Reconcile(now, &actions);
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
    StopAll(absl::UnavailableError(
                absl::StrCat("the embedded redis-server ", how, " before it was ready; see ", options_.redis_log)),
            now, &actions);
  } else {
    RedisDied(how, now, &actions);
  }
  return actions;
}

void SupervisorCore::RedisDied(absl::string_view how, absl::Time now, Actions* actions) {
  CountDeath(redis_deaths_, now);
  actions->push_back({.kind = kLog, .text = absl::StrCat("embedded redis died: ", how, "; see ", options_.redis_log)});
  if (redis_deaths_.size() >= kManyDeaths) {
    StopAll(absl::UnavailableError(absl::StrCat("the embedded redis-server died ", kManyDeaths, " times within ",
                                                absl::FormatDuration(kManyDeathsWithin), "; see ", options_.redis_log)),
            now, actions);
    return;
  }
  redis_deadline_ = now + Pause(redis_deaths_.size());
  if (redis_deadline_ <= now) StartRedis(now, actions);
}

SupervisorCore::Actions SupervisorCore::WorkerReady(int slot, absl::string_view name, absl::string_view addresses,
                                                    absl::Time now) {
  Actions actions;
  Worker& worker = At(slot);
  if (worker.process != Process::kStarting || stopping()) return actions;
  worker.process = Process::kReady;
  worker.name = std::string(name);
  worker.addresses = std::string(addresses);
  worker.looping = false;
  worker.false_starts.clear();
  worker.ready_at = now;
  // One that said before that it lives has to go on so, from its first moment.
  worker.deadline = worker.listened ? now + kSilence : absl::InfiniteFuture();
  actions.push_back({.kind = kSay, .text = absl::StrCat(name, " listens on ", addresses)});
  Reconcile(now, &actions);
  return actions;
}

SupervisorCore::Actions SupervisorCore::WorkerFailed(int slot, absl::string_view reason, absl::Time now) {
  Actions actions;
  Worker& worker = At(slot);
  if (worker.process != Process::kStarting || stopping()) return actions;
  worker.reason = std::string(reason);
  if (starting()) StopAll(absl::UnavailableError(absl::StrCat(Label(slot), ": ", reason)), now, &actions);
  return actions;
}

void SupervisorCore::WorkerAlive(int slot, absl::Time now) {
  Worker& worker = At(slot);
  if (worker.process == Process::kStarting) worker.listened = true;
  if (worker.process != Process::kReady) return;
  worker.listened = true;
  worker.suspect = false;
  worker.deadline = now + kSilence;
}

SupervisorCore::Actions SupervisorCore::WorkerEnded(int slot, absl::string_view how, bool clean, absl::Time now) {
  Actions actions;
  Worker& worker = At(slot);
  const Process before = worker.process;
  if (before == Process::kAbsent) return actions;
  worker.process = Process::kAbsent;
  if (stopping()) {
    StopRedisIfIdle(now, &actions);
    return actions;
  }
  if (before == Process::kStopping) {
    worker.fresh = false;
    worker.deadline = now;
  } else if (before == Process::kStarting && starting()) {
    StopAll(absl::UnavailableError(absl::StrCat(Label(slot), " ", how, " before it was ready")), now, &actions);
    return actions;
  } else if (before == Process::kReady && clean) {
    worker.retired = true;
    actions.push_back({.kind = kLog, .text = absl::StrCat("worker was told to stop: ", Label(slot), " ", how)});
  } else {
    WorkerDied(slot, how, now, &actions);
  }
  Reconcile(now, &actions);
  return actions;
}

void SupervisorCore::WorkerDied(int slot, absl::string_view how, absl::Time now, Actions* actions) {
  Worker& worker = At(slot);
  const bool served = worker.ready_at > absl::InfinitePast();
  worker.deaths = served && now - worker.ready_at >= kSteady ? 1 : worker.deaths + 1;
  ++worker.restarts;
  worker.fresh = false;
  worker.deadline = now + Pause(static_cast<size_t>(worker.deaths));
  std::string text = absl::StrCat("worker died: ", Label(slot), " ", how);
  if (!served) {
    absl::StrAppend(&text, " before it was ready");
    if (!worker.reason.empty()) absl::StrAppend(&text, " (", worker.reason, ")");
    CountDeath(worker.false_starts, now);
    if (worker.looping) worker.deadline = now + kLoopPause;
  }
  actions->push_back({.kind = kLog, .text = text});
  if (worker.false_starts.size() < kManyDeaths || worker.looping) return;

  worker.looping = true;
  worker.deadline = now + kLoopPause;
  const std::string loop =
      absl::StrCat(Label(slot), " died ", kManyDeaths, " times within ", absl::FormatDuration(kManyDeathsWithin),
                   " before it served", worker.reason.empty() ? "" : absl::StrCat(" (", worker.reason, ")"), "; see ",
                   options_.worker_log);
  actions->push_back({.kind = kLog, .text = absl::StrCat("crash loop: ", loop)});
  if (AllAre([](const Worker& each) { return each.looping || each.retired; })) {
    StopAll(absl::UnavailableError(loop), now, actions);
  } else if (rolling_) {
    rolling_ = false;
    actions->push_back({.kind = kLog, .text = "rolling restart given up: those that are left go on as they are"});
  }
}

void SupervisorCore::Reconcile(absl::Time now, Actions* actions) {
  if (stopping()) return;
  const int slots = static_cast<int>(workers_.size());
  for (int slot = slots; slot >= 1; --slot) {
    Worker& worker = At(slot);
    if (Wanted(slot)) continue;
    if (worker.process == Process::kStarting || worker.process == Process::kReady) {
      StopWorker(slot, now, actions);
    } else if (worker.process == Process::kAbsent) {
      worker = Worker{};
    }
  }
  for (int slot = 1; slot <= slots && RedisServes(); ++slot) {
    const Worker& worker = At(slot);
    if (!Wanted(slot) || worker.process != Process::kAbsent || worker.retired) continue;
    if (worker.fresh ? !AnyStarting() : worker.deadline <= now) StartWorker(slot, now, actions);
  }
  if (phase_ == Phase::kStartingWorkers &&
      AllAre([](const Worker& worker) { return worker.process == Process::kReady || worker.retired; })) {
    phase_ = Phase::kServing;
    if (!suspended_) {
      const int ready = Living();
      actions->push_back(
          {.kind = kSay,
           .text = absl::StrCat(CountNodes(ready), ready == 1 ? " is ready " : " are ready ", options_.ready_text)});
    }
  }
  if (!suspended_ && AllAre([](const Worker& worker) { return worker.retired; })) {
    StopAll(absl::UnavailableError("no node is left"), now, actions);
    return;
  }
  Roll(now, actions);
}

void SupervisorCore::Roll(absl::Time now, Actions* actions) {
  if (!rolling_ || !RedisServes() ||
      !AllAre([](const Worker& worker) { return worker.process == Process::kReady || worker.retired; })) {
    return;
  }
  for (int slot = 1; slot <= wanted_; ++slot) {
    const Worker& worker = At(slot);
    if (worker.process != Process::kReady || worker.generation == generation_) continue;
    StopWorker(slot, now, actions);
    return;
  }
  rolling_ = false;
  actions->push_back({.kind = kSay, .text = absl::StrCat("has restarted ", CountNodes(wanted_))});
}

void SupervisorCore::StartWorker(int slot, absl::Time now, Actions* actions) {
  Worker& worker = At(slot);
  worker.process = Process::kStarting;
  worker.reason.clear();
  worker.listened = false;
  worker.suspect = false;
  worker.generation = generation_;
  worker.ready_at = absl::InfinitePast();
  worker.deadline = now + kStartLimit;
  actions->push_back({.kind = kStartWorker, .slot = slot});
}

void SupervisorCore::StopWorker(int slot, absl::Time now, Actions* actions) {
  Worker& worker = At(slot);
  worker.process = Process::kStopping;
  worker.deadline = now + options_.drain_timeout + kDrainGrace;
  actions->push_back({.kind = kStopWorker, .slot = slot});
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
  for (int slot = 1; slot <= static_cast<int>(workers_.size()) && !stopping(); ++slot) {
    if (now >= At(slot).deadline) TickWorker(slot, now, &actions);
  }
  Reconcile(now, &actions);
  if (now < deadline_) return actions;
  deadline_ = absl::InfiniteFuture();
  if (phase_ == Phase::kStoppingWorkers) {
    actions.push_back({.kind = kLog, .text = "workers did not drain in time: killed"});
    KillWorkers(&actions);
  } else if (phase_ == Phase::kStoppingRedis) {
    actions.push_back({.kind = kLog, .text = "embedded redis did not stop in time: killed"});
    actions.push_back({.kind = kKillRedis});
  }
  return actions;
}

// Whom it kills ends, and that is handled as any other end.
void SupervisorCore::TickWorker(int slot, absl::Time now, Actions* actions) {
  Worker& worker = At(slot);
  if (worker.process == Process::kAbsent) return;
  if (worker.process == Process::kReady && !worker.suspect) {
    // It may be us who did not listen: a machine that stood still.
    worker.suspect = true;
    worker.deadline = now + kLastWord;
    return;
  }
  if (worker.process == Process::kStarting && starting()) {
    StopAll(absl::DeadlineExceededError(
                absl::StrCat(Label(slot), " was not ready within ", absl::FormatDuration(kStartLimit))),
            now, actions);
    return;
  }
  const absl::string_view why = worker.process == Process::kStarting   ? " was not ready in time: killed"
                                : worker.process == Process::kStopping ? " did not drain in time: killed"
                                                                       : " does not answer: killed";
  worker.deadline = absl::InfiniteFuture();
  actions->push_back({.kind = kLog, .text = absl::StrCat(Label(slot), why)});
  actions->push_back({.kind = kKillWorker, .slot = slot});
}

absl::Time SupervisorCore::next_deadline() const {
  if (stopping()) return deadline_;
  absl::Time next = redis_deadline_;
  for (const Worker& worker : workers_) {
    if (worker.process == Process::kAbsent && (worker.fresh || worker.retired || !RedisServes())) continue;
    next = std::min(next, worker.deadline);
  }
  return next;
}

bool SupervisorCore::AnyAnswers(absl::Duration limit, absl::Time now) const {
  bool awaited = false;
  for (const Worker& worker : workers_) {
    if (worker.process != Process::kReady || !worker.listened) continue;
    // When it was heard of last: its limit began then.
    if (!worker.suspect && now - (worker.deadline - kSilence) <= limit) return true;
    awaited = true;
  }
  return !awaited;
}

SupervisorCore::State SupervisorCore::state() const {
  if (stopping()) return State::kStopping;
  if (starting()) return State::kStarting;
  if (suspended_) return State::kSuspended;
  return rolling_ ? State::kRestarting : State::kServing;
}

bool SupervisorCore::settled() const {
  if (starting() || stopping() || rolling_ || !RedisServes()) return false;
  for (int slot = 1; slot <= static_cast<int>(workers_.size()); ++slot) {
    const Worker& worker = At(slot);
    if (!Wanted(slot) ? worker.process != Process::kAbsent
                      : worker.process != Process::kReady && !worker.retired && !worker.looping) {
      return false;
    }
  }
  return true;
}

bool SupervisorCore::outdated() const {
  return std::ranges::any_of(workers_, [this](const Worker& worker) {
    return worker.process == Process::kReady && worker.generation != generation_;
  });
}

bool SupervisorCore::AllAre(const std::function<bool(const Worker&)>& predicate) const {
  for (int slot = 1; slot <= static_cast<int>(workers_.size()); ++slot) {
    if (Wanted(slot) && !predicate(At(slot))) return false;
  }
  return true;
}

std::string SupervisorCore::CountNodes(int count) { return absl::StrCat(count, count == 1 ? " node" : " nodes"); }

bool SupervisorCore::AnyStarting() const {
  return std::ranges::any_of(workers_, [](const Worker& worker) { return worker.process == Process::kStarting; });
}

int SupervisorCore::Living() const {
  return static_cast<int>(
      std::ranges::count_if(workers_, [](const Worker& worker) { return worker.process != Process::kAbsent; }));
}

std::string SupervisorCore::Label(int slot) const {
  const std::string& name = At(slot).name;
  return name.empty() ? absl::StrCat("worker ", slot) : name;
}

// The first death costs no time; those that follow soon, ever more.
absl::Duration SupervisorCore::Pause(size_t recent_deaths) const {
  if (recent_deaths <= 1) return absl::ZeroDuration();
  const absl::Duration pause = std::min(
      absl::Milliseconds(100) * std::exp2(std::min<double>(static_cast<double>(recent_deaths) - 2, 16)), kMaxPause);
  return pause * (0.75 + 0.5 * options_.random());
}

void SupervisorCore::StartRedis(absl::Time now, Actions* actions) {
  redis_ = Process::kStarting;
  redis_deadline_ = now + kStartLimit;
  actions->push_back({.kind = kStartRedis});
}

void SupervisorCore::StopAll(absl::Status result, absl::Time now, Actions* actions) {
  result_ = std::move(result);
  phase_ = Phase::kStoppingWorkers;
  deadline_ = now + options_.drain_timeout + kDrainGrace;
  for (int slot = 1; slot <= static_cast<int>(workers_.size()); ++slot) {
    const Process process = At(slot).process;
    if (process == Process::kStarting || process == Process::kReady) StopWorker(slot, now, actions);
  }
  StopRedisIfIdle(now, actions);
}

void SupervisorCore::KillWorkers(Actions* actions) const {
  for (int slot = 1; slot <= static_cast<int>(workers_.size()); ++slot) {
    if (At(slot).process != Process::kAbsent) actions->push_back({.kind = kKillWorker, .slot = slot});
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

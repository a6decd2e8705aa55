// The part of SupervisorCore that is told what to do; what happens by itself is in supervisor_core.cc.

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "server/supervisor/supervisor_core.h"

namespace actioncluster {

using enum SupervisorAction::Kind;

SupervisorCore::Actions SupervisorCore::Stop(absl::Time now) {
  Actions actions;
  if (!stopping()) {
    StopAll(absl::OkStatus(), now, &actions);
  } else if (phase_ == Phase::kStoppingWorkers) {
    KillWorkers(&actions);
  } else if (phase_ == Phase::kStoppingRedis) {
    actions.push_back({.kind = kKillRedis});
  }
  return actions;
}

SupervisorCore::Actions SupervisorCore::StopNow(absl::Time now) {
  Actions actions;
  if (!stopping()) {
    result_ = absl::OkStatus();
    phase_ = Phase::kStoppingWorkers;
    deadline_ = now + kDrainGrace;
    StopRedisIfIdle(now, &actions);
  }
  // Redis is let go as ever: it writes what it has acknowledged.
  if (phase_ == Phase::kStoppingWorkers) KillWorkers(&actions);
  return actions;
}

SupervisorCore::Actions SupervisorCore::Restart(absl::Time now) {
  Actions actions;
  if (stopping()) return actions;
  if (suspended_) {
    actions.push_back({.kind = kLog, .text = "no restart: there are no nodes now"});
    return actions;
  }
  ++generation_;
  rolling_ = true;
  Resume();
  actions.push_back({.kind = kSay, .text = absl::StrCat("restarts ", CountNodes(wanted_), ", one after the other")});
  Reconcile(now, &actions);
  return actions;
}

SupervisorCore::Actions SupervisorCore::Reload(int workers, absl::Duration drain_timeout, absl::Time now) {
  if (stopping()) return {};
  options_.drain_timeout = drain_timeout;
  wanted_ = workers;
  if (workers_.size() < static_cast<size_t>(workers)) workers_.resize(static_cast<size_t>(workers));
  suspended_ = false;
  return Restart(now);
}

SupervisorCore::Actions SupervisorCore::Scale(int workers, absl::Time now) {
  Actions actions;
  if (stopping() || workers < 1) return actions;
  wanted_ = workers;
  if (workers_.size() < static_cast<size_t>(workers)) workers_.resize(static_cast<size_t>(workers));
  suspended_ = false;
  Resume();
  actions.push_back({.kind = kSay, .text = absl::StrCat("has ", CountNodes(wanted_), " from now on")});
  Reconcile(now, &actions);
  return actions;
}

SupervisorCore::Actions SupervisorCore::Suspend(absl::Time now) {
  Actions actions;
  if (stopping() || suspended_) return actions;
  suspended_ = true;
  rolling_ = false;
  actions.push_back({.kind = kSay, .text = "stops all nodes, and waits"});
  Reconcile(now, &actions);
  return actions;
}

// Those that went away, or never served, have a new chance.
void SupervisorCore::Resume() {
  for (Worker& worker : workers_) {
    if (worker.process != Process::kAbsent || !(worker.retired || worker.looping)) continue;
    worker.retired = worker.looping = false;
    worker.false_starts.clear();
    worker.deaths = 0;
    worker.fresh = true;
  }
}

}  // namespace actioncluster

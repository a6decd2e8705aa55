#include "server/workers/worker_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

// Looked at so often at least, whatever the lease: waits have to be renewed too.
constexpr absl::Duration kMostTick = absl::Seconds(5);
// Revocations that came before it was known who has the tasks.
constexpr size_t kMostEarly = 4096;

// What the node says of a lease itself.
TaskOutcome Of(const LeaseRef& lease, TaskOutcome::Kind kind, std::string worker, absl::Status error) {
  TaskOutcome outcome;
  outcome.kind = kind;
  outcome.id = lease.id;
  outcome.token = lease.token;
  outcome.worker = std::move(worker);
  outcome.error = std::move(error);
  return outcome;
}

absl::Duration TickOf(absl::Duration lease) { return std::min(lease / 6, kMostTick); }

}  // namespace

void WorkerTable::SetNode(NodeRef self, bool serving) {
  const bool other_boot = self.boot != self_.boot;
  const bool anew = serving && (other_boot || !serving_);
  self_ = std::move(self);
  serving_ = serving;
  if (!anew) return;
  for (auto& [name, queue] : queues_) {
    LookAgainAt(name, queue);
    for (auto& [group, interest] : queue.interests) {
      if (other_boot) interest.waiting = false;
    }
  }
}

WorkerTable::WorkerId WorkerTable::Attach(WorkerSpec spec, std::string worker_id, std::shared_ptr<Worker> stream,
                                          absl::Time now) {
  const WorkerId id = next_worker_++;
  State& worker = workers_[id];
  worker.worker_id = std::move(worker_id);
  worker.spec = std::move(spec);
  worker.stream = std::move(stream);
  worker.last_heard = now;
  std::set<std::string> seen;
  std::erase_if(worker.spec.queues, [&seen](const std::string& queue) { return !seen.insert(queue).second; });
  const std::set<std::string> names(worker.spec.names.begin(), worker.spec.names.end());
  worker.spec.names.assign(names.begin(), names.end());
  tick_ = std::min(tick_, now + TickOf(lease_));
  if (draining_) {
    worker.stream->SendDraining(alternatives_);
  } else {
    Enlist(id, worker);
  }
  return id;
}

void WorkerTable::Enlist(WorkerId id, State& worker) {
  std::shared_ptr<Group>& group = groups_[worker.spec.names];
  if (group == nullptr)
    group = std::make_shared<Group>(
        Group{.id = next_group_++, .names = worker.spec.names, .workers = {}, .asked_last = {}});
  worker.group = group;
  worker.takes = true;
  group->workers.insert(id);
  if (!worker.spec.all_queues) {
    for (const std::string& queue : worker.spec.queues) ++Want(queue, group).listed;
    return;
  }
  ++all_queues_;
  ++group->all_queues;
  for (auto& [name, queue] : queues_) {
    if (queue.known) Want(name, group);
  }
}

// It takes nothing more. What it has stays with it.
void WorkerTable::Withdraw(WorkerId id, State& worker) {
  if (!worker.takes) return;
  worker.takes = false;
  const std::shared_ptr<Group> group = worker.group;
  group->workers.erase(id);
  if (group->workers.empty()) groups_.erase(group->names);
  std::vector<std::string> left = worker.spec.queues;
  if (worker.spec.all_queues) {
    --all_queues_;
    --group->all_queues;
    left.clear();
    for (auto& [name, queue] : queues_) {
      if (all_queues_ == 0) queue.known = false;
      left.push_back(name);
    }
  }
  for (const std::string& name : left) {
    const auto queue = queues_.find(name);
    const auto interest = queue->second.interests.find(group->id);
    if (interest != queue->second.interests.end()) {
      if (!worker.spec.all_queues) --interest->second.listed;
      LeaveIfUntaken(name, queue->second, group->id);
    }
    ForgetIfIdle(name);
  }
}

void WorkerTable::Heard(WorkerId id, absl::Time now) {
  State* worker = Find(id);
  if (worker == nullptr) return;
  const bool was_silent = IsSilent(*worker, now);
  worker->last_heard = now;
  if (was_silent) Renew(id, *worker, now);
}

void WorkerTable::HeardAll(absl::Time now) {
  for (const auto& [id, worker] : workers_) Heard(id, now);
}

void WorkerTable::Settle(WorkerId id, std::vector<WorkerOutcome> outcomes) {
  State* worker = Find(id);
  if (worker == nullptr) return;
  for (WorkerOutcome& outcome : outcomes) SettleOne(id, *worker, std::move(outcome));
  CloseIfDone(id);
}

void WorkerTable::SettleOne(WorkerId id, State& worker, WorkerOutcome said) {
  TaskOutcome& outcome = said.outcome;
  const LeaseRef ref{said.queue, outcome.id, outcome.token};
  const bool progress = outcome.kind == TaskOutcome::Kind::kProgress;
  const auto lease = worker.leases.find(ref);
  if (lease == worker.leases.end()) {
    worker.stream->SendRevoked(ref, RevokeReason::kLeaseLost);
    return;
  }
  if (lease->second.state == LeaseState::kSettling) return;  // It says the same thing twice.
  if (lease->second.state == LeaseState::kRevoked) {
    if (said.ends) worker.leases.erase(lease);
    return;
  }
  outcome.worker = NameOf(worker);
  if (!said.ends && !progress) {
    HandIn(0, said.queue, std::move(outcome));
    return Revoke(id, worker, ref, RevokeReason::kInvalid);
  }
  if (progress && lease->second.progress != nullptr) {
    lease->second.progress->outcome = std::move(outcome);
    return;
  }
  if (progress) {
    lease->second.progress = HandIn(id, said.queue, std::move(outcome));
    return;
  }
  by_deadline_.erase({lease->second.deadline, id, ref});
  lease->second.state = LeaseState::kSettling;
  ++worker.settling;
  --running_;
  HandIn(id, said.queue, std::move(outcome));
}

void WorkerTable::Stop(WorkerId id) {
  State* worker = Find(id);
  if (worker == nullptr) return;
  worker->stopping = true;
  Withdraw(id, *worker);
  CloseIfDone(id);
}

void WorkerTable::CloseIfDone(WorkerId id) {
  const State* worker = Find(id);
  if (worker == nullptr || !worker->stopping || !worker->leases.empty()) return;
  Evict(id, absl::OkStatus());
}

void WorkerTable::Evict(WorkerId id, const absl::Status& why) {
  const std::shared_ptr<Worker> stream = workers_.at(id).stream;
  Detach(id);
  stream->Close(why);
}

void WorkerTable::Detach(WorkerId id) {
  State* worker = Find(id);
  if (worker == nullptr) return;
  Withdraw(id, *worker);
  const std::string name = NameOf(*worker);
  const std::map<LeaseRef, Lease> leases = std::move(worker->leases);
  workers_.erase(id);
  if (workers_.empty()) tick_ = absl::InfiniteFuture();
  for (const auto& [ref, lease] : leases) {
    if (lease.state != LeaseState::kRunning) continue;
    by_deadline_.erase({lease.deadline, id, ref});
    --running_;
    GiveBack(ref, TaskOutcome::Kind::kReturned, name);
  }
}

void WorkerTable::Drain(std::vector<std::string> alternatives) {
  draining_ = true;
  alternatives_ = std::move(alternatives);
  for (auto& [id, worker] : workers_) {
    Withdraw(id, worker);
    worker.stream->SendDraining(alternatives_);
  }
}

void WorkerTable::CloseAll(const absl::Status& why) {
  while (!workers_.empty()) Evict(workers_.begin()->first, why);
}

void WorkerTable::OnRevoked(const LeaseRef& ref, bool cancelled) {
  for (auto& [id, worker] : workers_) {
    const auto lease = worker.leases.find(ref);
    if (lease == worker.leases.end()) continue;
    if (lease->second.state == LeaseState::kRunning) {
      Revoke(id, worker, ref, cancelled ? RevokeReason::kCancelled : RevokeReason::kLeaseLost);
    }
    return;
  }
  // Its message may have overtaken the answer of the turn that leased it.
  const auto queue = queues_.find(ref.queue);
  if (queue == queues_.end() || !queue->second.flight.has_value()) return;
  std::vector<LeaseRef>& early = queue->second.flight->revoked;
  if (early.size() < kMostEarly) early.push_back(ref);
}

void WorkerTable::Revoke(WorkerId id, State& worker, const LeaseRef& ref, RevokeReason reason) {
  Lease& lease = worker.leases.at(ref);
  by_deadline_.erase({lease.deadline, id, ref});
  lease.state = LeaseState::kRevoked;
  --running_;
  worker.stream->SendRevoked(ref, reason);
}

WorkerTable::Pending* WorkerTable::HandIn(WorkerId from, const std::string& queue, TaskOutcome outcome) {
  ++unsettled_;
  due_.insert(queue);
  std::list<Pending>& outcomes = queues_[queue].outcomes;
  outcomes.push_back({.from = from, .outcome = std::move(outcome)});
  return &outcomes.back();
}

void WorkerTable::GiveBack(const LeaseRef& lease, TaskOutcome::Kind kind, const std::string& worker) {
  absl::Status why;
  if (kind == TaskOutcome::Kind::kReturned) {
    why = MakeError(v1::ERROR_REASON_HANDLER_FAILED, "its worker went away while it had the task");
  }
  HandIn(0, lease.queue, Of(lease, kind, worker, std::move(why)));
}

// Those of its leases that were not renewed since then.
void WorkerTable::Renew(WorkerId id, State& worker, absl::Time not_since) {
  for (auto& [ref, lease] : worker.leases) {
    if (lease.state != LeaseState::kRunning || lease.renewing || lease.renewed_at > not_since) continue;
    lease.renewing = true;
    queues_[ref.queue].renewals.emplace_back(id, TaskTurn::Renewal{.id = ref.id, .token = ref.token});
    due_.insert(ref.queue);
  }
}

void WorkerTable::Expire(absl::Time now) {
  while (!by_deadline_.empty() && std::get<0>(*by_deadline_.begin()) <= now) {
    const auto [deadline, id, ref] = *by_deadline_.begin();
    State& worker = workers_.at(id);
    const absl::Status late = absl::DeadlineExceededError("the attempt took longer than the task's timeout");
    HandIn(0, ref.queue, Of(ref, TaskOutcome::Kind::kFailed, NameOf(worker), HandlerError(ToProto(late))));
    Revoke(id, worker, ref, RevokeReason::kTimeout);
  }
  if (tick_ <= now) {
    tick_ = now + TickOf(lease_);
    for (auto& [id, worker] : workers_) {
      if (!IsSilent(worker, now)) Renew(id, worker, now - lease_ / 12);
    }
  }
  while (!put_off_.empty() && put_off_.begin()->first <= now) {
    const std::string name = put_off_.begin()->second;
    Queue& queue = queues_.at(name);
    PutOff(name, queue, absl::InfiniteFuture());
    LookAgainAt(name, queue);
    if (queue.flight.has_value()) due_.insert(name);
  }
}

absl::Time WorkerTable::next_due() const {
  absl::Time next = tick_;
  if (!by_deadline_.empty()) next = std::min(next, std::get<0>(*by_deadline_.begin()));
  if (!put_off_.empty()) next = std::min(next, put_off_.begin()->first);
  return next;
}

std::vector<WorkerView> WorkerTable::List() const {
  constexpr size_t kMostTasks = 100;
  std::vector<WorkerView> views;
  views.reserve(workers_.size());
  for (const auto& [id, worker] : workers_) {
    WorkerView view{.worker_id = worker.worker_id, .spec = worker.spec, .last_heard = worker.last_heard, .tasks = {}};
    for (const auto& [ref, lease] : worker.leases) {
      if (lease.state != LeaseState::kRunning) continue;
      if (view.tasks.size() == kMostTasks) break;
      view.tasks.push_back({.lease = ref, .name = lease.name, .since = lease.since});
    }
    views.push_back(std::move(view));
  }
  std::sort(views.begin(), views.end(),
            [](const WorkerView& a, const WorkerView& b) { return a.worker_id < b.worker_id; });
  return views;
}

WorkerTable::State* WorkerTable::Find(WorkerId id) {
  const auto worker = workers_.find(id);
  return worker == workers_.end() ? nullptr : &worker->second;
}

WorkerTable::Lease* WorkerTable::FindLease(WorkerId id, const LeaseRef& ref) {
  State* worker = Find(id);
  if (worker == nullptr) return nullptr;
  const auto lease = worker->leases.find(ref);
  return lease == worker->leases.end() ? nullptr : &lease->second;
}

std::string WorkerTable::NameOf(const State& worker) const {
  return absl::StrCat(self_.id, "/", worker.spec.name.empty() ? worker.worker_id : worker.spec.name);
}

}  // namespace actioncluster

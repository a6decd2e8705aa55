#include <algorithm>
#include <utility>

#include "server/workers/worker_table.h"

// Who may find something where.
namespace actioncluster {

bool WorkerTable::IsTaken(const Queue& queue, const Interest& interest) {
  return interest.listed > 0 || (queue.known && interest.group != nullptr && interest.group->all_queues > 0);
}

bool WorkerTable::Takes(const State& worker, const std::string& name) const {
  if (!worker.takes) return false;
  if (!worker.spec.all_queues) {
    const std::vector<std::string>& queues = worker.spec.queues;
    return std::find(queues.begin(), queues.end(), name) != queues.end();
  }
  const auto queue = queues_.find(name);
  return queue != queues_.end() && queue->second.known;
}

// One more worker of the group may take something there.
WorkerTable::Interest& WorkerTable::Want(const std::string& name, const std::shared_ptr<Group>& group) {
  const auto [interest, added] = queues_[name].interests.try_emplace(group->id);
  interest->second.group = group;
  if (added) asked_.insert({group->id, interest->second.asked_at, name});
  SetReady(name, group->id, interest->second, true);
  return interest->second;
}

void WorkerTable::SetReady(const std::string& name, uint64_t group, Interest& interest, bool ready) {
  interest.ready = ready;
  if (ready) {
    ready_.insert({group, name});
  } else {
    ready_.erase({group, name});
  }
}

void WorkerTable::LookAgainAt(const std::string& name, Queue& queue) {
  for (auto& [group, interest] : queue.interests) SetReady(name, group, interest, true);
}

// If nobody takes it any more, Redis is told, unless it does not know of the group.
void WorkerTable::LeaveIfUntaken(const std::string& name, Queue& queue, uint64_t group) {
  const auto found = queue.interests.find(group);
  if (found == queue.interests.end() || IsTaken(queue, found->second)) return;
  Interest& interest = found->second;
  SetReady(name, group, interest, false);
  if (interest.asking) return;  // Then the answer says whether it waits.
  if (interest.waiting || interest.woken) {
    due_.insert(name);
  } else {
    EraseInterest(name, queue, group);
  }
}

void WorkerTable::EraseInterest(const std::string& name, Queue& queue, uint64_t group) {
  const auto found = queue.interests.find(group);
  ready_.erase({group, name});
  asked_.erase({group, found->second.asked_at, name});
  queue.interests.erase(found);
}

void WorkerTable::PutOff(const std::string& name, Queue& queue, absl::Time until) {
  put_off_.erase({queue.again_at, name});
  queue.again_at = until;
  if (until != absl::InfiniteFuture()) put_off_.insert({until, name});
}

void WorkerTable::ForgetIfIdle(const std::string& name) {
  const auto found = queues_.find(name);
  if (found == queues_.end()) return;
  Queue& queue = found->second;
  if (queue.known || queue.flight.has_value() || !queue.interests.empty() || !queue.outcomes.empty() ||
      !queue.renewals.empty()) {
    return;
  }
  PutOff(name, queue, absl::InfiniteFuture());
  due_.erase(name);
  queues_.erase(found);
}

void WorkerTable::OnWake(const std::string& name, const std::vector<uint64_t>& groups) {
  Queue& queue = queues_[name];
  due_.insert(name);
  for (const uint64_t group : groups) {
    const auto [found, added] = queue.interests.try_emplace(group);
    Interest& interest = found->second;
    if (added) asked_.insert({group, interest.asked_at, name});
    interest.woken = true;
    interest.waiting = false;
    // One that nobody takes any more is there to pass the wake on.
    SetReady(name, group, interest, IsTaken(queue, interest));
  }
}

void WorkerTable::OnAppeared(const std::string& name) {
  if (all_queues_ > 0) {
    Queue& queue = queues_[name];
    queue.known = true;
    for (const auto& [names, group] : groups_) {
      if (group->all_queues > 0) Want(name, group);
    }
  }
  const auto queue = queues_.find(name);
  if (queue == queues_.end()) return;
  for (auto& [group, interest] : queue->second.interests) {
    if (IsTaken(queue->second, interest)) SetReady(name, group, interest, true);
  }
}

void WorkerTable::SetQueues(const std::vector<std::string>& names) {
  if (all_queues_ == 0) return;
  const std::set<std::string> there(names.begin(), names.end());
  std::vector<std::string> gone;
  for (const auto& [name, queue] : queues_) {
    if (queue.known && !there.contains(name)) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    Queue& queue = queues_.at(name);
    queue.known = false;
    std::vector<uint64_t> groups;
    groups.reserve(queue.interests.size());
    for (const auto& [group, interest] : queue.interests) groups.push_back(group);
    for (const uint64_t group : groups) LeaveIfUntaken(name, queue, group);
    ForgetIfIdle(name);
  }
  for (const std::string& name : there) {
    if (!queues_[name].known) OnAppeared(name);
  }
}

void WorkerTable::LookAgain(absl::Time now) {
  for (auto& [name, queue] : queues_) {
    LookAgainAt(name, queue);
    if (queue.flight.has_value() && queue.flight->lost) PutOff(name, queue, now);
  }
}

}  // namespace actioncluster

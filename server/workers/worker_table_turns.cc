#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "server/workers/worker_table.h"

// What is said at the queues, and what comes of it.
namespace actioncluster {
namespace {

// Of one turn: what one script may well do without holding Redis up.
constexpr size_t kMostOutcomes = 256;
constexpr size_t kMostRenewals = 1024;
constexpr size_t kMostBytes = size_t{1024} * 1024;

size_t BytesOf(const TaskOutcome& outcome) {
  size_t bytes = outcome.result.body.size() + outcome.error.message().size();
  for (const TaskOutcome::FollowUp& follow_up : outcome.follow_ups) bytes += follow_up.task.input.body.size();
  return bytes;
}

size_t BytesOf(const std::vector<std::string>& names) {
  size_t bytes = 0;
  for (const std::string& name : names) bytes += name.size();
  return bytes;
}

}  // namespace

std::vector<WorkerTable::OutgoingTurn> WorkerTable::TakeTurns(absl::Time now) {
  OffersByQueue offers;
  if (serving_ && !draining_ && !workers_.empty()) {
    // Each time another one is the first to offer.
    auto first = workers_.upper_bound(offer_from_);
    if (first == workers_.end()) first = workers_.begin();
    offer_from_ = first->first;
    for (auto worker = first; worker != workers_.end(); ++worker) OfferRoom(worker->first, worker->second, now, offers);
    for (auto worker = workers_.begin(); worker != first; ++worker)
      OfferRoom(worker->first, worker->second, now, offers);
  }
  std::set<std::string> names = due_;
  for (const auto& [name, offer] : offers) names.insert(name);
  std::vector<OutgoingTurn> turns;
  for (const std::string& name : names) {
    Queue& queue = queues_.at(name);
    if (!queue.flight.has_value()) {
      due_.erase(name);
      MakeTurn(name, queue, offers[name], now);
    } else if (queue.flight->lost && queue.again_at == absl::InfiniteFuture()) {
      queue.flight->lost = false;
    } else {
      continue;
    }
    if (queue.flight.has_value()) {
      turns.push_back({.queue = name, .turn = &queue.flight->turn});
    } else {
      ForgetIfIdle(name);
    }
  }
  return turns;
}

int WorkerTable::Room(const State& worker, absl::Time now) const {
  if (!worker.takes || IsSilent(worker, now) || worker.stream->congested()) return 0;
  return worker.spec.concurrency - (static_cast<int>(worker.leases.size()) - worker.settling) - worker.reserved;
}

void WorkerTable::OfferRoom(WorkerId id, State& worker, absl::Time now, OffersByQueue& offers) {
  if (Room(worker, now) <= 0) return;
  if (worker.spec.all_queues) {
    OfferToAll(id, worker, now, offers);
  } else {
    OfferToListed(id, worker, now, offers);
  }
}

// To the first queue that may have something. What that cannot fill is for the next, once it has said so.
void WorkerTable::OfferToListed(WorkerId id, State& worker, absl::Time now, OffersByQueue& offers) {
  for (const std::string& name : worker.spec.queues) {
    const Queue& queue = queues_.at(name);
    const Interest& interest = queue.interests.at(worker.group->id);
    const bool lost = queue.flight.has_value() && queue.flight->lost;
    if (lost || (!interest.ready && !interest.asking)) continue;
    if (!queue.flight.has_value()) OfferAt(id, worker, name, Room(worker, now), offers);
    return;
  }
  for (const std::string& name : worker.spec.queues) {
    const Queue& queue = queues_.at(name);
    const bool old = queue.interests.at(worker.group->id).asked_at + kAskAgain <= now;
    if (old && !queue.flight.has_value()) OfferToOld(id, worker, name, offers);
    if (Room(worker, now) <= 0) return;
  }
}

// In equal parts to the queues that may have something, in turn; to those that have not been asked for long if there are none.
void WorkerTable::OfferToAll(WorkerId id, State& worker, absl::Time now, OffersByQueue& offers) {
  const std::shared_ptr<Group> group = worker.group;
  const auto free = [this](const std::string& name) {
    const Queue& queue = queues_.at(name);
    return queue.known && !queue.flight.has_value();
  };
  std::vector<std::string> names;
  const auto most = static_cast<size_t>(Room(worker, now));
  const auto begin = ready_.lower_bound({group->id, std::string()});
  const auto middle = ready_.upper_bound({group->id, group->asked_last});
  const auto end = ready_.lower_bound({group->id + 1, std::string()});
  for (auto it = middle; it != end && names.size() < most; ++it) {
    if (free(it->second)) names.push_back(it->second);
  }
  for (auto it = begin; it != middle && names.size() < most; ++it) {
    if (free(it->second)) names.push_back(it->second);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const int left = static_cast<int>(names.size() - i);
    const int room = Room(worker, now);
    OfferAt(id, worker, names[i], (room + left - 1) / left, offers);
    group->asked_last = names[i];
  }
  for (auto it = asked_.lower_bound({group->id, absl::InfinitePast(), std::string()}); it != asked_.end(); ++it) {
    const auto& [asked_group, asked_at, name] = *it;
    if (asked_group != group->id || asked_at + kAskAgain > now || Room(worker, now) <= 0) return;
    if (free(name)) OfferToOld(id, worker, name, offers);
  }
}

// One place is enough to say that the group still waits.
void WorkerTable::OfferToOld(WorkerId id, State& worker, const std::string& name, OffersByQueue& offers) {
  const auto there = offers.find(name);
  if (there != offers.end() && there->second.by_group.contains(worker.group->id)) return;
  OfferAt(id, worker, name, 1, offers);
}

void WorkerTable::OfferAt(WorkerId id, State& worker, const std::string& name, int places, OffersByQueue& offers) {
  const auto found = offers.find(name);
  const int offered = std::min(places, kMostCredit - (found == offers.end() ? 0 : found->second.places));
  if (offered <= 0) return;
  Offers& there = offers[name];
  there.places += offered;
  there.by_group[worker.group->id].push_back({.worker = id, .places = offered});
  worker.reserved += offered;
}

// None, if there is nothing to be said.
void WorkerTable::MakeTurn(const std::string& name, Queue& queue, const Offers& offers, absl::Time now) {
  Flight flight{.turn = {}, .made_at = now, .settles = {}, .renews = {}, .shares = {}, .revoked = {}};
  AddOutcomes(name, queue, flight);
  AddRenewals(name, queue, flight);
  AddDemands(name, queue, offers, now, flight);
  if (!queue.outcomes.empty() || !queue.renewals.empty()) due_.insert(name);
  TaskTurn& turn = flight.turn;
  if (turn.outcomes.empty() && turn.renewals.empty() && turn.demands.empty()) return;
  turn.boot = self_.boot;
  turn.node_id = self_.id;
  turn.session = session_;
  turn.number = ++turns_;
  queue.flight = std::move(flight);
  ++flights_;
}

void WorkerTable::AddOutcomes(const std::string& name, Queue& queue, Flight& flight) {
  size_t bytes = 0;
  while (!queue.outcomes.empty() && flight.settles.size() < kMostOutcomes) {
    Pending& next = queue.outcomes.front();
    bytes += BytesOf(next.outcome);
    if (bytes > kMostBytes && !flight.settles.empty()) return;
    if (next.outcome.kind == TaskOutcome::Kind::kProgress) {
      Lease* lease = FindLease(next.from, {name, next.outcome.id, next.outcome.token});
      if (lease != nullptr) lease->progress = nullptr;
    }
    flight.settles.push_back(next.from);
    flight.turn.outcomes.push_back(std::move(next.outcome));
    queue.outcomes.pop_front();
  }
}

void WorkerTable::AddRenewals(const std::string& name, Queue& queue, Flight& flight) {
  while (!queue.renewals.empty() && flight.renews.size() < kMostRenewals) {
    auto [id, renewal] = std::move(queue.renewals.front());
    queue.renewals.pop_front();
    const Lease* lease = FindLease(id, {name, renewal.id, renewal.token});
    if (lease == nullptr || lease->state != LeaseState::kRunning) continue;
    flight.renews.push_back(id);
    flight.turn.renewals.push_back(std::move(renewal));
  }
}

void WorkerTable::AddDemands(const std::string& name, Queue& queue, const Offers& offers, absl::Time now,
                             Flight& flight) {
  size_t bytes = 0;
  for (const auto& [group, shares] : offers.by_group) {
    Interest& interest = queue.interests.at(group);
    bytes += BytesOf(interest.group->names);
    if (bytes > kMostBytes && !flight.shares.empty()) {
      // The next turn has room for it.
      for (const Share& share : shares) workers_.at(share.worker).reserved -= share.places;
      continue;
    }
    int credit = 0;
    for (const Share& share : shares) credit += share.places;
    flight.turn.demands.push_back({.group = group, .credit = credit, .names = interest.group->names});
    flight.shares.push_back(shares);
    SetReady(name, group, interest, false);
    asked_.erase({group, interest.asked_at, name});
    asked_.insert({group, now, name});
    interest.asked_at = now;
    interest.asking = true;
    interest.woken = false;
    interest.waiting = false;
  }
  // Who was woken and has no room passes that on, and who is gone waits no longer.
  std::vector<uint64_t> gone;
  for (auto& [group, interest] : queue.interests) {
    const bool taken = IsTaken(queue, interest);
    if (interest.asking || (taken && !interest.woken)) continue;
    if (interest.woken || interest.waiting) {
      flight.turn.demands.push_back({.group = group, .credit = 0, .names = {}});
      flight.shares.emplace_back();
    }
    interest.woken = false;
    interest.waiting = false;
    if (!taken) gone.push_back(group);
  }
  for (const uint64_t group : gone) EraseInterest(name, queue, group);
}

void WorkerTable::OnTurnLost(const std::string& name, const absl::Status& why, absl::Time now) {
  const auto found = queues_.find(name);
  if (found == queues_.end() || !found->second.flight.has_value() || found->second.flight->lost) return;
  Flight& flight = *found->second.flight;
  flight.lost = true;
  // If it is this queue alone that is broken, the room is used elsewhere.
  if (ReasonOf(why) != v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) Release(flight);
  PutOff(name, found->second, now + flight.backoff);
  flight.backoff = std::min(flight.backoff * 2, kMostRetry);
}

void WorkerTable::OnTurn(const std::string& name, TaskTurnResult result, std::optional<absl::Time> retry_at,
                         absl::Time now) {
  const auto found = queues_.find(name);
  if (found == queues_.end() || !found->second.flight.has_value() || found->second.flight->lost) return;
  const TaskTurn& turn = found->second.flight->turn;
  if (result.settled.size() != turn.outcomes.size() || result.leased.size() != turn.demands.size()) {
    OnTurnLost(name, absl::InternalError("the answer does not fit the turn"), now);
    return;
  }
  Queue& queue = found->second;
  Flight flight = *std::move(queue.flight);
  queue.flight.reset();
  --flights_;
  PutOff(name, queue, retry_at.value_or(absl::InfiniteFuture()));
  if (!queue.outcomes.empty() || !queue.renewals.empty()) due_.insert(name);
  Renewed(name, flight, result.lost);
  Asked(name, queue, flight, result);
  Distribute(name, flight, std::move(result.leased), now);
  Settled(name, flight, result.settled);
  ForgetIfIdle(name);
}

void WorkerTable::Settled(const std::string& name, const Flight& flight,
                          const std::vector<TaskTurnResult::Settled>& settled) {
  std::map<WorkerId, std::vector<RecordedOutcome>> recorded;
  unsettled_ -= settled.size();
  for (size_t i = 0; i < settled.size(); ++i) {
    const TaskOutcome& outcome = flight.turn.outcomes[i];
    LeaseRef ref{name, outcome.id, outcome.token};
    State* worker = Find(flight.settles[i]);
    const Lease* lease = FindLease(flight.settles[i], ref);
    if (lease == nullptr) continue;
    if (outcome.kind == TaskOutcome::Kind::kProgress) {
      if (!settled[i].recorded && lease->state == LeaseState::kRunning) {
        Revoke(flight.settles[i], *worker, ref, RevokeReason::kLeaseLost);
      }
      continue;
    }
    --worker->settling;
    worker->leases.erase(ref);
    std::vector<RecordedOutcome>& told = recorded[flight.settles[i]];
    if (settled[i].recorded) {
      told.push_back({.lease = std::move(ref), .state = settled[i].state});
    } else {
      worker->stream->SendRevoked(ref, RevokeReason::kLeaseLost);
    }
  }
  for (auto& [id, outcomes] : recorded) {
    if (!outcomes.empty()) workers_.at(id).stream->SendRecorded(std::move(outcomes));
    CloseIfDone(id);
  }
}

void WorkerTable::Renewed(const std::string& name, const Flight& flight, const std::vector<TaskTurn::Renewal>& lost) {
  std::set<std::pair<std::string, int64_t>> gone;
  for (const TaskTurn::Renewal& renewal : lost) gone.insert({renewal.id, renewal.token});
  for (size_t i = 0; i < flight.renews.size(); ++i) {
    const TaskTurn::Renewal& renewal = flight.turn.renewals[i];
    const LeaseRef ref{name, renewal.id, renewal.token};
    Lease* lease = FindLease(flight.renews[i], ref);
    if (lease == nullptr) continue;
    lease->renewing = false;
    lease->renewed_at = flight.made_at;
    if (lease->state != LeaseState::kRunning || !gone.contains({renewal.id, renewal.token})) continue;
    Revoke(flight.renews[i], workers_.at(flight.renews[i]), ref, RevokeReason::kLeaseLost);
  }
}

void WorkerTable::Asked(const std::string& name, Queue& queue, const Flight& flight, const TaskTurnResult& result) {
  for (size_t i = 0; i < flight.turn.demands.size(); ++i) {
    const TaskTurn::Demand& demand = flight.turn.demands[i];
    const auto found = queue.interests.find(demand.group);
    if (demand.credit == 0 || found == queue.interests.end()) continue;
    Interest& interest = found->second;
    interest.asking = false;
    const bool same_boot = flight.turn.boot == self_.boot;
    const bool filled = static_cast<int>(result.leased[i].size()) >= demand.credit;
    // A wake that came meanwhile has taken it off the list of those who wait, or is of before the turn; who knows.
    interest.waiting = same_boot && !filled;
    // Of a turn that was repeated nobody knows what was left out of its answer: it may have been filled.
    const bool repeated = flight.backoff > kFirstRetry;
    if (filled || !same_boot || repeated) SetReady(name, demand.group, interest, true);
    LeaveIfUntaken(name, queue, demand.group);
  }
}

void WorkerTable::Distribute(const std::string& name, Flight& flight, std::vector<std::vector<LeasedTask>> leased,
                             absl::Time now) {
  std::map<WorkerId, std::vector<WorkerTask>> sends;
  for (size_t i = 0; i < leased.size(); ++i) {
    for (LeasedTask& task : leased[i]) {
      LeaseRef ref{name, task.id, task.token};
      if (std::find(flight.revoked.begin(), flight.revoked.end(), ref) != flight.revoked.end()) continue;
      const WorkerId id = Pick(name, flight.turn.demands[i].group, flight.shares[i], now);
      if (id == 0) {
        GiveBack(ref, TaskOutcome::Kind::kUnused, {});
        continue;
      }
      State& worker = workers_.at(id);
      Lease lease{.name = task.name, .since = now, .renewed_at = flight.made_at, .deadline = absl::InfiniteFuture()};
      if (task.timeout > absl::ZeroDuration()) {
        lease.deadline = now + task.timeout;
        by_deadline_.insert({lease.deadline, id, ref});
      }
      sends[id].push_back({.queue = name, .task = std::move(task), .deadline = lease.deadline});
      worker.leases.emplace(std::move(ref), std::move(lease));
      worker.last_picked = ++picks_;
      ++running_;
    }
  }
  Release(flight);
  for (auto& [id, tasks] : sends) Send(id, std::move(tasks));
}

void WorkerTable::Send(WorkerId id, std::vector<WorkerTask> tasks) {
  State& worker = workers_.at(id);
  std::vector<LeaseRef> refs;
  refs.reserve(tasks.size());
  for (const WorkerTask& task : tasks) refs.push_back({task.queue, task.task.id, task.task.token});
  if (worker.stream->SendTasks(std::move(tasks))) return;
  for (const LeaseRef& ref : refs) {
    by_deadline_.erase({worker.leases.at(ref).deadline, id, ref});
    worker.leases.erase(ref);
    --running_;
    GiveBack(ref, TaskOutcome::Kind::kUnused, {});
  }
  Evict(id, MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the worker does not read its tasks", {{"limit", "outbox"}}));
}

// The least busy of those who asked for it; else whoever takes such tasks and has room; 0 if nobody does.
WorkerTable::WorkerId WorkerTable::Pick(const std::string& name, uint64_t group, std::vector<Share>& shares,
                                        absl::Time now) {
  const auto busier = [](const State& a, const State& b) {
    const auto load = [](const State& worker, const State& other) {
      return (static_cast<int64_t>(worker.leases.size()) - worker.settling) * other.spec.concurrency;
    };
    return std::pair(load(a, b), a.last_picked) > std::pair(load(b, a), b.last_picked);
  };
  Share* best = nullptr;
  for (Share& share : shares) {
    const State* worker = Find(share.worker);
    if (worker == nullptr || share.places == 0 || !Takes(*worker, name) || IsSilent(*worker, now)) continue;
    if (best == nullptr || busier(workers_.at(best->worker), *worker)) best = &share;
  }
  if (best != nullptr) {
    --best->places;
    --workers_.at(best->worker).reserved;
    return best->worker;
  }
  const auto queue = queues_.find(name);
  if (draining_ || queue == queues_.end()) return 0;
  const auto interest = queue->second.interests.find(group);
  if (interest == queue->second.interests.end() || interest->second.group == nullptr) return 0;
  WorkerId other = 0;
  for (const WorkerId id : interest->second.group->workers) {
    const State& worker = workers_.at(id);
    if (!Takes(worker, name) || Room(worker, now) <= 0) continue;
    if (other == 0 || busier(workers_.at(other), worker)) other = id;
  }
  return other;
}

void WorkerTable::Release(Flight& flight) {
  for (std::vector<Share>& shares : flight.shares) {
    for (const Share& share : shares) {
      State* worker = Find(share.worker);
      if (worker != nullptr) worker->reserved -= share.places;
    }
    shares.clear();
  }
}

}  // namespace actioncluster

#include "backplane/tasks/sweeper.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/content.h"
#include "backplane/tasks/schedule.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

using internal::v1::RecurringRecord;
using internal::v1::TaskTemplate;

// A queue that was claimed so long ago is claimed again.
constexpr absl::Duration kPeriod = absl::Seconds(1);
constexpr int kClaims = 100;
// Slots of one schedule that one step enqueues.
constexpr int kMaxSlots = 100;
// An entry of the outbox may be delivered again for so long, and appears once.
constexpr absl::Duration kRemember = absl::Hours(24);

// The task for one slot. Its id is the slot's, whoever makes it.
NewTask TaskOf(const TaskTemplate& pattern, const std::string& schedule_id, absl::Time slot) {
  NewTask task;
  task.id = absl::StrCat(schedule_id, "@", absl::ToUnixMicros(slot));
  task.chosen_id = true;
  task.name = pattern.name();
  task.input = FromProto(pattern.input());
  task.priority = static_cast<int>(pattern.priority());
  task.unique_key = pattern.unique_key();
  task.unique_for = absl::Microseconds(pattern.unique_for_us());
  task.max_attempts = static_cast<int>(pattern.max_attempts());
  task.backoff = absl::Microseconds(pattern.backoff_us());
  task.max_backoff = absl::Microseconds(pattern.max_backoff_us());
  task.timeout = absl::Microseconds(pattern.timeout_us());
  task.retain = absl::Microseconds(pattern.retain_us());
  return task;
}

}  // namespace

Sweeper::Sweeper(Loop& loop, const Bus& bus, const Membership& membership, TaskStore& store)
    : bus_(bus),
      membership_(membership),
      store_(store),
      random_(std::random_device{}()),
      claim_timer_(loop, [this] { Claim(); }),
      due_timer_(loop, [this] { SweepDue(); }) {
  ArmClaim();
}

template <class F>
auto Sweeper::WhileAlive(F f) {
  return [alive = std::weak_ptr<const bool>(alive_), f = std::move(f)](auto&&... arguments) mutable {
    if (!alive.expired()) f(std::forward<decltype(arguments)>(arguments)...);
  };
}

void Sweeper::SweepAt(const std::string& queue, absl::Time when) {
  if (!bus_.clock().known()) return;
  const absl::Time due = bus_.clock().ToMonotonic(when);
  // Further away, whoever claims the queue then knows of it.
  if (due > MonotonicNow() + 2 * kPeriod) return;
  absl::Time& known = queues_[queue].due;
  known = std::min(known, due);
  ArmDue();
}

void Sweeper::SweepNow(const std::string& queue) {
  Queue& state = queues_[queue];
  if (state.sweeping) {
    state.again = true;
    return;
  }
  state.sweeping = true;
  state.again = false;
  state.due = absl::InfiniteFuture();
  store_.Sweep(queue, WhileAlive([this, queue](absl::StatusOr<TaskSweepResult> result) {
                 const auto swept = queues_.find(queue);
                 swept->second.sweeping = false;
                 const bool again = swept->second.again || (result.ok() && result->more);
                 if (result.ok()) Act(queue, *std::move(result));
                 if (again) return SweepNow(queue);
                 if (swept->second.due == absl::InfiniteFuture()) queues_.erase(swept);
               }));
}

void Sweeper::ArmClaim() {
  const absl::Duration jitter = kPeriod * std::uniform_real_distribution<double>(-0.2, 0.2)(random_);
  claim_timer_.Set(MonotonicNow() + kPeriod + jitter);
}

void Sweeper::Claim() {
  ArmClaim();
  // While Redis is away there is nothing to be done; the next claim comes.
  if (!membership_.Serving()) return;
  store_.ClaimQueues(kPeriod, kClaims, WhileAlive([this](const absl::StatusOr<std::vector<std::string>>& queues) {
                       if (!queues.ok()) return;
                       for (const std::string& queue : *queues) SweepNow(queue);
                       if (queues->size() == kClaims) Claim();
                     }));
}

void Sweeper::SweepDue() {
  const absl::Time now = MonotonicNow();
  std::vector<std::string> due;
  for (const auto& [queue, state] : queues_) {
    if (state.due <= now) due.push_back(queue);
  }
  for (const std::string& queue : due) SweepNow(queue);
  ArmDue();
}

void Sweeper::ArmDue() {
  absl::Time first = absl::InfiniteFuture();
  for (const auto& [queue, state] : queues_) first = std::min(first, state.due);
  due_timer_.Set(first);
}

void Sweeper::Act(const std::string& queue, TaskSweepResult result) {
  for (const TaskSweepResult::DueSchedule& due : result.due) Fire(queue, result, due);
  for (TaskSweepResult::Outgoing& outgoing : result.outbox) Deliver(queue, std::move(outgoing));
}

void Sweeper::Fire(const std::string& queue, const TaskSweepResult& result, const TaskSweepResult::DueSchedule& due) {
  RecurringRecord record;
  if (!record.ParseFromString(due.schedule)) {
    LOG_EVERY_N(ERROR, 100) << "a schedule does not parse queue=" << queue << " id=" << due.id;
    return;
  }
  const absl::StatusOr<std::unique_ptr<const Schedule>> schedule = Schedule::Parse(record);
  if (!schedule.ok()) {
    LOG_EVERY_N(ERROR, 100) << "a schedule is not understood queue=" << queue << " id=" << due.id << ": "
                            << schedule.status();
    return;
  }
  const DueSlots slots =
      SlotsDue(**schedule, due.cursor, result.now, result.missed_until, record.run_once_for_missed(), kMaxSlots);
  std::vector<NewTask> tasks;
  tasks.reserve(slots.slots.size());
  for (const absl::Time slot : slots.slots) tasks.push_back(TaskOf(record.task(), due.id, slot));
  store_.Fire(queue, due.id, due.cursor, slots.next, tasks,
              [queue, id = due.id](const absl::StatusOr<TaskStore::Fired>& fired) {
                if (!fired.ok()) return;  // The cursor is where it was, or the tasks are there: the next sweep sees.
                const auto full = [](const EnqueueOutcome& outcome) {
                  return outcome.kind == EnqueueOutcome::Kind::kFull;
                };
                LOG_IF(WARNING, std::any_of(fired->outcomes.begin(), fired->outcomes.end(), full))
                    << "a slot has no room in its queue, and is left out queue=" << queue << " schedule=" << id;
              });
}

// By a request of its own, which the other queue remembers: whoever delivers it again, and however often, it is there once.
void Sweeper::Deliver(const std::string& queue, TaskSweepResult::Outgoing outgoing) {
  std::vector<NewTask> tasks;
  tasks.push_back(std::move(outgoing.follow_up.task));
  store_.Enqueue(outgoing.follow_up.queue, std::move(tasks), absl::StrCat(queue, "/", outgoing.key), kRemember,
                 WhileAlive([this, queue, key = std::move(outgoing.key)](
                                const absl::StatusOr<std::vector<EnqueueOutcome>>& outcomes) {
                   // What has no room there stays here until it has.
                   if (!outcomes.ok() || outcomes->at(0).kind == EnqueueOutcome::Kind::kFull) return;
                   store_.Delivered(queue, {key}, [](const absl::Status&) {});
                 }));
}

}  // namespace actioncluster

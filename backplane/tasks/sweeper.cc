#include "backplane/tasks/sweeper.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/content.h"
#include "backplane/tasks/schedule.h"
#include "backplane/tasks/task_id.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

using internal::v1::RecurringRecord;
using internal::v1::TaskTemplate;

// A queue that was claimed so long ago is claimed again.
constexpr absl::Duration kPeriod = absl::Seconds(1);
constexpr int kClaims = 100;
// Slots of one schedule that one step enqueues.
constexpr size_t kMaxSlots = 100;
constexpr size_t kMaxBytes = size_t{1024} * 1024;
// What is due is so by Redis's clock, which this node does not know to the microsecond: so a sweep seldom comes too early, and in vain.
constexpr absl::Duration kMargin = absl::Milliseconds(1);
// Slots that are due still after a sweep are being enqueued; or cannot be just now, as Redis is full.
constexpr absl::Duration kPatience = absl::Milliseconds(20);
// An entry of the outbox may be delivered again for so long, and appears once.
constexpr absl::Duration kRemember = absl::Hours(24);
constexpr absl::Duration kRememberDelivered = absl::Minutes(1);

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
  const absl::Time due = bus_.clock().ToMonotonic(when) + kMargin;
  // Further away, whoever claims the queue then knows of it.
  if (due > MonotonicNow() + 2 * kPeriod) return;
  absl::Time& known = queues_[queue].due;
  known = std::min(known, due);
  ArmDue(known);
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
  store_.Sweep(queue,
               WhileAlive([this, queue](absl::StatusOr<TaskSweepResult> result) { Swept(queue, std::move(result)); }));
}

void Sweeper::Swept(const std::string& queue, absl::StatusOr<TaskSweepResult> result) {
  bool again = queues_[queue].again;
  absl::Time not_before = absl::InfinitePast();
  if (result.ok()) {
    again = again || result->more;
    if (!result->due.empty()) not_before = MonotonicNow() + kPatience;
    for (const TaskSweepResult::DueSchedule& due : result->due) {
      // It stays due: to sweep at once would come to the same.
      if (!Fire(queue, *result, due)) not_before = MonotonicNow() + kPeriod;
    }
    Deliver(queue, std::move(result->outbox));
  }
  Queue& state = queues_[queue];
  state.sweeping = false;
  state.due = std::max(state.due, not_before);
  if (again) return SweepNow(queue);
  if (state.due == absl::InfiniteFuture()) queues_.erase(queue);
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
  armed_ = absl::InfiniteFuture();
  const absl::Time now = MonotonicNow();
  std::vector<std::string> due;
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [queue, state] : queues_) {
    if (state.due <= now) {
      due.push_back(queue);
    } else {
      next = std::min(next, state.due);
    }
  }
  for (const std::string& queue : due) SweepNow(queue);
  ArmDue(next);
}

void Sweeper::ArmDue(absl::Time due) {
  if (due >= armed_) return;
  armed_ = due;
  due_timer_.Set(due);
}

bool Sweeper::Fire(const std::string& queue, const TaskSweepResult& result, const TaskSweepResult::DueSchedule& due) {
  RecurringRecord record;
  if (!record.ParseFromString(due.schedule)) {
    LOG_EVERY_N(ERROR, 100) << "a schedule does not parse queue=" << queue << " id=" << due.id;
    return false;
  }
  const absl::StatusOr<std::unique_ptr<const Schedule>> schedule = Schedule::Parse(record);
  if (!schedule.ok()) {
    LOG_EVERY_N(ERROR, 100) << "a schedule is not understood queue=" << queue << " id=" << due.id << ": "
                            << schedule.status();
    return false;
  }
  // As many as fit into one command of moderate size; the others come with the next sweep.
  const size_t input = std::max<size_t>(record.task().input().body().size(), 1);
  const int most = static_cast<int>(std::clamp<size_t>(kMaxBytes / input, 1, kMaxSlots));
  const DueSlots slots =
      SlotsDue(**schedule, due.cursor, result.now, result.missed_until, record.run_once_for_missed(), most);
  std::vector<NewTask> tasks;
  tasks.reserve(slots.slots.size());
  for (const absl::Time slot : slots.slots) tasks.push_back(TaskOf(record.task(), due.id, slot));
  store_.Fire(queue, due.id, due.cursor, slots.next, tasks,
              [queue, id = due.id](const absl::StatusOr<TaskStore::Fired>& fired) {
                if (!fired.ok()) return;  // The cursor is where it was, or the tasks are there: the next sweep sees.
                const auto full = [](const EnqueueOutcome& outcome) {
                  return outcome.kind == EnqueueOutcome::Kind::kFull;
                };
                if (std::any_of(fired->outcomes.begin(), fired->outcomes.end(), full)) {
                  LOG_EVERY_N(WARNING, 100)
                      << "a slot has no room in its queue, and is left out queue=" << queue << " schedule=" << id;
                }
              });
  return true;
}

// Each by a request of its own, which the other queue remembers: whoever delivers it again, and however often, it is there once.
void Sweeper::Deliver(const std::string& queue, std::vector<TaskSweepResult::Outgoing> outbox) {
  // A sweep gives as much as one may carry: when that is away, there may be more.
  struct Batch {
    size_t left;
    bool look_again;
  };
  const auto batch = std::make_shared<Batch>(Batch{.left = outbox.size(), .look_again = outbox.size() > 1});
  for (TaskSweepResult::Outgoing& outgoing : outbox) {
    std::vector<NewTask> tasks;
    tasks.push_back(std::move(outgoing.follow_up.task));
    const std::string request = TaskId{queue, outgoing.key}.ToString();
    store_.Enqueue(
        outgoing.follow_up.queue, std::move(tasks), request, kRemember,
        WhileAlive([this, queue, batch, request, target = outgoing.follow_up.queue,
                    key = std::move(outgoing.key)](const absl::StatusOr<std::vector<EnqueueOutcome>>& outcomes) {
          if (outcomes.ok() && !outcomes->empty() && outcomes->front().kind != EnqueueOutcome::Kind::kFull) {
            Delivered(queue, key, target, request);
          } else {
            batch->look_again = false;  // What has no room there stays here until it has.
          }
          if (--batch->left == 0 && batch->look_again) SweepNow(queue);
        }));
  }
}

// Once it has left the outbox it is remembered only for who may be delivering it just now.
void Sweeper::Delivered(const std::string& queue, const std::string& key, const std::string& target,
                        const std::string& request) {
  store_.Delivered(queue, {key}, WhileAlive([this, target, request](const absl::Status& removed) {
                     if (!removed.ok()) return;
                     store_.Enqueue(target, {}, request, kRememberDelivered,
                                    [](const absl::StatusOr<std::vector<EnqueueOutcome>>&) {});
                   }));
}

}  // namespace actioncluster

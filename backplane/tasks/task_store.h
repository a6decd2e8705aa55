#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_TASK_STORE_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_TASK_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"
#include "backplane/tasks/enqueue_batches.h"
#include "backplane/tasks/task.h"

namespace actioncluster {

// What a script asks its caller to pass on: to which nodes, about one queue. Hints: if they are lost, a sweep finds what they were about.
struct TaskHints {
  struct Wake {
    std::string boot;
    uint64_t group;
  };
  struct Change {
    std::string boot;
    std::string id;
  };
  struct Revocation {
    std::string boot;
    std::string id;
    int64_t token;
    bool cancelled;
  };
  std::vector<Wake> wakes;          // Their workers wait, and there is something for them.
  std::vector<Change> changes;      // Somebody there watches these tasks.
  std::vector<Revocation> revoked;  // Workers there have these, and shall stop.
  std::optional<absl::Time>
      next;  // When the queue has to be swept next (Redis's time); unset: the step does not know, or never.
  bool appeared = false;  // The queue was not there before.
};

// One turn of a node at a queue: it hands in what its workers have said, renews, and takes what there is for those with room. One script, so one round trip.
struct TaskTurn {
  // Workers of the node that take the same names.
  struct Demand {
    uint64_t group;                  // Named by the node; told back in Wake.
    int credit;                      // How many tasks they have room for. 0: the group no longer waits.
    std::vector<std::string> names;  // Empty: all.
  };
  struct Renewal {
    std::string id;
    int64_t token;
  };
  std::string boot;     // Of the node: where wakes and revocations go to.
  std::string node_id;  // For people: who has the task.
  std::string session;  // Names this sequence of turns: random, one for each process.
  uint64_t
      number;  // Grows with each turn of the session. A turn that is repeated, as its reply was lost, has the same effect once.
  std::vector<TaskOutcome> outcomes;
  std::vector<Renewal> renewals;
  std::vector<Demand> demands;
};

struct TaskTurnResult {
  struct Settled {
    bool recorded;    // False: the token does not hold; nothing was changed.
    TaskState state;  // After it, if recorded.
  };
  std::vector<Settled> settled;         // As the outcomes.
  std::vector<TaskTurn::Renewal> lost;  // Renewals whose token does not hold.
  std::vector<std::vector<LeasedTask>>
      leased;                          // As the demands. Less than the credit: the group waits now, and will be woken.
  std::optional<absl::Time> retry_at;  // There is something, but the queue's rate does not let it go before this.
};

// What the sweep of a queue has found for its caller to do.
struct TaskSweepResult {
  struct DueSchedule {
    std::string id;
    std::string schedule;  // Serialized RecurringRecord.
    absl::Time cursor;     // The slot that is due.
  };
  struct Outgoing {
    std::string key;  // Names the entry.
    TaskOutcome::FollowUp follow_up;
  };
  absl::Time now;           // Redis's
  absl::Time missed_until;  // Slots before this passed while nobody looked. InfinitePast: none did.
  bool more = false;        // There was more than one sweep does: sweep again.
  std::vector<DueSchedule> due;
  std::vector<Outgoing> outbox;
};

// The queues as Redis keeps them: each method is one script over the keys of one queue's slot, or one command, and one round trip. What the scripts do stands on top
// of scripts/tasks_*.lua.
//
// Errors: BACKPLANE_UNAVAILABLE (of what changes something it is not known whether it was done); INTERNAL if Redis says what no script of ours does.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls.
class TaskStore {
 public:
  template <class T>
  using Then = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;
  using Done = absl::AnyInvocable<void(absl::Status) &&>;

  // Hears what each step asks to pass on, before the step's callback.
  using HintListener = absl::AnyInvocable<void(const std::string& queue, TaskHints hints)>;

  // The references outlive this. `lease`: for how long a lease is taken and renewed.
  TaskStore(redis::Client& commands, const Keys& keys, absl::Duration lease, HintListener hints);

  absl::Duration lease() const { return lease_; }

  // All of them in one step; each has its own outcome. `request_id`: empty, or a second call with it within `remember`, which counts anew then, changes nothing and gives the first one's outcomes (unless one of these was kFull). Calls
  // without one that come while another is under way go together.
  void Enqueue(const std::string& queue, std::vector<NewTask> tasks, const std::string& request_id,
               absl::Duration remember, Then<std::vector<EnqueueOutcome>> done);

  void Turn(const std::string& queue, const TaskTurn& turn, Then<TaskTurnResult> done);

  // Makes due tasks ready, takes back leases that have run out, and removes what need not be kept any more; as much as keeps Redis up.
  void Sweep(const std::string& queue, Then<TaskSweepResult> done);

  // The tasks with these ids, as they are; nothing where there is none.
  void Read(const std::string& queue, const std::vector<std::string>& ids, bool with_input,
            Then<std::vector<std::optional<TaskView>>> done);
  // As Read, of one; and if it has not ended, `boot` hears (hints.changes) of each change until it has.
  void Watch(const std::string& queue, const std::string& id, const std::string& boot,
             Then<std::optional<TaskView>> done);

  struct Page {
    std::vector<TaskView> tasks;
    std::string next;  // Empty: that was all.
  };
  // Tasks in one state, those that come next first; of dead letters the newest. At most `size`, and about 2 MiB. `from`: the former page's `next`, or empty.
  void List(const std::string& queue, TaskState state, const std::string& from, int size, Then<Page> done);

  enum class Change { kCancel, kDelete, kDeleteWaiting, kRetryFailed, kRemoveFailed };
  struct Changed {
    enum class Kind {
      kDone,
      kMissing,
      kActive,
      kEnded
    };  // kMissing: no such task, or it is no dead letter. kActive: not of a task that runs. kEnded: too late.
    std::vector<Kind> kinds;        // As the ids.
    std::vector<bool> was_running;  // As the ids; of kCancel.
  };
  void Apply(const std::string& queue, Change change, const std::vector<std::string>& ids, Then<Changed> done);

  struct Fired {
    bool fired;  // False: the cursor is not there any more: another has fired it, or it was changed. Nothing was done.
    std::vector<EnqueueOutcome> outcomes;
  };
  // Enqueues what is due of a schedule, and moves its cursor from `cursor` on. `next` unset: the schedule has ended.
  void Fire(const std::string& queue, const std::string& schedule_id, absl::Time cursor, std::optional<absl::Time> next,
            const std::vector<NewTask>& tasks, Then<Fired> done);
  struct Scheduled {
    bool created;
    absl::Time next;
  };
  // Sets a schedule. If it is there with the same `timing`, its cursor stays; otherwise it becomes `first`.
  void SetSchedule(const std::string& queue, const std::string& schedule_id, const std::string& schedule,
                   const std::string& timing, absl::Time first, Then<Scheduled> done);
  void StopSchedule(const std::string& queue, const std::string& schedule_id, Then<bool> done);
  void ListSchedules(const std::string& queue, Then<std::vector<RecurringView>> done);
  // Removes an entry of the outbox: its task is enqueued.
  void Delivered(const std::string& queue, const std::vector<std::string>& keys, Done done);

  void SetPaused(const std::string& queue, bool paused, Done done);
  void SetLimits(const std::string& queue, const QueueLimits& limits, Done done);
  void View(const std::string& queue, Then<QueueView> done);
  enum class Deleted { kDone, kMissing, kActive };
  // kActive: tasks run, and not `force`.
  void DeleteQueue(const std::string& queue, bool force, Then<Deleted> done);

  // The registry, in a slot of its own: all queues that anything was done to and that were not deleted, sorted.
  void ListQueues(Then<std::vector<std::string>> done);
  // Queues that nobody has claimed within `period`, at most `count`; they are claimed by that. Whoever claims a queue sweeps it.
  void ClaimQueues(absl::Duration period, int count, Then<std::vector<std::string>> done);

 private:
  // Runs a script that gives what it says, and hints.
  template <class T, class Parse>
  void Step(const redis::Script& script, const std::string& queue, const std::vector<std::string>& arguments,
            Parse parse, Then<T> done);
  void SendEnqueue(const std::string& queue, const std::vector<NewTask>& tasks, const std::string& request_id,
                   absl::Duration remember, Then<std::vector<EnqueueOutcome>> done);
  void Configure(const std::string& queue, const std::vector<std::string>& settings, Done done);
  // Enters the queue into the registry, if it is not there.
  void Register(const std::string& queue);

  redis::Client& commands_;
  const Keys& keys_;
  const absl::Duration lease_;
  HintListener hints_;
  EnqueueBatches batches_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_TASK_STORE_H_

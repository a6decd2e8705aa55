#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_TASK_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_TASK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/domain/content.h"

// The words of the queue: what callers give, what workers get, what Redis keeps. Plain values.
namespace actioncluster {

// As TaskState in tasks.proto; the scripts have the same numbers.
enum class TaskState {
  kScheduled = 1,
  kReady = 2,
  kActive = 3,
  kRetrying = 4,
  kDone = 5,
  kFailed = 6,
  kCancelled = 7,
};

// A task to be enqueued: complete and valid; which values are allowed, the service says.
struct NewTask {
  std::string id;          // Within the queue.
  bool chosen_id = false;  // The caller chose it, and relies on it: it is remembered for a minute after the task's end.
  std::string name;
  Content input;
  int priority = 5;                                  // 0 (lowest) … 9
  absl::Time run_at = absl::InfinitePast();          // Redis's time. In the past: at once.
  absl::Duration delay = absl::ZeroDuration();       // Counts if it is more than 0.
  std::string unique_key;                            // Empty: none.
  absl::Duration unique_for = absl::ZeroDuration();  // 0: until the task has ended.
  int max_attempts = 3;
  absl::Duration backoff = absl::Seconds(1);
  absl::Duration max_backoff = absl::Hours(1);
  absl::Duration timeout = absl::ZeroDuration();  // 0: none.
  absl::Duration retain = absl::ZeroDuration();   // 0: gone at its end.
};

// What became of an enqueue.
struct EnqueueOutcome {
  enum class Kind { kCreated, kExists, kFull };
  Kind kind;
  std::string
      id;  // Of the task that is there now; the one that has the unique key, if it exists. Empty if the queue is full.
};

// A task that is leased to this node.
struct LeasedTask {
  std::string id;
  std::string name;
  Content input;
  int64_t token;
  int attempt;             // From 1.
  int lost_leases;         // Before this lease.
  absl::Duration timeout;  // 0: none.
};

// What a worker, or its node for it, says of a lease.
struct TaskOutcome {
  enum class Kind {
    kDone,      // `result`, `follow_ups` count.
    kFailed,    // `error`, `retryable` count.
    kReturned,  // Its worker is gone: ready again, and one lost lease more.
    kUnused,    // No worker was sent it: ready again as if it had not been leased.
    kProgress,  // `result` is how far it is; the lease goes on.
  };
  // A task that follows, and the queue that it goes to.
  struct FollowUp {
    std::string queue;
    NewTask task;
  };

  Kind kind;
  std::string id;
  int64_t token;
  std::string worker;  // For people: `node/worker`.
  Content result;
  absl::Status error;
  bool retryable = true;
  std::vector<FollowUp> follow_ups;
};

// A task as Redis has it.
struct TaskView {
  std::string id;
  std::string name;
  TaskState state;
  int priority;
  int attempts;
  int max_attempts;
  int lost_leases;
  int64_t token;  // Of the lease, if it is active.
  absl::Time enqueued_at;
  absl::Time since;                  // In this state.
  std::optional<absl::Time> due_at;  // kScheduled, kRetrying: when it may run. kActive: when the lease ends.
  bool retained;                     // Its end can be read.
  std::string worker;
  std::optional<Content> input;  // Unset where it was not asked for.
  absl::Status error;            // The last failure; OK: none.
  Content result;                // kDone
  Content progress;
};

// Limits of a queue, and whether it is paused.
struct QueueLimits {
  int64_t max_length = 1'000'000;  // Of those that wait.
  bool drop_oldest = false;        // Otherwise what is too much is refused.
  double rate = 0;                 // Starts a second; 0: any.
  int64_t max_concurrency = 0;     // 0: any
  int64_t max_failed = 10'000;
  absl::Duration keep_failed_for = absl::Hours(7 * 24);
};

struct QueueCounts {
  int64_t ready = 0, scheduled = 0, active = 0, ended = 0, failed = 0;
  int64_t total_enqueued = 0, total_completed = 0, total_failures = 0, total_lost_leases = 0;
};

struct QueueView {
  std::string name;
  QueueCounts counts;
  std::optional<absl::Time> oldest_ready;
  bool paused = false;
  QueueLimits limits;
};

// A schedule as Redis keeps it: what to enqueue at each slot.
struct RecurringView {
  std::string id;
  std::string schedule;  // Serialized RecurringRecord.
  std::optional<absl::Time> next;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_TASK_H_

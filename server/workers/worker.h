#ifndef ACTIONCLUSTER_SERVER_WORKERS_WORKER_H_
#define ACTIONCLUSTER_SERVER_WORKERS_WORKER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/tasks/task.h"

// The words between a worker's stream and the table of workers. Plain values, and what a stream is to the table.
namespace actioncluster {

// What a worker takes: valid, as the service has seen to it.
struct WorkerSpec {
  std::vector<std::string> queues;  // The first comes first. Not used if `all_queues`.
  bool all_queues = false;
  std::vector<std::string> names;  // Empty: all.
  int concurrency = 1;
  std::string name;  // For people; may be empty.
};

// A lease of a task, wherever it is spoken of.
struct LeaseRef {
  std::string queue;
  std::string id;  // Within the queue.
  int64_t token = 0;

  friend auto operator<=>(const LeaseRef&, const LeaseRef&) = default;
};

// A task on its way to a worker.
struct WorkerTask {
  std::string queue;
  LeasedTask task;
  absl::Time deadline;  // Monotonic. InfiniteFuture: none.
};

// What a worker says of a task. Its kind is kDone, kFailed or kProgress; `worker` is filled in by the table.
struct WorkerOutcome {
  std::string queue;
  TaskOutcome outcome;
  // The worker runs it no more, so its place is free. False also of a kFailed that stands for a progress that makes no sense.
  bool ends = true;
};

struct RecordedOutcome {
  LeaseRef lease;
  TaskState state;  // After it.
};

// kInvalid: what its worker said of it made no sense, and the attempt has failed.
enum class RevokeReason { kCancelled, kTimeout, kLeaseLost, kInvalid };

// A worker that is attached to this node, as the table sees it: somewhere to send frames to. Sending never blocks and never calls back into the table; a
// frame for which there is no room ends the stream. Called on the I/O thread.
class Worker {
 public:
  virtual ~Worker() = default;

  // So much waits to be written to it that it shall get no more tasks now. Its stream tells the host when that is over.
  virtual bool congested() const = 0;

  virtual void SendStarted(const std::string& worker_id, const std::string& node_id,
                           absl::Duration heartbeat_every) = 0;
  // False: there is no room for them, or the stream has ended; nothing was sent.
  virtual bool SendTasks(std::vector<WorkerTask> tasks) = 0;
  virtual void SendRevoked(const LeaseRef& lease, RevokeReason reason) = 0;
  virtual void SendRecorded(std::vector<RecordedOutcome> outcomes) = 0;
  virtual void SendDraining(const std::vector<std::string>& alternatives) = 0;
  // Ends its stream with this status, after what was sent. The table has let go of it already.
  virtual void Close(const absl::Status& why) = 0;
};

// A worker in listings.
struct WorkerView {
  struct Working {
    LeaseRef lease;
    std::string name;
    absl::Time since;  // Redis's time.
  };
  std::string worker_id;
  WorkerSpec spec;
  absl::Time last_heard;       // Redis's time.
  std::vector<Working> tasks;  // At most 100.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_WORKERS_WORKER_H_

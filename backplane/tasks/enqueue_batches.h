#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_ENQUEUE_BATCHES_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_ENQUEUE_BATCHES_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "backplane/tasks/task.h"

namespace actioncluster {

// Puts enqueues of many callers into few scripts: those that come while one of their queue is under way wait for its end, and go together. A caller alone waits for nobody;
// a script for sixteen tasks costs Redis a third of sixteen scripts.
//
// Does no I/O. Confined to the I/O thread; callbacks run inside the sender's.
class EnqueueBatches {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::vector<EnqueueOutcome>>) &&>;
  // Sends a batch. `done` hears the outcomes, as the tasks, not inside the call.
  using Sender = absl::AnyInvocable<void(const std::string& queue, const std::vector<NewTask>& tasks, Done done)>;

  // A batch has at most so much, unless one caller alone has more.
  static constexpr size_t kMaxTasks = 256;
  static constexpr size_t kMaxBytes = size_t{1024} * 1024;

  explicit EnqueueBatches(Sender send) : send_(std::move(send)) {}
  // Who waits for the next batch hears BACKPLANE_UNAVAILABLE; who is in one, what the sender says.
  ~EnqueueBatches();

  // `done` hears the outcomes of these, or the error of the batch that they were in.
  void Add(const std::string& queue, std::vector<NewTask> tasks, Done done);

 private:
  struct Caller {
    std::vector<NewTask> tasks;
    size_t bytes;
    Done done;
  };

  void Send(const std::string& queue, std::vector<Caller> callers);
  void SendNext(const std::string& queue);
  static void Distribute(std::vector<Caller> callers, absl::StatusOr<std::vector<EnqueueOutcome>> outcomes);

  Sender send_;
  // Of each queue that has a batch under way: who waits for the next.
  absl::flat_hash_map<std::string, std::deque<Caller>> queues_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_ENQUEUE_BATCHES_H_

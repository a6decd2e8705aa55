#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_SWEEPER_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_SWEEPER_H_

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/bus/bus.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/tasks/task_store.h"

namespace actioncluster {

// Keeps time for all queues: makes due tasks ready, takes back lost leases, enqueues recurring tasks, delivers the outbox. Any node does it for any queue: each second, give
// or take some, a node claims those that nobody has swept for so long. There is no leader whose death stops the clock, and two that sweep one queue do no harm.
//
// Between two claims a queue is swept when something in it is due, by each node that has been told so: the one that has enqueued it, and those that have swept since.
//
// Confined to the I/O thread.
class Sweeper {
 public:
  // The references outlive this. It begins at once, and works while the node serves.
  Sweeper(Loop& loop, const Bus& bus, const Membership& membership, TaskStore& store);

  // Sweeps the queue then (Redis's time), unless that is further away than the next claim: then whoever claims it will know.
  void SweepAt(const std::string& queue, absl::Time when);
  void SweepNow(const std::string& queue);

 private:
  struct Queue {
    absl::Time due = absl::InfiniteFuture();  // Monotonic.
    bool sweeping = false;
    bool again = false;
  };

  template <class F>
  auto WhileAlive(F f);
  void ArmClaim();
  void Claim();
  void SweepDue();
  void ArmDue(absl::Time due);
  void Swept(const std::string& queue, absl::StatusOr<TaskSweepResult> result);
  // False: this node does not understand the schedule.
  bool Fire(const std::string& queue, const TaskSweepResult& result, const TaskSweepResult::DueSchedule& due);
  void Deliver(const std::string& queue, std::vector<TaskSweepResult::Outgoing> outbox);
  void Delivered(const std::string& queue, const std::string& key, const std::string& target,
                 const std::string& request);

  const Bus& bus_;
  const Membership& membership_;
  TaskStore& store_;
  absl::flat_hash_map<std::string, Queue> queues_;  // That are being swept, or will be at a known time.
  absl::Time armed_ = absl::InfiniteFuture();       // The due timer.
  std::mt19937 random_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  Timer claim_timer_;
  Timer due_timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_SWEEPER_H_

#ifndef ACTIONCLUSTER_SERVER_WORKERS_WORKER_HOST_H_
#define ACTIONCLUSTER_SERVER_WORKERS_WORKER_HOST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/bus/bus.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/tasks/task_signals.h"
#include "backplane/tasks/task_store.h"
#include "server/workers/worker.h"
#include "server/workers/worker_table.h"

namespace actioncluster {

// Gets tasks for the workers that are attached to this node, and hands in what they say of them: drives the table of workers with turns at the queues, wakes, timers
// and the clock.
//
// Confined to the I/O thread.
class WorkerHost final : public TaskSignals::WorkListener {
 public:
  using WorkerId = WorkerTable::WorkerId;

  // The references outlive this.
  WorkerHost(Loop& loop, const Bus& bus, const Membership& membership, TaskStore& store);

  // The worker is sent `started`, then tasks. BACKPLANE_UNAVAILABLE: this node has not joined the cluster yet.
  absl::StatusOr<WorkerId> Attach(WorkerSpec spec, std::shared_ptr<Worker> worker);
  void Heard(WorkerId id);
  void Settle(WorkerId id, std::vector<WorkerOutcome> outcomes);
  // It takes no more; its stream is closed with OK when all that it had has ended and is recorded.
  void Stop(WorkerId id);
  // It is not congested any more.
  void HasRoom(WorkerId id);
  // Its stream is gone. What it had and said nothing of is given back.
  void Detach(WorkerId id);

  // The membership has changed its mind about whether this node serves, or under which boot.
  void OnServing();
  // Redis or the bus is back, or away: what was heard may have a gap.
  void OnBackplane(const absl::Status& state);

  // From now on workers get nothing, and are told where else to go.
  void Drain(const std::vector<std::string>& alternatives);
  // Ends all streams with this status; what the workers had is given back.
  void CloseAll(const absl::Status& why);
  // `done` runs when all that is to be handed in was, or after `limit`; never inside this call.
  void Flush(absl::Duration limit, absl::AnyInvocable<void() &&> done);

  size_t workers() const { return table_.workers(); }
  // Tasks that workers run, or whose outcomes are not recorded yet.
  size_t running() const { return table_.running(); }
  // By worker id.
  std::vector<WorkerView> List() const;

  // TaskSignals::WorkListener
  void OnWake(const std::string& queue, const std::vector<uint64_t>& groups) override;
  void OnRevoked(const std::string& queue, const std::string& id, int64_t token, bool cancelled) override;
  void OnAppeared(const std::string& queue) override;

 private:
  struct Flushing {
    absl::Time until;
    absl::AnyInvocable<void() &&> done;
  };

  // Something has changed: has Pump run once in this turn of the loop.
  void Nudge();
  void Pump();
  void OnTurn(const std::string& queue, absl::StatusOr<TaskTurnResult> result);
  void OnTimer();
  void ReadQueues();

  Loop& loop_;
  const Bus& bus_;
  const Membership& membership_;
  TaskStore& store_;
  const std::string session_;
  WorkerTable table_;
  bool nudged_ = false;
  bool reading_ = false;               // The names of all queues are being read.
  std::vector<std::string> appeared_;  // Meanwhile.
  uint64_t attached_ = 0;
  absl::Time armed_for_ = absl::InfiniteFuture();
  std::vector<Flushing> flushing_;
  std::mt19937 random_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  Timer timer_;
  Timer queues_timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_WORKERS_WORKER_HOST_H_

#ifndef ACTIONCLUSTER_TESTS_UNIT_WORKERS_WORKER_TABLE_TEST_BASE_H_
#define ACTIONCLUSTER_TESTS_UNIT_WORKERS_WORKER_TABLE_TEST_BASE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/workers/worker_table.h"

namespace actioncluster {

// Writes down what it is sent.
class FakeWorker : public Worker {
 public:
  bool congested() const override { return crowded; }
  void SendStarted(const std::string& /*worker_id*/, const std::string& /*node_id*/,
                   absl::Duration /*heartbeat_every*/) override {}
  bool SendTasks(std::vector<WorkerTask> sent) override {
    if (full) return false;
    for (WorkerTask& task : sent) tasks.push_back(std::move(task));
    return true;
  }
  void SendRevoked(const LeaseRef& lease, RevokeReason reason) override { revoked.emplace_back(lease, reason); }
  void SendRecorded(std::vector<RecordedOutcome> outcomes) override {
    for (const RecordedOutcome& outcome : outcomes) recorded.push_back(outcome.lease.id);
  }
  void SendDraining(const std::vector<std::string>& alternatives) override { drains.push_back(alternatives); }
  void Close(const absl::Status& why) override { closed = why; }

  // The ids of the tasks that it was sent.
  std::vector<std::string> ids() const {
    std::vector<std::string> ids;
    ids.reserve(tasks.size());
    for (const WorkerTask& task : tasks) ids.push_back(task.task.id);
    return ids;
  }

  bool crowded = false;
  bool full = false;
  std::vector<WorkerTask> tasks;
  std::vector<std::pair<LeaseRef, RevokeReason>> revoked;
  std::vector<std::string> recorded;
  std::vector<std::vector<std::string>> drains;
  std::optional<absl::Status> closed;
};

// A table of a node that serves, on a clock that the test moves. Tasks have tokens of their own.
class WorkerTableTest : public ::testing::Test {
 protected:
  struct Attached {
    WorkerTable::WorkerId id;
    std::shared_ptr<FakeWorker> stream;
  };

  WorkerTableTest() { table_.SetNode({"node-1", "boot-1"}, true); }

  Attached Attach(std::vector<std::string> queues, int concurrency = 1, std::vector<std::string> names = {}) {
    auto stream = std::make_shared<FakeWorker>();
    const std::string name = absl::StrCat("w", ++attached_);
    const bool all = queues == std::vector<std::string>{"*"};
    WorkerSpec spec{.queues = all ? std::vector<std::string>{} : std::move(queues),
                    .all_queues = all,
                    .names = std::move(names),
                    .concurrency = concurrency,
                    .name = name};
    return {table_.Attach(std::move(spec), name, stream, now_), stream};
  }

  // What there is to be said now, by queue; each as it was sent.
  std::map<std::string, TaskTurn> Take() {
    std::map<std::string, TaskTurn> turns;
    table_.Expire(now_);
    for (const WorkerTable::OutgoingTurn& turn : table_.TakeTurns(now_)) {
      EXPECT_TRUE(turns.emplace(turn.queue, *turn.turn).second) << turn.queue;
    }
    for (const auto& [queue, turn] : turns) sent_.insert_or_assign(queue, turn);
    return turns;
  }

  // The demand that the last turn at the queue had for the only group, 0 if there was none.
  static int Credit(const std::map<std::string, TaskTurn>& turns, const std::string& queue) {
    const auto turn = turns.find(queue);
    int credit = 0;
    if (turn == turns.end()) return 0;
    for (const TaskTurn::Demand& demand : turn->second.demands) credit += demand.credit;
    return credit;
  }

  LeasedTask Task(const std::string& id, absl::Duration timeout = absl::ZeroDuration()) {
    return {.id = id, .name = "n", .input = {}, .token = ++token_, .attempt = 1, .lost_leases = 0, .timeout = timeout};
  }

  // Redis's answer to the last turn that was sent to the queue: these tasks to its first demand, and all is recorded and renewed.
  TaskTurnResult Result(const std::string& queue, std::vector<LeasedTask> leased = {}) {
    const TaskTurn& turn = sent_.at(queue);
    TaskTurnResult result;
    result.settled.assign(turn.outcomes.size(), {.recorded = true, .state = TaskState::kDone});
    result.leased.resize(turn.demands.size());
    if (!leased.empty()) result.leased.at(0) = std::move(leased);
    return result;
  }
  void Answer(const std::string& queue, std::vector<LeasedTask> leased = {}) {
    table_.OnTurn(queue, Result(queue, std::move(leased)), std::nullopt, now_);
  }
  void Lose(const std::string& queue) { table_.OnTurnLost(queue, BackplaneUnavailable("away"), now_); }

  // What the worker says of a task that it was sent.
  void Say(const Attached& worker, const WorkerTask& task, TaskOutcome::Kind kind = TaskOutcome::Kind::kDone,
           bool ends = true) {
    WorkerOutcome said;
    said.ends = ends && kind != TaskOutcome::Kind::kProgress;
    said.queue = task.queue;
    said.outcome.kind = kind;
    said.outcome.id = task.task.id;
    said.outcome.token = task.task.token;
    std::vector<WorkerOutcome> outcomes;
    outcomes.push_back(std::move(said));
    table_.Settle(worker.id, std::move(outcomes));
  }

  static constexpr absl::Duration kLease = absl::Seconds(12);
  absl::Time now_ = absl::FromUnixSeconds(1000);
  WorkerTable table_{"session", kLease};
  std::map<std::string, TaskTurn> sent_;
  int64_t token_ = 100;
  int attached_ = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_UNIT_WORKERS_WORKER_TABLE_TEST_BASE_H_

#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_TASKS_QUEUE_CLIENT_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_TASKS_QUEUE_CLIENT_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/domain/clock.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"
#include "backplane/scripts/scripts.h"
#include "backplane/tasks/task_store.h"
#include "glog/logging.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {

inline NewTask TaskNamed(const std::string& id, const std::string& name = "work") {
  NewTask task;
  task.id = id;
  task.name = name;
  task.input = {.kind = Content::Kind::kBytes, .body = "input of " + id};
  return task;
}

// A node as far as one queue sees it: turns of one session, blocking. Ends the program where Redis fails.
class QueueClient {
 public:
  static constexpr char kQueue[] = "mail";

  explicit QueueClient(const fakes::RedisServer& redis, absl::Duration lease = absl::Minutes(1),
                       const std::string& boot = "00000000000000aa")
      : boot_(boot) {
    thread_.Run([&] {
      redis::LinkOptions options;
      options.endpoint = redis.endpoint();
      client_ = std::make_unique<redis::Client>(thread_.loop(), options, scripts::All());
      client_->OnState([states = states_](const absl::Status& state) { states.Add(state); });
      store_ = std::make_unique<TaskStore>(
          *client_, keys_, lease, [this](const std::string&, TaskHints hints) { hints_.Add(std::move(hints)); });
    });
    AwaitReady();
  }
  ~QueueClient() {
    thread_.Run([&] {
      client_.reset();
      store_.reset();
    });
  }

  void AwaitReady() {
    CHECK(states_.NextThat([](const absl::Status& state) { return state.ok(); }).ok());
  }

  // Calls a method of the store, and gives what its callback heard.
  template <class T, class Start>
  T Ask(Start start) {
    const fakes::Waiter<absl::StatusOr<T>> waiter;
    thread_.Run([&] { start(*store_, waiter.Callback()); });
    absl::StatusOr<T> result = waiter.Next();
    CHECK(result.ok()) << result.status();
    return *std::move(result);
  }

  std::vector<EnqueueOutcome> Enqueue(const std::vector<NewTask>& tasks, const std::string& request_id = "") {
    return Ask<std::vector<EnqueueOutcome>>([&](TaskStore& store, auto done) {
      store.Enqueue(kQueue, tasks, request_id, absl::Minutes(1), std::move(done));
    });
  }

  // A turn for one group.
  TaskTurn NewTurn(int credit, std::vector<std::string> names = {}, uint64_t group = 1) {
    TaskTurn turn;
    turn.boot = boot_;
    turn.node_id = "node";
    turn.session = boot_;
    turn.number = ++turns_;
    turn.demands.push_back({group, credit, std::move(names)});
    return turn;
  }
  TaskTurnResult Take(const TaskTurn& turn) {
    return Ask<TaskTurnResult>([&](TaskStore& store, auto done) { store.Turn(kQueue, turn, std::move(done)); });
  }
  std::vector<LeasedTask> Lease(int credit, std::vector<std::string> names = {}) {
    return Take(NewTurn(credit, std::move(names))).leased.at(0);
  }
  TaskTurnResult::Settled Settle(TaskOutcome outcome) {
    TaskTurn turn = NewTurn(0);
    turn.outcomes.push_back(std::move(outcome));
    return Take(turn).settled.at(0);
  }

  TaskSweepResult Sweep() {
    return Ask<TaskSweepResult>([](TaskStore& store, auto done) { store.Sweep(kQueue, std::move(done)); });
  }
  std::optional<TaskView> Read(const std::string& id) {
    return Ask<std::vector<std::optional<TaskView>>>(
               [&](TaskStore& store, auto done) { store.Read(kQueue, {id}, true, std::move(done)); })
        .at(0);
  }
  // Sweeps until the task is in this state.
  TaskView SweepUntil(const std::string& id, TaskState state) {
    const absl::Time give_up = MonotonicNow() + fakes::kPatience;
    while (true) {
      CHECK(MonotonicNow() < give_up) << id << " does not come into the state";
      Sweep();
      std::optional<TaskView> view = Read(id);
      if (view.has_value() && view->state == state) return *std::move(view);
    }
  }
  TaskStore::Changed Apply(TaskStore::Change change, const std::vector<std::string>& ids) {
    return Ask<TaskStore::Changed>(
        [&](TaskStore& store, auto done) { store.Apply(kQueue, change, ids, std::move(done)); });
  }
  QueueView View() {
    return Ask<QueueView>([](TaskStore& store, auto done) { store.View(kQueue, std::move(done)); });
  }
  void SetLimits(const QueueLimits& limits) {
    const fakes::Waiter<absl::Status> waiter;
    thread_.Run([&] { store_->SetLimits(kQueue, limits, waiter.Callback()); });
    CHECK(waiter.Next().ok());
  }
  void SetPaused(bool paused) {
    const fakes::Waiter<absl::Status> waiter;
    thread_.Run([&] { store_->SetPaused(kQueue, paused, waiter.Callback()); });
    CHECK(waiter.Next().ok());
  }

  // The hints of the last step.
  TaskHints LastHints() {
    TaskHints last;
    while (hints_.size() > 0) last = hints_.Next();
    return last;
  }

 private:
  const std::string boot_;
  const Keys keys_{fakes::kNamespace};
  uint64_t turns_ = 0;
  const fakes::Waiter<absl::Status> states_;
  const fakes::Waiter<TaskHints> hints_;
  fakes::LoopThread thread_;
  std::unique_ptr<redis::Client> client_;
  std::unique_ptr<TaskStore> store_;
};

inline TaskOutcome OutcomeOf(const LeasedTask& task, TaskOutcome::Kind kind) {
  TaskOutcome outcome;
  outcome.kind = kind;
  outcome.id = task.id;
  outcome.token = task.token;
  return outcome;
}
inline TaskOutcome Done(const LeasedTask& task) { return OutcomeOf(task, TaskOutcome::Kind::kDone); }
inline TaskOutcome Failed(const LeasedTask& task, bool retryable = true) {
  TaskOutcome outcome = OutcomeOf(task, TaskOutcome::Kind::kFailed);
  outcome.error = absl::InternalError("it broke");
  outcome.retryable = retryable;
  return outcome;
}

inline std::vector<std::string> IdsOf(const std::vector<LeasedTask>& tasks) {
  std::vector<std::string> ids;
  ids.reserve(tasks.size());
  for (const LeasedTask& task : tasks) ids.push_back(task.id);
  return ids;
}

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_TASKS_QUEUE_CLIENT_H_

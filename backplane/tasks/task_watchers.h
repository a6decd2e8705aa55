#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_TASK_WATCHERS_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_TASK_WATCHERS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backplane/bus/bus.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/tasks/task_signals.h"
#include "backplane/tasks/task_store.h"
#include "backplane/tasks/task_watch_table.h"

namespace actioncluster {

// Tells those who wait for tasks, or watch them, what becomes of them, on whichever node that happens. Redis is told once for each task who wants to hear of its changes; signals say
// which have changed, and these are read. As signals may be lost, each is also looked at every few seconds, and when the bus was interrupted.
//
// An outage of Redis ends no watch but those that have heard nothing yet.
//
// Confined to the I/O thread; listeners are called on it, never inside the calls.
class TaskWatchers {
 public:
  using WatcherId = TaskWatchTable::WatcherId;
  // Hears the task as it is, then after each change: the newest of those that come fast. The last call is the one with a task that has ended, with nothing (there is no
  // such task, or no more), or with an error: BACKPLANE_UNAVAILABLE before the first task, or why CloseAll was called.
  using Listener = absl::AnyInvocable<void(const absl::StatusOr<std::optional<TaskView>>& task)>;

  // The references outlive this. Before Bus::Begin.
  TaskWatchers(Loop& loop, Bus& bus, Membership& membership, TaskStore& store, TaskSignals& signals);

  WatcherId Watch(const std::string& queue, const std::string& id, Listener listener);
  // The listener is not called any more. It may be called by listeners.
  void Unwatch(WatcherId watcher);

  // Ends all watches.
  void CloseAll(const absl::Status& why);

  size_t watchers() const { return listeners_.size(); }

 private:
  void Pump();
  void Begin(const TaskWatchTable::Look& look);
  void Looked(const TaskWatchTable::Look& look, const absl::StatusOr<std::vector<std::optional<TaskView>>>& tasks);
  void Tell(const TaskWatchTable::News& news);
  void TellError(WatcherId watcher, const absl::Status& why);
  void LookAgainLater();

  const Membership& membership_;
  TaskStore& store_;
  TaskWatchTable table_;
  absl::flat_hash_map<WatcherId, std::shared_ptr<Listener>> listeners_;
  size_t looking_ = 0;
  std::mt19937 random_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  Timer timer_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_TASK_WATCHERS_H_

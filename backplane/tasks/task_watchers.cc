#include "backplane/tasks/task_watchers.h"

#include <utility>

#include "backplane/domain/clock.h"

namespace actioncluster {
namespace {

// How many looks are under way at once: so many that Redis is busy, so few that others get through.
constexpr size_t kMostLooks = 64;
constexpr absl::Duration kLookEvery = absl::Seconds(5);

}  // namespace

TaskWatchers::TaskWatchers(Loop& loop, Bus& bus, Membership& membership, TaskStore& store, TaskSignals& signals)
    : membership_(membership), store_(store), random_(std::random_device{}()), timer_(loop, [this] {
        table_.Suspect();
        Pump();
        LookAgainLater();
      }) {
  signals.SetChangeListener([this](const std::string& queue, const std::vector<std::string>& ids) {
    table_.Changed(queue, ids);
    Pump();
  });
  const auto distrust = [this] {
    table_.Distrust();
    Pump();
  };
  bus.OnState([distrust](const absl::Status& state) {
    if (state.ok()) distrust();
  });
  // Its boot may be another.
  membership.OnServing([distrust](bool serving) {
    if (serving) distrust();
  });
  LookAgainLater();
}

TaskWatchers::WatcherId TaskWatchers::Watch(const std::string& queue, const std::string& id, Listener listener) {
  const WatcherId watcher = table_.Add(queue, id);
  listeners_.emplace(watcher, std::make_shared<Listener>(std::move(listener)));
  Pump();
  return watcher;
}

void TaskWatchers::Unwatch(WatcherId watcher) {
  table_.Remove(watcher);
  listeners_.erase(watcher);
}

void TaskWatchers::CloseAll(const absl::Status& why) {
  std::vector<WatcherId> all;
  all.reserve(listeners_.size());
  for (const auto& [watcher, listener] : listeners_) all.push_back(watcher);
  for (const WatcherId watcher : all) {
    table_.Remove(watcher);
    TellError(watcher, why);
  }
}

void TaskWatchers::Pump() {
  if (looking_ >= kMostLooks) return;
  for (const TaskWatchTable::Look& look : table_.Begin(kMostLooks - looking_)) Begin(look);
}

void TaskWatchers::Begin(const TaskWatchTable::Look& look) {
  ++looking_;
  const auto looked = [this, alive = std::weak_ptr<const bool>(alive_),
                       look](const absl::StatusOr<std::vector<std::optional<TaskView>>>& tasks) {
    if (alive.expired()) return;
    --looking_;
    Looked(look, tasks);
    Pump();
  };
  const std::string& boot = membership_.self().boot;
  // Who has no boot yet registers when it has.
  if (!look.registers || boot.empty()) return store_.Read(look.queue, look.ids, /*with_input=*/false, looked);
  store_.Watch(look.queue, look.ids[0], boot, [looked](absl::StatusOr<std::optional<TaskView>> task) {
    if (!task.ok()) return looked(task.status());
    std::vector<std::optional<TaskView>> tasks;
    tasks.push_back(*std::move(task));
    looked(std::move(tasks));
  });
}

void TaskWatchers::Looked(const TaskWatchTable::Look& look,
                          const absl::StatusOr<std::vector<std::optional<TaskView>>>& tasks) {
  if (tasks.ok()) {
    for (const TaskWatchTable::News& news : table_.Looked(look, *tasks)) Tell(news);
    return;
  }
  for (const WatcherId watcher : table_.Failed(look)) TellError(watcher, tasks.status());
}

void TaskWatchers::Tell(const TaskWatchTable::News& news) {
  const absl::StatusOr<std::optional<TaskView>> task = news.task;
  for (const WatcherId watcher : news.to) {
    const auto listener = listeners_.find(watcher);
    if (listener == listeners_.end()) continue;
    const std::shared_ptr<Listener> call = listener->second;  // It may unwatch itself.
    if (news.ended) listeners_.erase(listener);
    (*call)(task);
  }
}

void TaskWatchers::TellError(WatcherId watcher, const absl::Status& why) {
  const auto listener = listeners_.find(watcher);
  if (listener == listeners_.end()) return;
  const std::shared_ptr<Listener> call = listener->second;
  listeners_.erase(listener);
  (*call)(why);
}

void TaskWatchers::LookAgainLater() {
  const double spread = std::uniform_real_distribution<double>(0.8, 1.2)(random_);
  timer_.Set(MonotonicNow() + kLookEvery * spread);
}

}  // namespace actioncluster

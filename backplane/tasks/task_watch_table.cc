#include "backplane/tasks/task_watch_table.h"

#include <algorithm>
#include <utility>

namespace actioncluster {
namespace {

bool HasEnded(const std::optional<TaskView>& task) { return !task.has_value() || task->state >= TaskState::kDone; }

// Whether there is nothing new to those who watch. That its lease was renewed is not.
bool Same(const TaskView& a, const TaskView& b) {
  return a.state == b.state && a.since == b.since && a.enqueued_at == b.enqueued_at && a.token == b.token &&
         a.attempts == b.attempts && a.lost_leases == b.lost_leases && a.worker == b.worker && a.error == b.error &&
         a.progress == b.progress;
}

}  // namespace

TaskWatchTable::WatcherId TaskWatchTable::Add(const std::string& queue, const std::string& id) {
  const WatcherId watcher = next_watcher_++;
  Key key{queue, id};
  Entry& entry = entries_[key];
  entry.watchers.emplace(watcher, Watcher{.first_look = next_look_});
  SetWant(key, entry, Want::kRegister);
  keys_.emplace(watcher, std::move(key));
  return watcher;
}

void TaskWatchTable::Remove(WatcherId watcher) {
  const auto key = keys_.find(watcher);
  if (key == keys_.end()) return;
  const Key copy = key->second;
  LetGo(copy, entries_.at(copy), {watcher});
}

void TaskWatchTable::Changed(const std::string& queue, const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    const auto entry = entries_.find({queue, id});
    if (entry != entries_.end()) SetWant(entry->first, entry->second, Want::kRead);
  }
}

void TaskWatchTable::Suspect() {
  for (auto& [key, entry] : entries_) SetWant(key, entry, entry.in_doubt ? Want::kRegister : Want::kRead);
}

void TaskWatchTable::Distrust() {
  for (auto& [key, entry] : entries_) SetWant(key, entry, Want::kRegister);
}

void TaskWatchTable::SetWant(const Key& key, Entry& entry, Want want) {
  if (want <= entry.want) return;
  entry.want = want;
  if (entry.looking == 0) Enqueue(key, entry);
}

void TaskWatchTable::Enqueue(const Key& key, const Entry& entry) {
  if (entry.want == Want::kRegister) registrations_.push_back(key);
  if (entry.want != Want::kRead) return;
  std::deque<std::string>& ids = reads_[key.first];
  if (ids.empty()) queues_to_read_.push_back(key.first);
  ids.push_back(key.second);
}

std::vector<TaskWatchTable::Look> TaskWatchTable::Begin(size_t most) {
  std::vector<Look> looks;
  while (looks.size() < most) {
    std::optional<Look> look = NextRegistration();
    if (!look.has_value()) look = NextRead();
    if (!look.has_value()) break;
    looks.push_back(*std::move(look));
  }
  return looks;
}

std::optional<TaskWatchTable::Look> TaskWatchTable::NextRegistration() {
  while (!registrations_.empty()) {
    const Key key = std::move(registrations_.front());
    registrations_.pop_front();
    const auto entry = entries_.find(key);
    if (entry == entries_.end() || entry->second.want != Want::kRegister || entry->second.looking != 0) continue;
    entry->second.want = Want::kNothing;
    entry->second.looking = next_look_;
    return Look{.number = next_look_++, .queue = key.first, .ids = {key.second}, .registers = true};
  }
  return std::nullopt;
}

std::optional<TaskWatchTable::Look> TaskWatchTable::NextRead() {
  while (!queues_to_read_.empty()) {
    Look look = {.number = next_look_, .queue = std::move(queues_to_read_.front()), .ids = {}, .registers = false};
    queues_to_read_.pop_front();
    const auto ids = reads_.find(look.queue);
    while (!ids->second.empty() && look.ids.size() < kMostRead) {
      std::string id = std::move(ids->second.front());
      ids->second.pop_front();
      const auto entry = entries_.find({look.queue, id});
      if (entry == entries_.end() || entry->second.want != Want::kRead || entry->second.looking != 0) continue;
      entry->second.want = Want::kNothing;
      entry->second.looking = look.number;
      look.ids.push_back(std::move(id));
    }
    if (ids->second.empty()) {
      reads_.erase(ids);
    } else {
      queues_to_read_.push_back(look.queue);
    }
    if (look.ids.empty()) continue;
    ++next_look_;
    return look;
  }
  return std::nullopt;
}

// The entry that the look is about; null if it is gone, or another's by now. The look is over.
TaskWatchTable::Entry* TaskWatchTable::UnderWay(const Look& look, const Key& key) {
  const auto entry = entries_.find(key);
  if (entry == entries_.end() || entry->second.looking != look.number) return nullptr;
  entry->second.looking = 0;
  return &entry->second;
}

std::vector<TaskWatchTable::News> TaskWatchTable::Looked(const Look& look,
                                                         const std::vector<std::optional<TaskView>>& tasks) {
  std::vector<News> news;
  for (size_t i = 0; i < std::min(look.ids.size(), tasks.size()); ++i) {
    const Key key{look.queue, look.ids[i]};
    Entry* entry = UnderWay(look, key);
    if (entry == nullptr) continue;
    entry->in_doubt = false;
    if (entry->want != Want::kNothing) Enqueue(key, *entry);
    News one = Tell(key, *entry, look, tasks[i]);
    if (!one.to.empty()) news.push_back(std::move(one));
  }
  return news;
}

TaskWatchTable::News TaskWatchTable::Tell(const Key& key, Entry& entry, const Look& look,
                                          const std::optional<TaskView>& task) {
  News news = {.to = {}, .task = task, .ended = HasEnded(task)};
  const bool is_new = news.ended || !entry.last.has_value() || !Same(*entry.last, *task);
  for (auto& [id, watcher] : entry.watchers) {
    if (look.number < watcher.first_look || (!is_new && watcher.told)) continue;
    watcher.told = true;
    news.to.push_back(id);
  }
  if (news.ended) {
    LetGo(key, entry, news.to);
    return news;
  }
  // Another task has the same id by now: Redis does not know that we watch that one.
  const bool replaced = entry.last.has_value() && entry.last->enqueued_at != task->enqueued_at;
  entry.last = task;
  if (replaced && !look.registers) SetWant(key, entry, Want::kRegister);
  return news;
}

std::vector<TaskWatchTable::WatcherId> TaskWatchTable::Failed(const Look& look) {
  std::vector<WatcherId> to;
  for (const std::string& id : look.ids) {
    const Key key{look.queue, id};
    Entry* entry = UnderWay(look, key);
    if (entry == nullptr) continue;
    entry->in_doubt = true;
    if (entry->want != Want::kNothing) Enqueue(key, *entry);
    std::vector<WatcherId> untold;
    for (const auto& [watcher, at] : entry->watchers) {
      if (look.number >= at.first_look && !at.told) untold.push_back(watcher);
    }
    to.insert(to.end(), untold.begin(), untold.end());
    LetGo(key, *entry, untold);
  }
  return to;
}

void TaskWatchTable::LetGo(const Key& key, Entry& entry, const std::vector<WatcherId>& watchers) {
  for (const WatcherId watcher : watchers) {
    entry.watchers.erase(watcher);
    keys_.erase(watcher);
  }
  if (entry.watchers.empty()) entries_.erase(key);
}

}  // namespace actioncluster

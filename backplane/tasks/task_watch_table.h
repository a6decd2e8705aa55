#ifndef ACTIONCLUSTER_BACKPLANE_TASKS_TASK_WATCH_TABLE_H_
#define ACTIONCLUSTER_BACKPLANE_TASKS_TASK_WATCH_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "backplane/tasks/task.h"

namespace actioncluster {

// Who on this node watches which task, and which tasks have to be looked at. All watchers of a task share its looks; there is one look at a task at a time.
//
// A look is a read, or, where Redis may not know that this node wants to hear of changes, a registration, which reads too. A watcher is told what looks find that were begun
// after it came: what is older may not know of a task that its client has just enqueued.
//
// Does no I/O and reads no clock. Confined to the I/O thread.
class TaskWatchTable {
 public:
  using WatcherId = uint64_t;

  // So many tasks are read at once, at most.
  static constexpr size_t kMostRead = 50;

  struct Look {
    uint64_t number = 0;
    std::string queue;
    std::vector<std::string> ids;  // One, if `registers`.
    bool registers = false;
  };

  // What watchers are to be told. `ended`: the task is there no more (`task` is unset), or has ended; the table has let go of these watchers.
  struct News {
    std::vector<WatcherId> to;
    std::optional<TaskView> task;
    bool ended = false;
  };

  // The task gets a look that registers.
  WatcherId Add(const std::string& queue, const std::string& id);
  // Unknown or let go of: nothing happens.
  void Remove(WatcherId watcher);
  // A signal says that these have changed.
  void Changed(const std::string& queue, const std::vector<std::string>& ids);
  // A signal may have been lost: all get a look.
  void Suspect();
  // Redis may have forgotten who wants to hear of what, or knows this node under a former boot: all get a look that registers.
  void Distrust();

  // Looks to be begun now, at most `most`; each ends by Looked or Failed. Those that wait longest come first, registrations before reads.
  std::vector<Look> Begin(size_t most);
  // Who is to be told what was found; `tasks` as the look's ids.
  std::vector<News> Looked(const Look& look, const std::vector<std::optional<TaskView>>& tasks);
  // Those who have heard nothing yet: they are to be told why, and the table has let go of them. The others go on waiting.
  std::vector<WatcherId> Failed(const Look& look);

  size_t watchers() const { return keys_.size(); }

 private:
  using Key = std::pair<std::string, std::string>;  // Queue and id.
  enum class Want { kNothing, kRead, kRegister };
  struct Watcher {
    uint64_t first_look;  // Earlier ones do not count for it.
    bool told = false;
  };
  struct Entry {
    absl::btree_map<WatcherId, Watcher> watchers;
    Want want = Want::kNothing;
    uint64_t looking = 0;   // The number of the look that is under way; 0: none is.
    bool in_doubt = false;  // The last look has failed.
    std::optional<TaskView> last;
  };

  void SetWant(const Key& key, Entry& entry, Want want);
  void Enqueue(const Key& key, const Entry& entry);
  std::optional<Look> NextRegistration();
  std::optional<Look> NextRead();
  Entry* UnderWay(const Look& look, const Key& key);
  News Tell(const Key& key, Entry& entry, const Look& look, const std::optional<TaskView>& task);
  void LetGo(const Key& key, Entry& entry, const std::vector<WatcherId>& watchers);

  WatcherId next_watcher_ = 1;
  uint64_t next_look_ = 1;
  std::map<Key, Entry> entries_;
  absl::flat_hash_map<WatcherId, Key> keys_;

  // Those that wait for a look; what is here and wants none, or is gone, is passed over.
  std::deque<Key> registrations_;
  std::deque<std::string> queues_to_read_;  // Each that has something in `reads_`, once.
  absl::flat_hash_map<std::string, std::deque<std::string>> reads_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_TASKS_TASK_WATCH_TABLE_H_

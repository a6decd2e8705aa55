#ifndef ACTIONCLUSTER_TESTS_CLUSTER_TASK_LEDGER_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_TASK_LEDGER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace actioncluster::cluster {

// What a worker has seen of a task, a line of its ledger: `KIND MICROSECONDS TOKEN ATTEMPT LOST_LEASES REASON TASK_ID`; what does not apply is 0 or `-`.
struct TaskEvent {
  enum class Kind {
    kBegun,      // It has come.
    kCompleted,  // Its outcome is about to be sent.
    kFailed,     // So.
    kRecorded,   // The node says that an outcome is recorded; `reason` is the state's number.
    kRevoked,    // The node says that it is no longer this worker's.
  };
  Kind kind;
  absl::Time time = absl::InfinitePast();
  int64_t token = 0;
  int attempt = 0;
  int lost_leases = 0;
  std::string reason = {};
  std::string task_id = {};
  std::string worker = {};  // Not in the line: whose ledger it is.
};

// The file that a worker process writes its events to, each in the kernel's hands before Write returns: a process that is killed has lost nothing. Any thread.
class LedgerFile {
 public:
  explicit LedgerFile(const std::string& path);
  ~LedgerFile();
  LedgerFile(const LedgerFile&) = delete;
  LedgerFile& operator=(const LedgerFile&) = delete;

  // `time` and `worker` are not looked at.
  void Write(const TaskEvent& event) const;

 private:
  const int fd_;
};

// The ledgers of several workers, read as they are now.
class TaskLedger {
 public:
  // By the names of the workers.
  explicit TaskLedger(const std::map<std::string, std::string>& paths);

  // Of each task, in order of their tokens, then of time.
  const std::map<std::string, std::vector<TaskEvent>>& tasks() const { return tasks_; }
  std::vector<TaskEvent> EventsOf(const std::string& task_id) const;
  std::vector<TaskEvent> EventsOf(const std::string& task_id, TaskEvent::Kind kind) const;
  int CountOf(TaskEvent::Kind kind) const;
  // Starts of tasks that had been started before.
  int repeats() const { return repeats_; }

  // What must never be: a start again without a lease lost or an attempt failed, or by the same token; a completion recorded twice, or by a token that was never begun.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  void Judge(const std::string& task_id, const std::vector<TaskEvent>& events);

  std::map<std::string, std::vector<TaskEvent>> tasks_;
  int repeats_ = 0;
  std::vector<std::string> problems_;
};

// One ledger's events so far, in the order in which they were written.
std::vector<TaskEvent> ReadLedger(const std::string& path, const std::string& worker = "");

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_TASK_LEDGER_H_

#ifndef ACTIONCLUSTER_TESTS_CLUSTER_TASK_PROGRAMS_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_TASK_PROGRAMS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"
#include "tests/cluster/task_ledger.h"

namespace actioncluster::cluster {

enum class Language { kCpp, kPython };

// A worker in a process of its own (task_worker_main.cc, tests/interop/worker.py), with a ledger that outlives it. To be used from the test's main thread.
class WorkerProgram {
 public:
  struct Options {
    Language language = Language::kCpp;
    std::string name;
    std::string queues;  // With commas between.
    int concurrency = 1;
    std::vector<std::string> addresses;  // Tried one after the other.
  };

  // Runs; it may not be attached yet.
  WorkerProgram(const TempDir& dir, Options options);

  const std::string& name() const { return options_.name; }
  const std::string& ledger() const { return ledger_; }
  Program& program() { return *program_; }
  // Awaits that it is attached to some node.
  bool AwaitStarted() { return program_->AwaitOut("started "); }

  // SIGKILL, and started again.
  void KillAndStart();
  // As they are now.
  std::vector<TaskEvent> Events() const { return ReadLedger(ledger_, options_.name); }
  // Awaits that an event of this kind is there, and gives the last such.
  TaskEvent AwaitEvent(TaskEvent::Kind kind) const;

 private:
  void Start();

  const Options options_;
  const std::string ledger_;
  std::unique_ptr<Program> program_;
};

// Addresses of all nodes, those from the I-th on first.
std::vector<std::string> AddressesFrom(Cluster& cluster, size_t first);

TaskLedger LedgerOf(const std::vector<std::unique_ptr<WorkerProgram>>& workers);

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_TASK_PROGRAMS_H_

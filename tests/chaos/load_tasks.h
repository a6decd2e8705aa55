#ifndef ACTIONCLUSTER_TESTS_CHAOS_LOAD_TASKS_H_
#define ACTIONCLUSTER_TESTS_CHAOS_LOAD_TASKS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actioncluster/tasks.h"
#include "tests/chaos/load.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {

// Tasks that clients enqueue by ids of their own, repeated until they are acknowledged; and workers, each a process, that run them and write down what they do.
class TaskLoad : public Load {
 public:
  static constexpr size_t kWorkers = 3;

  explicit TaskLoad(LoadOptions options);

  void Start() override;
  bool Settle(absl::Duration limit) override;
  void Judge(KindResult& result) override;

  // Of the thread that made this, as the workers end with it. SIGKILL; and again.
  void KillWorker(size_t worker) { workers_[worker] = nullptr; }
  void StartWorker(size_t worker);

 private:
  struct Client {
    std::unique_ptr<client::Client> client;
    int64_t number = 1;
    absl::Time since = absl::InfiniteFuture();  // When it was tried first.
    std::vector<std::string> acknowledged = {};
  };

  void Step(size_t client);
  std::string LedgerOf(size_t worker) const;
  std::optional<v1::QueueCounts> Counts();

  std::vector<Client> clients_;
  std::vector<std::unique_ptr<cluster::Program>> workers_;
  v1::QueueCounts counts_;
};

// The role of a worker in a process of its own: `worker LEDGER NAME TOKEN ADDRESS...`; until it is killed.
int RunWorker(const std::vector<std::string>& args);

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_LOAD_TASKS_H_

#ifndef ACTIONCLUSTER_TESTS_CLUSTER_TASK_TRAFFIC_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_TASK_TRAFFIC_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/v1/tasks.grpc.pb.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {

// Clients that enqueue retained tasks all the time, each on a thread of its own: half of them one task a call, by ids of their own choice; half many in a call that has
// a request id. What is not acknowledged they repeat at the next node until it is. They remember what was.
class TaskTraffic {
 public:
  struct Options {
    std::string queue;
    int clients = 4;
    int many = 50;
    int flaky_every = 20;  // The name of one in so many is `flaky`, of the others `work`; 0: none.
    int64_t limit = std::numeric_limits<int64_t>::max();  // No new call begins when so many are acknowledged.
  };
  struct Acknowledged {
    std::string task_id;
    absl::Time at;
  };

  // The cluster outlives this, and gets no further node meanwhile.
  TaskTraffic(Cluster& cluster, Options options);
  ~TaskTraffic() { Stop(); }
  TaskTraffic(const TaskTraffic&) = delete;
  TaskTraffic& operator=(const TaskTraffic&) = delete;

  // After the calls that are under way are acknowledged.
  void Stop();
  // No new call begins for as long as it is held.
  void Hold(bool held) { held_ = held; }
  int64_t count() const { return count_; }
  bool is_full() const { return count_ >= options_.limit; }
  int64_t repeated_calls() const { return repeated_; }

  std::vector<Acknowledged> acknowledged() const;
  // What an acknowledgement said that cannot be.
  std::vector<std::string> problems() const;

 private:
  void Run(size_t client);
  void One(size_t client, int64_t number);
  void Many(size_t client, int64_t number);
  v1::EnqueueRequest Next(int64_t number) const;
  v1::TaskService::Stub& NextNode(size_t client) { return *stubs_[++nodes_[client] % stubs_.size()]; }
  void Acknowledge(const std::vector<std::string>& task_ids);
  void Report(const std::string& problem);

  const Options options_;
  std::vector<v1::TaskService::Stub*> stubs_;
  std::vector<size_t> nodes_;  // Of each client, touched by it alone.
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> held_ = false;
  std::atomic<int64_t> count_ = 0;
  std::atomic<int64_t> repeated_ = 0;
  mutable absl::Mutex mutex_;
  std::vector<Acknowledged> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_TASK_TRAFFIC_H_

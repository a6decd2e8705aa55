#ifndef ACTIONCLUSTER_TESTS_CLUSTER_CACHE_ROUNDS_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_CACHE_ROUNDS_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {

// Clients over all nodes, each on a thread of its own, that add to one value by rounds of lock, read, write and unlock. The value is the sum, and the token of the lock
// under which it was written.
class CacheRounds {
 public:
  struct Options {
    std::string key = "sum";
    int clients = 50;
    int64_t rounds = 0;  // Over all clients.
    absl::Duration expire_after = absl::Seconds(30);
    // Clients die in the middle: of ten rounds one is given up while it waits for the lock, one with the lock, one after the write. A lock that expired is no failure.
    bool dying = false;
  };

  // Returns when all rounds have been done. Reports failures to the test.
  CacheRounds(Cluster& cluster, Options options);

  // Writes that were acknowledged.
  int64_t acknowledged() const { return acknowledged_; }
  // Rounds that were given up, and writes that were refused.
  int64_t abandoned() const { return abandoned_; }
  int64_t refused() const { return refused_; }
  // What cannot be.
  std::vector<std::string> problems() const;

 private:
  void Run(size_t client);
  void Round(size_t client, int64_t number);
  void Report(const std::string& problem);

  const Options options_;
  std::vector<const Node*> nodes_;
  std::atomic<int64_t> begun_ = 0;
  std::atomic<int64_t> acknowledged_ = 0;
  std::atomic<int64_t> abandoned_ = 0;
  std::atomic<int64_t> refused_ = 0;
  mutable absl::Mutex mutex_;
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mutex_);
};

// What the rounds have made of the key.
struct RoundsValue {
  int64_t sum = 0;
  int64_t token = 0;
};
// Of a value's bytes; empty bytes: nothing yet.
RoundsValue ParseRounds(const std::string& data);

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_CACHE_ROUNDS_H_

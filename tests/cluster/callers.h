#ifndef ACTIONCLUSTER_TESTS_CLUSTER_CALLERS_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_CALLERS_H_

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/cluster/calls.h"

namespace actioncluster::cluster {

// Clients that call in a loop, each on a thread of its own, and remember every answer.
class Callers {
 public:
  struct Record {
    int caller;
    absl::Time begun;
    absl::Time ended;
    grpc::StatusCode code;
    std::string reason;
    std::string message;
  };

  Callers(int count, std::function<Answer(int caller)> call);
  ~Callers() { Stop(); }
  Callers(const Callers&) = delete;
  Callers& operator=(const Callers&) = delete;

  // After the answers that are under way.
  void Stop();
  std::vector<Record> records() const;

  // Awaits that each caller has made a call after `since` that ended so. False: not within kPatience.
  bool AwaitEach(absl::Time since, absl::FunctionRef<bool(const Record&)> matches) const;
  // How long after `since` the last caller had its first success of a call begun then; InfiniteDuration: it had none.
  absl::Duration RecoveredAfter(absl::Time since) const;

 private:
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Record> records_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_CALLERS_H_

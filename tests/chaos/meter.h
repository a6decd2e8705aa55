#ifndef ACTIONCLUSTER_TESTS_CHAOS_METER_H_
#define ACTIONCLUSTER_TESTS_CHAOS_METER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace actioncluster::chaos {

// How the operations of one kind of load end: those of several clients, each of which does one at a time. Thread-safe.
class Meter {
 public:
  // An operation that takes so much longer than its deadline is stuck.
  static constexpr absl::Duration kStuck = absl::Seconds(1);

  explicit Meter(size_t clients) : clients_(clients) {}

  // Does it, and gives its status. `deadline`: how long it may take by what it has told the cluster.
  absl::Status Do(size_t client, absl::Duration deadline, absl::FunctionRef<absl::Status()> operation);

  int64_t attempted() const;
  int64_t acknowledged() const;
  // Why operations have failed, and how many: the reason of a node's error, else the code's name.
  std::map<std::string, int64_t> failed() const;
  // Those that ended too late, and those that should have ended by now.
  int64_t stuck() const;

  // How long after `time` each client's first success came of those that it began after it. Infinite: it has had none yet.
  std::vector<absl::Duration> RecoveriesFrom(absl::Time time) const;
  bool AllSucceededSince(absl::Time time) const;
  // The longest time between two successes of one client.
  absl::Duration longest_gap() const;

 private:
  struct Success {
    absl::Time begun;
    absl::Time ended;
  };
  struct Client {
    std::vector<Success> successes;
    absl::Time due = absl::InfiniteFuture();  // When what it does now is stuck.
  };

  mutable absl::Mutex mutex_;
  std::vector<Client> clients_ ABSL_GUARDED_BY(mutex_);
  int64_t attempted_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t acknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration longest_gap_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
  int64_t late_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int64_t> failed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_METER_H_

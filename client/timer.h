#ifndef ACTIONCLUSTER_CLIENT_TIMER_H_
#define ACTIONCLUSTER_CLIENT_TIMER_H_

#include <grpcpp/alarm.h>

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "client/strand.h"

namespace actioncluster::client {

// Runs a task on a strand at a (monotonic) time, unless it is cancelled or set again before. Set, Cancel and the destructor are to be called on that strand; what they
// take back never runs. A task that is set keeps alive what it holds.
class Timer {
 public:
  explicit Timer(Strand& strand) : strand_(strand) {}
  ~Timer() { Cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void Set(absl::Time at, absl::AnyInvocable<void() &&> task);
  void Cancel();

 private:
  // One setting; its alarm calls back once, whatever happens.
  struct Shot {
    grpc::Alarm alarm;
    absl::AnyInvocable<void() &&> task;  // Null once it has run or was taken back. Strand only.
  };

  Strand& strand_;
  std::shared_ptr<Shot> shot_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_TIMER_H_

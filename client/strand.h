#ifndef ACTIONCLUSTER_CLIENT_STRAND_H_
#define ACTIONCLUSTER_CLIENT_STRAND_H_

#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace actioncluster::client {

// Runs tasks one at a time, in the order in which they were posted, on the threads that post them: what is touched by tasks alone needs no lock, and a
// task may call anything, user code too. A task that is posted while another runs is run by that one's thread.
//
// Post is for any thread. A task may drop the last reference to the strand.
class Strand {
 public:
  void Post(absl::AnyInvocable<void() &&> task);

 private:
  struct State {
    absl::Mutex mutex;
    std::deque<absl::AnyInvocable<void() &&>> tasks ABSL_GUARDED_BY(mutex);
    bool running ABSL_GUARDED_BY(mutex) = false;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_STRAND_H_

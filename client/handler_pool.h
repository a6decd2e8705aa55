#ifndef ACTIONCLUSTER_CLIENT_HANDLER_POOL_H_
#define ACTIONCLUSTER_CLIENT_HANDLER_POOL_H_

#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace actioncluster::client {

// A few threads that run what may block, in the order in which it comes. Any thread, but for those of the pool itself: they cannot stop it.
class HandlerPool {
 public:
  explicit HandlerPool(int threads);
  ~HandlerPool() { Stop(); }
  HandlerPool(const HandlerPool&) = delete;
  HandlerPool& operator=(const HandlerPool&) = delete;

  // Dropped once it is stopped.
  void Run(absl::AnyInvocable<void() &&> task) ABSL_LOCKS_EXCLUDED(mutex_);
  // Drops what has not begun; returns when the rest has ended.
  void Stop() ABSL_LOCKS_EXCLUDED(stopping_mutex_, mutex_);

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Mutex stopping_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(stopping_mutex_);

  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void() &&>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_HANDLER_POOL_H_

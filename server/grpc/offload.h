#ifndef ACTIONCLUSTER_SERVER_GRPC_OFFLOAD_H_
#define ACTIONCLUSTER_SERVER_GRPC_OFFLOAD_H_

#include <cstddef>
#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace actioncluster {

// Keeps work that grows with the data off the I/O thread: converting a large body takes as long as hundreds of messages. Small work runs
// at once where it is, since a thread hop costs more. Any thread.
class Offload {
 public:
  static constexpr size_t kInlineBytes = size_t{16} * 1024;

  Offload();
  // Runs what is queued, then ends its thread.
  ~Offload();

  // Runs `work` before it returns if `bytes` are few, else as Post does.
  void Run(size_t bytes, absl::AnyInvocable<void() &&> work) ABSL_LOCKS_EXCLUDED(mutex_);
  // Runs `work` on its own thread, in the order of posting.
  void Post(absl::AnyInvocable<void() &&> work) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Loop() ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void() &&>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_OFFLOAD_H_

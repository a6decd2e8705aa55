#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_LOOP_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_LOOP_H_

#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

struct uv_loop_s;

namespace actioncluster {

// The event loop of a node. The thread that calls Run is the node's I/O thread; whatever is "confined to the I/O
// thread" runs there.
//
// One turn: timers, posted tasks and socket events, then the flush hooks, so that all that was written during the turn
// leaves in one write. Built on libuv, whose handle is for the neighbours in this folder only.
//
// Run blocks SIGPIPE for its thread, for good: a peer that hangs up is an error of the write, not the end of the
// process.
class Loop {
 public:
  using Task = absl::AnyInvocable<void() &&>;

  Loop();
  // After Run has returned, or if it was never called. Timers and links of the loop must be gone. Waits for a host name
  // that is still being resolved.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until Stop. Before it returns, it runs every task that was posted before Stop, and those that these post.
  void Run();

  // Any thread, and once. Run returns after the current turn and what was posted.
  void Stop();

  // Runs the task on the I/O thread, in the order of posting, never inside this call. Many posts cost one wake-up. Any
  // thread, before and during Run. Tasks that are posted after Run has returned are destroyed unrun with the loop.
  void Post(Task task) ABSL_LOCKS_EXCLUDED(mutex_);

  // True on the thread that is in Run.
  bool InLoop() const;

  // For this folder. I/O thread, or before Run.
  uv_loop_s* uv();
  // Adds a hook that runs at the end of each turn; the returned token removes it when it is destroyed. A hook only
  // writes: it runs nobody's callbacks, or what these write to other connections would lie until the next turn.
  class FlushHook;
  std::unique_ptr<FlushHook> AddFlushHook(absl::AnyInvocable<void()> hook);

 private:
  friend class Timer;
  struct Impl;
  void RunPosted() ABSL_LOCKS_EXCLUDED(mutex_);

  std::unique_ptr<Impl> impl_;  // The uv handles; I/O thread only.
  absl::Mutex mutex_;
  std::vector<Task> posted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

class Loop::FlushHook {
 public:
  virtual ~FlushHook() = default;
};

// One alarm, set again as often as one likes. I/O thread only (or before Run). The callback never runs inside Set, nor
// after Cancel or destruction; it may set or destroy the timer itself.
class Timer {
 public:
  Timer(Loop& loop, absl::AnyInvocable<void()> on_due);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Monotonic time (MonotonicNow); the past means as soon as possible, InfiniteFuture cancels. Replaces an earlier
  // setting.
  void Set(absl::Time when);
  void Cancel();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_LOOP_H_

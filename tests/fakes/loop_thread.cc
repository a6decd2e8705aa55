#include "tests/fakes/loop_thread.h"

#include "absl/synchronization/notification.h"
#include "glog/logging.h"

namespace actioncluster::fakes {

LoopThread::LoopThread() : thread_([this] { loop_.Run(); }) {}

LoopThread::~LoopThread() { Stop(); }

void LoopThread::Stop() {
  if (!thread_.joinable()) return;
  loop_.Stop();
  thread_.join();
}

void LoopThread::RunTask(absl::FunctionRef<void()> task) {
  CHECK(!loop_.InLoop());
  absl::Notification done;
  loop_.Post([&] {
    task();
    done.Notify();
  });
  done.WaitForNotification();
}

}  // namespace actioncluster::fakes

#include "client/handler_pool.h"

#include <algorithm>
#include <utility>

namespace actioncluster::client {

HandlerPool::HandlerPool(int threads) {
  absl::MutexLock lock(&stopping_mutex_);
  for (int i = 0; i < std::max(threads, 1); ++i) threads_.emplace_back([this] { Work(); });
}

void HandlerPool::Run(absl::AnyInvocable<void() &&> task) {
  absl::MutexLock lock(&mutex_);
  if (!stopped_) tasks_.push_back(std::move(task));
}

void HandlerPool::Stop() {
  // Whoever comes second waits for the threads as well.
  absl::MutexLock stopping(&stopping_mutex_);
  std::deque<absl::AnyInvocable<void() &&>> dropped;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    std::swap(dropped, tasks_);
  }
  for (std::thread& thread : std::exchange(threads_, {})) thread.join();
}

void HandlerPool::Work() {
  const auto wake = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || !tasks_.empty(); };
  while (true) {
    absl::AnyInvocable<void() &&> task;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&wake));
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    std::move(task)();
  }
}

}  // namespace actioncluster::client

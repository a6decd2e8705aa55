#include "server/grpc/offload.h"

#include <utility>

namespace actioncluster {

Offload::Offload() : thread_([this] { Loop(); }) {}

Offload::~Offload() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void Offload::Run(size_t bytes, absl::AnyInvocable<void() &&> work) {
  if (bytes <= kInlineBytes) {
    std::move(work)();
  } else {
    Post(std::move(work));
  }
}

void Offload::Post(absl::AnyInvocable<void() &&> work) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(work));
}

void Offload::Loop() {
  for (;;) {
    absl::AnyInvocable<void() &&> work;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](Offload* self)
               ABSL_EXCLUSIVE_LOCKS_REQUIRED(self->mutex_) { return self->stopping_ || !self->queue_.empty(); },
          this));
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    std::move(work)();
  }
}

}  // namespace actioncluster

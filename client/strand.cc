#include "client/strand.h"

#include <utility>

namespace actioncluster::client {

void Strand::Post(absl::AnyInvocable<void() &&> task) {
  const std::shared_ptr<State> state = state_;  // The strand may go with the last task.
  {
    absl::MutexLock lock(&state->mutex);
    state->tasks.push_back(std::move(task));
    if (std::exchange(state->running, true)) return;
  }
  while (true) {
    absl::AnyInvocable<void() &&> next;
    {
      absl::MutexLock lock(&state->mutex);
      if (state->tasks.empty()) {
        state->running = false;
        return;
      }
      next = std::move(state->tasks.front());
      state->tasks.pop_front();
    }
    std::move(next)();
  }
}

}  // namespace actioncluster::client

#include "backplane/tasks/enqueue_batches.h"

#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

size_t BytesOf(const std::vector<NewTask>& tasks) {
  size_t bytes = 0;
  for (const NewTask& task : tasks) bytes += task.input.body.size();
  return bytes;
}

}  // namespace

EnqueueBatches::~EnqueueBatches() {
  for (auto& [queue, waiting] : queues_) {
    for (Caller& caller : waiting) std::move(caller.done)(BackplaneUnavailable("this node is stopping"));
  }
}

void EnqueueBatches::Add(const std::string& queue, std::vector<NewTask> tasks, Done done) {
  const size_t bytes = BytesOf(tasks);
  Caller caller{std::move(tasks), bytes, std::move(done)};
  const auto [at, alone] = queues_.try_emplace(queue);
  if (!alone) {
    at->second.push_back(std::move(caller));
    return;
  }
  std::vector<Caller> callers;
  callers.push_back(std::move(caller));
  Send(queue, std::move(callers));
}

void EnqueueBatches::Send(const std::string& queue, std::vector<Caller> callers) {
  std::vector<NewTask> tasks;
  for (Caller& caller : callers) {
    tasks.insert(tasks.end(), std::make_move_iterator(caller.tasks.begin()),
                 std::make_move_iterator(caller.tasks.end()));
  }
  send_(queue, tasks,
        [this, alive = std::weak_ptr<const bool>(alive_), queue,
         callers = std::move(callers)](absl::StatusOr<std::vector<EnqueueOutcome>> outcomes) mutable {
          // The next batch is on its way before anybody hears of this one.
          if (!alive.expired()) SendNext(queue);
          Distribute(std::move(callers), std::move(outcomes));
        });
}

void EnqueueBatches::SendNext(const std::string& queue) {
  std::deque<Caller>& waiting = queues_.at(queue);
  if (waiting.empty()) {
    queues_.erase(queue);
    return;
  }
  std::vector<Caller> next;
  size_t tasks = 0;
  size_t bytes = 0;
  while (!waiting.empty()) {
    tasks += waiting.front().tasks.size();
    bytes += waiting.front().bytes;
    if (!next.empty() && (tasks > kMaxTasks || bytes > kMaxBytes)) break;
    next.push_back(std::move(waiting.front()));
    waiting.pop_front();
  }
  Send(queue, std::move(next));
}

void EnqueueBatches::Distribute(std::vector<Caller> callers, absl::StatusOr<std::vector<EnqueueOutcome>> outcomes) {
  size_t at = 0;
  for (Caller& caller : callers) {
    const size_t count = caller.tasks.size();
    if (!outcomes.ok()) {
      std::move(caller.done)(outcomes.status());
    } else if (at + count > outcomes->size()) {
      std::move(caller.done)(absl::InternalError("a script of tasks gave fewer outcomes than tasks"));
    } else {
      const auto from = outcomes->begin() + static_cast<ptrdiff_t>(at);
      std::move(caller.done)(std::vector<EnqueueOutcome>(from, from + static_cast<ptrdiff_t>(count)));
    }
    at += count;
  }
}

}  // namespace actioncluster

#ifndef ACTIONCLUSTER_SERVER_SERVICES_QUEUE_TOUR_H_
#define ACTIONCLUSTER_SERVER_SERVICES_QUEUE_TOUR_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backplane/tasks/task_store.h"
#include "server/services/caller.h"

namespace actioncluster {

// Asks the same of many queues, some at a time. Ends with all answers, in the order of the queues; with the first error; or when the caller is gone.
//
// Confined to the I/O thread. It lives until the answers that are under way have come.
template <class T>
class QueueTour : public std::enable_shared_from_this<QueueTour<T>> {
 public:
  // Gives `then` the answer of one queue, not inside the call.
  using Ask = absl::AnyInvocable<void(const std::string& queue, TaskStore::Then<T> then)>;
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::vector<T>>) &&>;

  static void Start(std::vector<std::string> queues, Caller caller, Ask ask, Done done) {
    std::shared_ptr<QueueTour> tour(
        new QueueTour(std::move(queues), std::move(caller), std::move(ask), std::move(done)));
    tour->Continue();
  }

 private:
  static constexpr size_t kAtOnce = 32;

  QueueTour(std::vector<std::string> queues, Caller caller, Ask ask, Done done)
      : queues_(std::move(queues)),
        caller_(std::move(caller)),
        ask_(std::move(ask)),
        done_(std::move(done)),
        answers_(queues_.size()) {}

  void Continue() {
    if (!done_) return;
    if (caller_.gone()) return End(Caller::Gone());
    if (answered_ == queues_.size()) return EndWell();
    for (; asked_ < queues_.size() && asked_ - answered_ < kAtOnce; ++asked_) {
      ask_(queues_[asked_], [self = this->shared_from_this(), i = asked_](absl::StatusOr<T> answer) {
        ++self->answered_;
        if (!answer.ok()) return self->End(answer.status());
        self->answers_[i] = *std::move(answer);
        self->Continue();
      });
    }
  }

  void EndWell() {
    std::vector<T> answers;
    answers.reserve(answers_.size());
    for (std::optional<T>& answer : answers_) answers.push_back(*std::move(answer));
    std::exchange(done_, nullptr)(std::move(answers));
  }
  void End(const absl::Status& why) {
    if (done_) std::exchange(done_, nullptr)(why);
  }

  const std::vector<std::string> queues_;
  const Caller caller_;
  Ask ask_;
  Done done_;
  std::vector<std::optional<T>> answers_;
  size_t asked_ = 0;
  size_t answered_ = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_QUEUE_TOUR_H_

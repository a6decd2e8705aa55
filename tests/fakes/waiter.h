#ifndef ACTIONCLUSTER_TESTS_FAKES_WAITER_H_
#define ACTIONCLUSTER_TESTS_FAKES_WAITER_H_

#include <deque>
#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "glog/logging.h"

namespace actioncluster::fakes {

// No test waits longer for an event: generous, as the machine may be busy.
inline constexpr absl::Duration kPatience = absl::Seconds(20);

// Awaits results that come on other threads. Copies share the same results, so that a callback may outlive the test
// that waits.
//
//   Waiter<absl::StatusOr<Reply>> waiter;
//   client.Execute(command, waiter.Callback());
//   EXPECT_OK(waiter.Next());
template <class T>
class Waiter {
 public:
  // A callback that adds a result; as many as one likes.
  auto Callback() const {
    return [state = state_](T result) {
      absl::MutexLock lock(&state->mutex);
      state->results.push_back(std::move(result));
    };
  }

  // Adds a result.
  void Add(T result) const { Callback()(std::move(result)); }

  // Awaits the next result, in the order of arrival. Ends the program with the stack if none comes.
  T Next() const {
    absl::MutexLock lock(&state_->mutex);
    CHECK(state_->mutex.AwaitWithTimeout(absl::Condition(state_.get(), &State::Any), kPatience)) << "nothing came";
    T result = std::move(state_->results.front());
    state_->results.pop_front();
    return result;
  }

  // Drops results until one satisfies the predicate, and returns that.
  template <class Predicate>
  T NextThat(Predicate predicate) const {
    while (true) {
      T result = Next();
      if (predicate(std::as_const(result))) return result;
    }
  }

  // How many have come and were not taken.
  size_t size() const {
    absl::MutexLock lock(&state_->mutex);
    return state_->results.size();
  }

 private:
  struct State {
    bool Any() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return !results.empty(); }

    mutable absl::Mutex mutex;
    std::deque<T> results ABSL_GUARDED_BY(mutex);
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_WAITER_H_

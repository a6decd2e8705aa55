#ifndef ACTIONCLUSTER_TESTS_FAKES_LOOP_THREAD_H_
#define ACTIONCLUSTER_TESTS_FAKES_LOOP_THREAD_H_

#include <optional>
#include <thread>
#include <type_traits>

#include "absl/functional/function_ref.h"
#include "backplane/redis/loop.h"

namespace actioncluster::fakes {

// A node's I/O thread for tests: runs a loop until it is destroyed. What lives on the loop must be gone by then;
// destroy it with Run.
class LoopThread {
 public:
  LoopThread();
  ~LoopThread();

  Loop& loop() { return loop_; }

  // Executes `function` on the loop's thread and waits for it; returns what it returns. Not from the loop's thread.
  template <class Function>
  auto Run(Function function) {
    using Result = std::invoke_result_t<Function>;
    if constexpr (std::is_void_v<Result>) {
      RunTask(function);
    } else {
      std::optional<Result> result;
      RunTask([&] { result.emplace(function()); });
      return *std::move(result);
    }
  }

  // Ends the loop before its time; what lives on it may be destroyed on any thread from then on. Run works no more.
  void Stop();

 private:
  void RunTask(absl::FunctionRef<void()> task);

  Loop loop_;
  std::thread thread_;
};

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_LOOP_THREAD_H_

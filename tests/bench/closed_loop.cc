#include "tests/bench/closed_loop.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "backplane/domain/clock.h"
#include "glog/logging.h"

namespace actioncluster::bench {
namespace {

// One of the operations that are in flight, and then its successor. Its members are touched by one of them at a time.
class Lane {
 public:
  Lane(const Operation& operation, const std::function<bool()>& goes_on, absl::BlockingCounter& ended)
      : operation_(operation), goes_on_(goes_on), ended_(ended) {}

  void Begin() {
    begun_ = MonotonicNow();
    operation_([this](bool ok) {
      const absl::Time now = MonotonicNow();
      took_.push_back(now - begun_);
      if (!ok) ++failures_;
      if (goes_on_()) return Begin();
      ended_.DecrementCount();
    });
  }

  const std::vector<absl::Duration>& took() const { return took_; }
  uint64_t failures() const { return failures_; }

 private:
  const Operation& operation_;
  const std::function<bool()>& goes_on_;
  absl::BlockingCounter& ended_;
  absl::Time begun_;
  std::vector<absl::Duration> took_;
  uint64_t failures_ = 0;
};

absl::Duration Quantile(std::vector<absl::Duration>& took, double quantile) {
  const auto nth = took.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(took.size() - 1) * quantile);
  std::nth_element(took.begin(), nth, took.end());
  return *nth;
}

Measurement Summarize(std::vector<absl::Duration> took, uint64_t failures, absl::Duration length) {
  Measurement measured;
  measured.operations = took.size();
  measured.failures = failures;
  measured.length = length;
  measured.p50 = Quantile(took, 0.5);
  measured.p99 = Quantile(took, 0.99);
  return measured;
}

}  // namespace

Measurement RunClosedLoop(int in_flight, absl::Duration length, const Operation& operation) {
  const absl::Time until = MonotonicNow() + length;
  return RunWhile(
      in_flight, [until] { return MonotonicNow() < until; }, operation);
}

Measurement RunWhile(int in_flight, const std::function<bool()>& goes_on, const Operation& operation) {
  CHECK_GT(in_flight, 0);
  absl::BlockingCounter ended(in_flight);
  const absl::Time begun = MonotonicNow();
  std::deque<Lane> lanes;
  for (int i = 0; i < in_flight; ++i) lanes.emplace_back(operation, goes_on, ended);
  for (Lane& lane : lanes) lane.Begin();
  ended.Wait();
  const absl::Duration length = MonotonicNow() - begun;
  std::vector<absl::Duration> took;
  uint64_t failures = 0;
  for (const Lane& lane : lanes) {
    took.insert(took.end(), lane.took().begin(), lane.took().end());
    failures += lane.failures();
  }
  return Summarize(std::move(took), failures, length);
}

Measurement RunThreads(int threads, absl::Duration length, const std::function<bool()>& operation) {
  CHECK_GT(threads, 0);
  std::vector<std::vector<absl::Duration>> took(static_cast<size_t>(threads));
  std::atomic<uint64_t> failures = 0;
  const absl::Time begun = MonotonicNow();
  std::vector<std::thread> running;
  for (std::vector<absl::Duration>& of_thread : took) {
    running.emplace_back([&operation, &failures, &of_thread, until = begun + length] {
      for (absl::Time now = MonotonicNow(); now < until;) {
        if (!operation()) ++failures;
        const absl::Time ended = MonotonicNow();
        of_thread.push_back(ended - now);
        now = ended;
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  std::vector<absl::Duration> all;
  for (const auto& of_thread : took) all.insert(all.end(), of_thread.begin(), of_thread.end());
  return Summarize(std::move(all), failures, MonotonicNow() - begun);
}

}  // namespace actioncluster::bench

#include "tests/bench/closed_loop.h"

#include <algorithm>
#include <deque>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "backplane/domain/clock.h"
#include "glog/logging.h"

namespace actioncluster::bench {
namespace {

// One of the operations that are in flight, and then its successor. Its members are touched by one of them at a time.
class Lane {
 public:
  Lane(const Operation& operation, absl::Time until, absl::BlockingCounter& ended)
      : operation_(operation), until_(until), ended_(ended) {}

  void Begin() {
    begun_ = MonotonicNow();
    operation_([this](bool ok) {
      const absl::Time now = MonotonicNow();
      took_.push_back(now - begun_);
      if (!ok) ++failures_;
      if (now < until_) return Begin();
      ended_.DecrementCount();
    });
  }

  const std::vector<absl::Duration>& took() const { return took_; }
  uint64_t failures() const { return failures_; }

 private:
  const Operation& operation_;
  const absl::Time until_;
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

}  // namespace

Measurement RunClosedLoop(int in_flight, absl::Duration length, const Operation& operation) {
  CHECK_GT(in_flight, 0);
  absl::BlockingCounter ended(in_flight);
  const absl::Time begun = MonotonicNow();
  std::deque<Lane> lanes;
  for (int i = 0; i < in_flight; ++i) lanes.emplace_back(operation, begun + length, ended);
  for (Lane& lane : lanes) lane.Begin();
  ended.Wait();
  Measurement measured;
  measured.length = MonotonicNow() - begun;
  std::vector<absl::Duration> took;
  for (const Lane& lane : lanes) {
    took.insert(took.end(), lane.took().begin(), lane.took().end());
    measured.failures += lane.failures();
  }
  measured.operations = took.size();
  measured.p50 = Quantile(took, 0.5);
  measured.p99 = Quantile(took, 0.99);
  return measured;
}

}  // namespace actioncluster::bench

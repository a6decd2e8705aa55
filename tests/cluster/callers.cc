#include "tests/cluster/callers.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/time/clock.h"
#include "tests/cluster/program.h"

namespace actioncluster::cluster {

Callers::Callers(int count, std::function<Answer(int caller)> call) {
  for (int caller = 0; caller < count; ++caller) {
    threads_.emplace_back([this, caller, call] {
      while (true) {
        const absl::Time begun = absl::Now();
        const Answer answer = call(caller);
        // A client that is refused at once does not ask again at once, or it would take the machine from what recovers.
        if (!answer.ok()) absl::SleepFor(absl::Milliseconds(10));
        absl::MutexLock lock(&mutex_);
        records_.push_back({.caller = caller,
                            .begun = begun,
                            .ended = begun + answer.took,
                            .code = answer.code(),
                            .reason = answer.reason(),
                            .message = answer.status.error_message()});
        if (stopping_) return;
      }
    });
  }
}

void Callers::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : std::exchange(threads_, {})) thread.join();
}

std::vector<Callers::Record> Callers::records() const {
  absl::MutexLock lock(&mutex_);
  return records_;
}

bool Callers::AwaitEach(absl::Time since, absl::FunctionRef<bool(const Record&)> matches) const {
  std::set<int> waiting;
  for (int caller = 0; caller < static_cast<int>(threads_.size()); ++caller) waiting.insert(caller);
  size_t seen = 0;
  return Await([&] {
    absl::MutexLock lock(&mutex_);
    for (; seen < records_.size(); ++seen) {
      const Record& record = records_[seen];
      if (record.begun > since && matches(record)) waiting.erase(record.caller);
    }
    return waiting.empty();
  });
}

absl::Duration Callers::RecoveredAfter(absl::Time since) const {
  absl::Time latest = since;
  const bool each = AwaitEach(since, [&](const Record& record) { return record.code == grpc::OK; });
  if (!each) return absl::InfiniteDuration();
  std::set<int> recovered;
  for (const Record& record : records()) {
    if (record.begun <= since || record.code != grpc::OK || !recovered.insert(record.caller).second) continue;
    latest = std::max(latest, record.ended);
  }
  return latest - since;
}

}  // namespace actioncluster::cluster

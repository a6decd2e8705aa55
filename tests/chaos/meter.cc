#include "tests/chaos/meter.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "actioncluster/status.h"

namespace actioncluster::chaos {

absl::Status Meter::Do(size_t client, absl::Duration deadline, absl::FunctionRef<absl::Status()> operation) {
  const absl::Time begun = absl::Now();
  {
    absl::MutexLock lock(&mutex_);
    ++attempted_;
    clients_[client].due = begun + deadline + kStuck;
  }
  absl::Status status = operation();
  const absl::Time ended = absl::Now();
  absl::MutexLock lock(&mutex_);
  if (ended > clients_[client].due) ++late_;
  clients_[client].due = absl::InfiniteFuture();
  if (status.ok()) {
    ++acknowledged_;
    if (!clients_[client].successes.empty())
      longest_gap_ = std::max(longest_gap_, ended - clients_[client].successes.back().ended);
    clients_[client].successes.push_back({begun, ended});
  } else {
    const std::string reason = client::ReasonNameOf(status);
    ++failed_[reason.empty() ? absl::StatusCodeToString(status.code()) : reason];
  }
  return status;
}

int64_t Meter::attempted() const {
  absl::MutexLock lock(&mutex_);
  return attempted_;
}

int64_t Meter::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return acknowledged_;
}

std::map<std::string, int64_t> Meter::failed() const {
  absl::MutexLock lock(&mutex_);
  return failed_;
}

absl::Duration Meter::longest_gap() const {
  absl::MutexLock lock(&mutex_);
  return longest_gap_;
}

int64_t Meter::stuck() const {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  return late_ + std::ranges::count_if(clients_, [now](const Client& client) { return client.due < now; });
}

std::vector<absl::Duration> Meter::RecoveriesFrom(absl::Time time) const {
  std::vector<absl::Duration> recoveries;
  absl::MutexLock lock(&mutex_);
  for (const Client& client : clients_) {
    const auto first = std::ranges::upper_bound(client.successes, time, {}, &Success::begun);
    recoveries.push_back(first == client.successes.end() ? absl::InfiniteDuration() : first->ended - time);
  }
  return recoveries;
}

bool Meter::AllSucceededSince(absl::Time time) const {
  return std::ranges::none_of(RecoveriesFrom(time), [](absl::Duration one) { return one == absl::InfiniteDuration(); });
}

}  // namespace actioncluster::chaos

#include "client/attach_plan.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/random/distributions.h"

namespace actioncluster::client {
namespace {

// Of a long list a few do: a round's length, and with it what an outage costs everyone, must not grow with the cluster.
constexpr size_t kHeardOf = 3;

}  // namespace

AttachPlan::AttachPlan(std::vector<std::string> configured, absl::BitGenRef random)
    : AttachPlan(std::move(configured), random, Options()) {}

AttachPlan::AttachPlan(std::vector<std::string> configured, absl::BitGenRef random, Options options)
    : configured_(std::move(configured)),
      random_(random),
      options_(options),
      queue_(configured_.begin(), configured_.end()),
      backoff_(options.initial_backoff) {}

AttachPlan::Attempt AttachPlan::Next(absl::Time now) {
  if (queue_.empty()) {
    Delay(now);
    Refill({}, "");
  }
  Attempt attempt{.address = std::move(queue_.front()), .at = std::max(now, not_before_)};
  queue_.pop_front();
  return attempt;
}

void AttachPlan::Attached(absl::Time now) { attached_at_ = now; }

void AttachPlan::Failed(const std::string& address, absl::Time now) {
  if (EndStanding(now)) Refill({}, address);
}

void AttachPlan::Leave(const std::string& address, const std::vector<std::string>& alternatives, absl::Time now) {
  // Nodes that all drain name each other: those who run from one to the next must slow down.
  if (!EndStanding(now)) Delay(now);
  Refill(alternatives, address);
}

void AttachPlan::Learn(std::vector<std::string> nodes) { listed_ = std::move(nodes); }

bool AttachPlan::EndStanding(absl::Time now) {
  const bool stable = now - std::exchange(attached_at_, absl::InfiniteFuture()) >= options_.stable_after;
  if (stable) {
    backoff_ = options_.initial_backoff;
    not_before_ = absl::InfinitePast();
  }
  return stable;
}

void AttachPlan::Refill(std::vector<std::string> alternatives, const std::string& last) {
  queue_.clear();
  const auto add = [this](const std::string& address) {
    if (std::find(queue_.begin(), queue_.end(), address) == queue_.end()) queue_.push_back(address);
  };
  const auto add_some = [&](std::vector<std::string> addresses) {
    std::erase(addresses, last);
    std::shuffle(addresses.begin(), addresses.end(), random_);
    if (addresses.size() > kHeardOf) addresses.resize(kHeardOf);
    for (const std::string& address : addresses) add(address);
  };
  add_some(std::move(alternatives));
  add_some(listed_);
  for (const std::string& address : configured_) {
    if (address != last) add(address);
  }
  if (!last.empty()) add(last);
}

void AttachPlan::Delay(absl::Time now) {
  not_before_ = now + backoff_ * absl::Uniform(random_, 1.0, 2.0);
  backoff_ = std::min(backoff_ * 2, options_.max_delay / 2);
}

}  // namespace actioncluster::client

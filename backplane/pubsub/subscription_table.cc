#include "backplane/pubsub/subscription_table.h"

#include <algorithm>
#include <utility>

namespace actioncluster {
namespace {

// Who publishes ever new types makes matching as dear as it was, and no more.
constexpr size_t kMaxMatched = 1024;

}  // namespace

SubscriptionTable::Added SubscriptionTable::Add(Id id, Interest interest) {
  matched_.clear();
  Added added;
  Subscriber subscriber;
  for (Feed& feed : FeedsOf(interest)) {
    const auto [listened, is_new] = feeds_.try_emplace(feed);
    listened->second.subscribers.insert(id);
    if (!listened->second.confirmed) ++subscriber.unconfirmed;
    if (is_new) added.listen.push_back(std::move(feed));
  }
  added.complete = subscriber.unconfirmed == 0;
  subscriber.interest = std::move(interest);
  subscribers_.emplace(id, std::move(subscriber));
  return added;
}

std::vector<SubscriptionTable::Feed> SubscriptionTable::Remove(Id id) {
  matched_.clear();
  std::vector<Feed> unwanted;
  const auto found = subscribers_.find(id);
  if (found == subscribers_.end()) return unwanted;
  for (Feed& feed : FeedsOf(found->second.interest)) {
    const auto listened = feeds_.find(feed);
    listened->second.subscribers.erase(id);
    if (!listened->second.subscribers.empty()) continue;
    feeds_.erase(listened);
    unwanted.push_back(std::move(feed));
  }
  subscribers_.erase(found);
  return unwanted;
}

std::vector<SubscriptionTable::Id> SubscriptionTable::Confirmed(const Feed& feed) {
  matched_.clear();
  std::vector<Id> complete;
  const auto listened = feeds_.find(feed);
  if (listened == feeds_.end() || std::exchange(listened->second.confirmed, true)) return complete;
  for (const Id id : listened->second.subscribers) {
    if (--subscribers_.at(id).unconfirmed == 0) complete.push_back(id);
  }
  return complete;
}

std::vector<SubscriptionTable::Id> SubscriptionTable::Audience(const Feed& feed, absl::string_view type) {
  if (feed.has_value()) return Match(feed, type);
  if (const auto known = matched_.find(type); known != matched_.end()) return known->second;
  if (matched_.size() >= kMaxMatched) matched_.clear();
  return matched_[type] = Match(feed, type);
}

std::vector<SubscriptionTable::Id> SubscriptionTable::Match(const Feed& feed, absl::string_view type) const {
  std::vector<Id> audience;
  const auto listened = feeds_.find(feed);
  if (listened == feeds_.end()) return audience;
  for (const Id id : listened->second.subscribers) {
    const Subscriber& subscriber = subscribers_.at(id);
    if (subscriber.unconfirmed == 0 && (feed.has_value() || subscriber.interest.Matches(type))) audience.push_back(id);
  }
  return audience;
}

std::vector<SubscriptionTable::Feed> SubscriptionTable::FeedsOf(const Interest& interest) {
  if (!interest.patterns.empty()) return {std::nullopt};
  return {interest.types.begin(), interest.types.end()};
}

std::vector<SubscriptionTable::Id> SubscriptionTable::Complete() const {
  std::vector<Id> ids;
  for (const auto& [id, subscriber] : subscribers_) {
    if (subscriber.unconfirmed == 0) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace actioncluster

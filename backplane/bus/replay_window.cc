#include "backplane/bus/replay_window.h"

#include <algorithm>

namespace actioncluster {
namespace {

// When Redis's clock is stepped, nodes see it one after the other, within the time between two samples. A recording is never ahead, so this lets none in.
constexpr absl::Duration kAheadSlack = absl::Seconds(2);

}  // namespace

void ReplayWindow::Subscribed(absl::string_view channel, absl::Time now) {
  Channel& subscribed = channels_[channel];
  if (!subscribed.since.has_value()) subscribed.since = now;
}

void ReplayWindow::Unsubscribed(absl::string_view channel) {
  const auto found = channels_.find(channel);
  // What was seen stays known: after a new subscription a recording might otherwise pass within the clocks' uncertainty.
  if (found != channels_.end()) found->second.since.reset();
}

bool ReplayWindow::IsSubscribed(absl::string_view channel) const {
  const auto found = channels_.find(channel);
  return found != channels_.end() && found->second.since.has_value();
}

std::optional<Rejection> ReplayWindow::Admit(absl::string_view channel, absl::string_view sender_boot,
                                             uint64_t sequence, absl::Time sent_at, absl::Duration uncertainty,
                                             absl::Time now) {
  const auto found = channels_.find(channel);
  if (found == channels_.end() || !found->second.since.has_value()) return Rejection::kStale;
  Channel& subscribed = found->second;
  // Forget counts on this limit.
  uncertainty = std::clamp(uncertainty, absl::ZeroDuration(), max_age_ / 4);
  if (sent_at - uncertainty - kAheadSlack > now) return Rejection::kAhead;
  const auto seen = subscribed.boots.find(sender_boot);
  if (seen != subscribed.boots.end() && sequence <= seen->second.last_sequence) return Rejection::kReplayed;
  const absl::Time oldest = std::max(*subscribed.since, now - max_age_);
  if (sent_at + uncertainty < oldest) return Rejection::kStale;
  if (seen == subscribed.boots.end()) {
    subscribed.boots.emplace(sender_boot, Seen{sequence, now});
  } else {
    seen->second = Seen{sequence, now};
  }
  return std::nullopt;
}

void ReplayWindow::Forget(absl::Time now) {
  // An envelope came when its stamp was at most an uncertainty ahead, and may come until it is `max_age` and an uncertainty old: within
  // one and a half `max_age`.
  const absl::Time oldest = now - 2 * max_age_;
  for (auto channel = channels_.begin(); channel != channels_.end();) {
    absl::erase_if(channel->second.boots, [oldest](const auto& boot) { return boot.second.at < oldest; });
    const auto current = channel++;
    if (!current->second.since.has_value() && current->second.boots.empty()) channels_.erase(current);
  }
}

size_t ReplayWindow::size() const {
  size_t boots = 0;
  for (const auto& [name, channel] : channels_) boots += channel.boots.size();
  return boots;
}

}  // namespace actioncluster

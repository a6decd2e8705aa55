#include "backplane/redis/tracker.h"

#include <deque>
#include <utility>

#include "backplane/redis/link.h"

namespace actioncluster::redis {

struct Tracker::Impl {
  Impl(Loop& loop, LinkOptions options, const std::vector<std::string>& prefixes, absl::Duration ask_every,
       TrackingListener& listener)
      : core(options, prefixes, ask_every, listener),
        link(loop, std::move(options), core, [this](const absl::Status& state) { Notify(state); }) {}

  void Notify(const absl::Status& state) {
    // By index: a listener may add another.
    for (size_t i = 0; i < listeners.size(); ++i) listeners[i](state);
  }

  std::deque<StateListener> listeners;
  TrackingCore core;
  Link link;
};

Tracker::Tracker(Loop& loop, LinkOptions options, const std::vector<std::string>& prefixes, absl::Duration ask_every,
                 TrackingListener& listener)
    : impl_(std::make_unique<Impl>(loop, std::move(options), prefixes, ask_every, listener)) {}

Tracker::~Tracker() = default;

void Tracker::OnState(StateListener listener) { impl_->listeners.push_back(std::move(listener)); }

void Tracker::Reset(const absl::Status& why) { impl_->link.Reset(why); }

}  // namespace actioncluster::redis

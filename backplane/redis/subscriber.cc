#include "backplane/redis/subscriber.h"

#include <deque>
#include <utility>

#include "backplane/domain/clock.h"
#include "backplane/redis/link.h"
#include "backplane/redis/subscriber_core.h"

namespace actioncluster::redis {

struct Subscriber::Impl {
  Impl(Loop& loop, LinkOptions options, MessageHandler on_message)
      : core(options, std::move(on_message)),
        link(loop, std::move(options), core, [this](const absl::Status& state) { Notify(state); }) {}

  void Notify(const absl::Status& state) {
    // By index: a listener may add another.
    for (size_t i = 0; i < listeners.size(); ++i) listeners[i](state);
  }

  std::deque<StateListener> listeners;
  SubscriberCore core;
  Link link;
};

Subscriber::Subscriber(Loop& loop, LinkOptions options, MessageHandler on_message)
    : impl_(std::make_unique<Impl>(loop, std::move(options), std::move(on_message))) {}

Subscriber::~Subscriber() = default;

void Subscriber::Subscribe(absl::string_view channel, Confirmed confirmed) {
  impl_->core.Subscribe(channel, MonotonicNow(), std::move(confirmed));
}

void Subscriber::Unsubscribe(absl::string_view channel, Confirmed gone) {
  impl_->core.Unsubscribe(channel, MonotonicNow(), std::move(gone));
}

void Subscriber::OnState(StateListener listener) { impl_->listeners.push_back(std::move(listener)); }

absl::Status Subscriber::state() const { return impl_->link.state(); }

void Subscriber::Reset(const absl::Status& why) { impl_->link.Reset(why); }

}  // namespace actioncluster::redis

#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_SUBSCRIBER_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_SUBSCRIBER_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "backplane/redis/client.h"
#include "backplane/redis/loop.h"

namespace actioncluster::redis {

// The connection for subscriptions: keeps a set of channels subscribed, over every loss of the connection.
//
// A loss is a gap: what was published meanwhile is gone. The state listener hears of it first; when the connection is
// back and every channel is confirmed again, it hears OK.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls.
class Subscriber {
 public:
  using Confirmed = absl::AnyInvocable<void() &&>;
  using MessageHandler = absl::AnyInvocable<void(absl::string_view channel, absl::string_view payload)>;
  using StateListener = absl::AnyInvocable<void(const absl::Status& state)>;

  Subscriber(Loop& loop, LinkOptions options, MessageHandler on_message);
  ~Subscriber();

  // Keeps the channel subscribed from now on. `confirmed` runs once, when Redis has confirmed it (the first time, if
  // the connection must come back first); it is dropped unrun if the channel is given up before that, or the subscriber
  // destroyed. Subscribing twice is one subscription with two callbacks. `confirmed` may be null.
  void Subscribe(absl::string_view channel, Confirmed confirmed);
  // Gives the channel up. Messages that are under way may still come: until `gone` runs, if it is given. That is when Redis has confirmed it, or there is no connection (any more); it is
  // dropped unrun only if the subscriber is destroyed.
  void Unsubscribe(absl::string_view channel, Confirmed gone = nullptr);

  void OnState(StateListener listener);
  // OK while connected and every wanted channel is confirmed, but for those asked for since.
  absl::Status state() const;

  // Closes the connection and makes a new one, as after a loss: for a connection that is open and does not deliver.
  void Reset(const absl::Status& why);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_SUBSCRIBER_H_

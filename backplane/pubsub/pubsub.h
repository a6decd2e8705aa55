#ifndef ACTIONCLUSTER_BACKPLANE_PUBSUB_PUBSUB_H_
#define ACTIONCLUSTER_BACKPLANE_PUBSUB_PUBSUB_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "backplane/bus/bus.h"
#include "backplane/domain/content.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/pubsub/subscription_table.h"
#include "backplane/redis/loop.h"

namespace actioncluster {

// Carries messages that applications publish to the subscribers on all nodes, by type.
//
// At most once, over the bus. The subscription is the address: a node hears the types that its subscribers name, and all types only if one has a pattern.
// Its own messages come to it over Redis like everybody's, so all subscribers of a type see one order.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls.
class PubSub {
 public:
  using SubscriberId = SubscriptionTable::Id;
  using Subscribers = absl::Span<const SubscriberId>;

  // A message that has come; the views hold during the callback.
  struct Incoming {
    absl::string_view type;
    absl::string_view node_id;  // Where it was published.
    Content::Kind kind;
    absl::string_view body;
    absl::Time sent_at;  // Redis's time.
  };
  // The one to whom all that comes is given, for whole groups of subscribers, so that what is the same for all is done once.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnMessage(const Incoming& message, Subscribers to) = 0;
    // An unknown number of messages may be lost from here on, until OnResumed.
    virtual void OnInterrupted(Subscribers whom) = 0;
    virtual void OnResumed() = 0;
  };

  // The references outlive this. Before Bus::Begin.
  PubSub(Loop& loop, Bus& bus, Membership& membership, const Keys& keys);
  // Subscriptions that are not ready yet end with BACKPLANE_UNAVAILABLE, inside the destructor.
  ~PubSub();

  // Before the first Subscribe. It is called only while it has subscribers.
  void SetListener(Listener* listener) { listener_ = listener; }

  // Sends a message. `done` hears to how many nodes Redis gave it (a hint; a node with subscribers of both kinds counts twice), or
  // BACKPLANE_UNAVAILABLE: it was not sent, or it is not known. Messages leave in the order of the calls.
  void Publish(std::string type, Content content, absl::AnyInvocable<void(absl::StatusOr<int64_t>) &&> done);

  // Adds a subscriber; the interest is not empty. `ready` hears OK when it stands: what is published anywhere from then on is heard; or
  // BACKPLANE_UNAVAILABLE, at once or when the bus breaks before: then it is gone. Dropped unrun by Unsubscribe.
  SubscriberId Subscribe(Interest interest, absl::AnyInvocable<void(absl::Status) &&> ready);
  void Unsubscribe(SubscriberId id);

  size_t subscribers() const { return table_.size(); }

 private:
  using Feed = SubscriptionTable::Feed;
  using Ready = absl::AnyInvocable<void(absl::Status) &&>;

  template <class F>
  auto WhileAlive(F f);
  std::string ChannelOf(const Feed& feed) const;
  void EndReady(SubscriberId id, const absl::Status& status);
  void OnEnvelope(const internal::v1::Envelope& envelope);
  void OnBusState(const absl::Status& state);

  Loop& loop_;
  Bus& bus_;
  Membership& membership_;
  const Keys& keys_;
  Listener* listener_ = nullptr;
  SubscriptionTable table_;
  SubscriberId last_id_ = 0;
  bool interrupted_ = false;
  std::map<SubscriberId, Ready> ready_;  // Of those that do not know that they are complete.
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_PUBSUB_PUBSUB_H_

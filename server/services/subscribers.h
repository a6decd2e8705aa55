#ifndef ACTIONCLUSTER_SERVER_SERVICES_SUBSCRIBERS_H_
#define ACTIONCLUSTER_SERVER_SERVICES_SUBSCRIBERS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "backplane/membership/membership.h"
#include "backplane/pubsub/pubsub.h"
#include "server/services/subscription_stream.h"

namespace actioncluster {

// The open Subscribe streams of this node. A message is encoded once, whatever the number of its subscribers; writing to many of them is not done on
// the I/O thread. Confined to the I/O thread.
class Subscribers final : public PubSub::Listener {
 public:
  // The references outlive this.
  Subscribers(PubSub& pubsub, const Membership& membership);
  ~Subscribers() override;

  // Subscribes the stream and opens it, or ends it with why that cannot be.
  void Add(const std::shared_ptr<SubscriptionStream>& stream, Interest interest);
  void Remove(SubscriptionStream* stream);

  // Ends the streams, and from now on those that come, and tells where else to go.
  void Drain(const std::vector<std::string>& alternatives);
  void CloseAll(const absl::Status& why);

  // Without those that are being ended.
  size_t size() const { return pubsub_.subscribers(); }

  void OnMessage(const PubSub::Incoming& message, PubSub::Subscribers to) override;
  void OnInterrupted(PubSub::Subscribers whom) override;
  void OnResumed() override;

 private:
  PubSub& pubsub_;
  const Membership& membership_;
  absl::flat_hash_map<PubSub::SubscriberId, std::shared_ptr<SubscriptionStream>> streams_;
  absl::flat_hash_map<SubscriptionStream*, PubSub::SubscriberId> ids_;
  std::optional<absl::Status> draining_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_SUBSCRIBERS_H_

#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_SUBSCRIBER_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_SUBSCRIBER_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "actioncluster/attachment_event.h"
#include "actioncluster/client.h"
#include "actioncluster/v1/pubsub.pb.h"

namespace actioncluster::client {

// Hears the messages of some types for as long as it lives: attached to one node at a time, and to another when that is lost, drains or stops. What
// is published in between is lost; then the first message that it hands on has no content, but `gap`.
//
// Thread-safe.
class Subscriber {
 public:
  // Runs on one of gRPC's threads, one message at a time, in order. While it runs nothing is read: a slow one is a slow subscriber, which is
  // told by `missed` how many messages the node has dropped meanwhile. It may not stop or destroy the subscriber.
  using OnMessage = std::function<void(const v1::SubscribeResponse& message)>;

  // Begins to attach. Types and patterns: see pubsub.proto. The client outlives this.
  Subscriber(Client& client, v1::SubscribeRequest interest, OnMessage on_message,
             AttachmentListener on_event = nullptr);
  // Stop.
  ~Subscriber();
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  // OK once what is published from now on is heard. DEADLINE_EXCEEDED: not within `limit`; or why it has given up.
  absl::Status AwaitAttached(absl::Duration limit);

  // No message is handed on when it returns. Again: nothing happens.
  void Stop();

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_SUBSCRIBER_H_

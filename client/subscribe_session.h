#ifndef ACTIONCLUSTER_CLIENT_SUBSCRIBE_SESSION_H_
#define ACTIONCLUSTER_CLIENT_SUBSCRIBE_SESSION_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <functional>
#include <memory>

#include "actioncluster/client.h"
#include "client/session.h"

namespace actioncluster::client {

// What a subscriber says to every node, and what has become of it.
struct SubscribeConfig {
  v1::SubscribeRequest interest;
  std::function<void(const v1::SubscribeResponse&)> on_message;
  std::atomic<bool> was_attached = false;
};

// The application's side of one Subscribe stream. It owns itself from Start until gRPC is done with it.
class SubscribeSession final : public grpc::ClientReadReactor<v1::SubscribeResponse>,
                               public Session,
                               public std::enable_shared_from_this<SubscribeSession> {
 public:
  SubscribeSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel,
                   std::shared_ptr<SubscribeConfig> config, Observer observer);

  void Start() override;
  void Retire() override { context_.TryCancel(); }
  void Cancel() override { context_.TryCancel(); }

 private:
  void OnReadInitialMetadataDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  const std::shared_ptr<SubscribeConfig> config_;
  const Observer observer_;
  const std::unique_ptr<v1::PubSubService::Stub> stub_;
  grpc::ClientContext context_;
  v1::SubscribeResponse incoming_;  // Belongs to the read under way, then to OnReadDone.

  std::shared_ptr<SubscribeSession> self_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_SUBSCRIBE_SESSION_H_

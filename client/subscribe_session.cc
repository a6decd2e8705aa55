#include "client/subscribe_session.h"

#include <string>
#include <utility>

#include "actioncluster/status.h"
#include "client/callback_scope.h"

namespace actioncluster::client {
namespace {

constexpr char kNodeId[] = "actioncluster-node-id";

}  // namespace

SubscribeSession::SubscribeSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel,
                                   std::shared_ptr<SubscribeConfig> config, Observer observer)
    : config_(std::move(config)), observer_(std::move(observer)), stub_(v1::PubSubService::NewStub(channel)) {
  client.Prepare(context_, absl::InfiniteDuration());
}

void SubscribeSession::Start() {
  self_ = shared_from_this();
  stub_->async()->Subscribe(&context_, &config_->interest, this);
  StartCall();
}

// The node's name comes when the subscription stands. A stream that fails has no such metadata.
void SubscribeSession::OnReadInitialMetadataDone(bool ok) {
  if (!ok) return;
  const auto& metadata = context_.GetServerInitialMetadata();
  const auto node_id = metadata.find(kNodeId);
  if (node_id == metadata.end()) return;
  if (config_->was_attached.exchange(true)) {
    v1::SubscribeResponse lost;
    lost.set_gap(true);
    const CallbackScope scope;
    config_->on_message(lost);
  }
  observer_.attached(std::string(node_id->second.data(), node_id->second.size()));
  StartRead(&incoming_);
}

void SubscribeSession::OnReadDone(bool ok) {
  if (!ok) return;
  {
    const CallbackScope scope;
    config_->on_message(incoming_);
  }
  StartRead(&incoming_);
}

void SubscribeSession::OnDone(const grpc::Status& status) {
  const std::shared_ptr<SubscribeSession> self = std::move(self_);
  observer_.ended(FromGrpc(status));
}

}  // namespace actioncluster::client

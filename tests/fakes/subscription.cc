#include "tests/fakes/subscription.h"

#include <utility>

namespace actioncluster::fakes {

Subscription::Subscription(v1::PubSubService::StubInterface& stub, const Interest& interest, Options options)
    : options_(std::move(options)) {
  request_.mutable_message_types()->Assign(interest.types.begin(), interest.types.end());
  request_.mutable_patterns()->Assign(interest.patterns.begin(), interest.patterns.end());
  stub.async()->Subscribe(&context_, &request_, this);
  if (options_.read) {
    StartRead(&message_);
  } else {
    AddHold();  // Without it, and without a read under way, it could be done before it is read.
    held_ = true;
  }
  StartCall();
}

Subscription::~Subscription() {
  context_.TryCancel();
  if (held_) RemoveHold();
  done_.WaitForNotification();
}

void Subscription::Read() {
  StartRead(&message_);
  held_ = false;
  RemoveHold();
}

void Subscription::OnReadInitialMetadataDone(bool ok) {
  const auto& metadata = context_.GetServerInitialMetadata();
  const auto node = metadata.find("actioncluster-node-id");
  open_.Add(ok && node != metadata.end() ? std::string(node->second.data(), node->second.size()) : std::string());
}

void Subscription::OnReadDone(bool ok) {
  if (!ok) return;
  if (options_.on_message) {
    options_.on_message(message_);
  } else {
    messages_.Add(message_);
  }
  StartRead(&message_);
}

void Subscription::OnDone(const grpc::Status& status) {
  end_.Add(status);
  done_.Notify();
}

}  // namespace actioncluster::fakes

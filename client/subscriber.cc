#include "actioncluster/subscriber.h"

#include <utility>

#include "client/attachment.h"
#include "client/subscribe_session.h"

namespace actioncluster::client {

struct Subscriber::Impl {
  std::shared_ptr<Attachment> attachment;
};

Subscriber::Subscriber(Client& client, v1::SubscribeRequest interest, OnMessage on_message, AttachmentListener on_event)
    : impl_(std::make_unique<Impl>()) {
  auto config = std::make_shared<SubscribeConfig>();
  config->interest = std::move(interest);
  config->on_message = std::move(on_message);
  impl_->attachment = Attachment::Create(
      client,
      [&client, config](const std::shared_ptr<grpc::Channel>& channel, Session::Observer observer) {
        return std::make_shared<SubscribeSession>(client, channel, config, std::move(observer));
      },
      std::move(on_event));
  impl_->attachment->Start();
}

Subscriber::~Subscriber() { Stop(); }

absl::Status Subscriber::AwaitAttached(absl::Duration limit) { return impl_->attachment->AwaitAttached(limit); }

void Subscriber::Stop() { impl_->attachment->Stop(absl::ZeroDuration()); }

}  // namespace actioncluster::client

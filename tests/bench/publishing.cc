#include "tests/bench/publishing.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::bench {

Publishing::Publishing(v1::PubSubService::Stub& from, v1::PubSubService::Stub& to, const std::string& type,
                       int subscribers)
    : from_(from), type_(type), subscribers_(subscribers) {
  for (int i = 0; i < subscribers; ++i) {
    subscriptions_.push_back(std::make_unique<fakes::Subscription>(
        to, fakes::Subscription::Interest{{type}},
        fakes::Subscription::Options{.on_message = [this](const v1::SubscribeResponse& message) {
          CHECK_EQ(message.missed(), 0u);
          OnHeard(message.data());
        }}));
  }
  for (const auto& subscription : subscriptions_) CHECK_NE(subscription->AwaitOpen(), "");
}

Operation Publishing::operation() {
  return [this](absl::AnyInvocable<void(bool) &&> done) { Publish(std::move(done)); };
}

void Publishing::Publish(absl::AnyInvocable<void(bool) &&> done) {
  struct Call {
    grpc::ClientContext context;
    v1::PublishRequest request;
    v1::PublishResponse response;
    absl::AnyInvocable<void(bool) &&> done;  // If nobody is subscribed.
  };
  auto call = std::make_shared<Call>();
  uint64_t number;
  {
    absl::MutexLock lock(&mutex_);
    number = ++last_;
    if (subscribers_ > 0) {
      messages_.emplace(number, Message{subscribers_, std::move(done)});
    } else {
      call->done = std::move(done);
    }
  }
  call->request.set_message_type(type_);
  call->request.set_data(absl::StrCat(number));
  from_.async()->Publish(&call->context, &call->request, &call->response, [call](const grpc::Status& status) {
    if (call->done != nullptr) return std::move(call->done)(status.ok());
    CHECK(status.ok()) << status.error_message();  // Nobody would ever hear it.
  });
}

void Publishing::OnHeard(const std::string& data) {
  uint64_t number;
  CHECK(absl::SimpleAtoi(data, &number));
  absl::AnyInvocable<void(bool) &&> done;
  {
    absl::MutexLock lock(&mutex_);
    const auto message = messages_.find(number);
    if (--message->second.awaited > 0) return;
    done = std::move(message->second.done);
    messages_.erase(message);
  }
  std::move(done)(true);
}

}  // namespace actioncluster::bench

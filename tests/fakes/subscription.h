#ifndef ACTIONCLUSTER_TESTS_FAKES_SUBSCRIPTION_H_
#define ACTIONCLUSTER_TESTS_FAKES_SUBSCRIPTION_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "actioncluster/v1/pubsub.grpc.pb.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::fakes {

// A client's Subscribe stream, on gRPC's own threads: a test can have a thousand.
class Subscription final : public grpc::ClientReadReactor<v1::SubscribeResponse> {
 public:
  using Message = v1::SubscribeResponse;
  struct Interest {
    std::vector<std::string> types;
    std::vector<std::string> patterns = {};
  };
  struct Options {
    bool read = true;                                                  // Otherwise it is stuck until Read.
    std::function<void(const Message& message)> on_message = nullptr;  // Instead of Next.
  };

  Subscription(v1::PubSubService::StubInterface& stub, const Interest& interest)
      : Subscription(stub, interest, Options()) {}
  Subscription(v1::PubSubService::StubInterface& stub, const Interest& interest, Options options);
  // Cancels, and awaits the end.
  ~Subscription() override;
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  // Awaits that the subscription stands; gives the id of the node. Empty: it ended instead.
  std::string AwaitOpen() const { return open_.Next(); }
  // Of one that was stuck: begins to read.
  void Read();
  Message Next() const { return messages_.Next(); }
  size_t unread() const { return messages_.size(); }
  void Cancel() { context_.TryCancel(); }
  // How the stream ended; awaits that, once.
  grpc::Status AwaitEnd() const { return end_.Next(); }

 private:
  void OnReadInitialMetadataDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  const Options options_;
  grpc::ClientContext context_;
  v1::SubscribeRequest request_;
  Message message_;
  bool held_ = false;  // The test's thread only.
  Waiter<std::string> open_;
  Waiter<Message> messages_;
  Waiter<grpc::Status> end_;
  absl::Notification done_;
};

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_SUBSCRIPTION_H_

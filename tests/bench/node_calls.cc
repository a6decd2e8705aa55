#include "tests/bench/node_calls.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <utility>

namespace actioncluster::bench {
namespace {

// Lives until its call has ended.
class Gathering final : public grpc::ClientReadReactor<v1::CallAllResponse> {
 public:
  Gathering(v1::RpcService::Stub& stub, const std::string& method, int replies, absl::AnyInvocable<void(bool) &&> done)
      : expected_(replies), done_(std::move(done)) {
    request_.set_method(method);
    request_.set_data("0123456789abcdef");
    stub.async()->CallAll(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.data() == request_.data()) ++replies_;
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    absl::AnyInvocable<void(bool)&&> done = std::move(done_);
    const bool ok = status.ok() && replies_ == expected_;
    delete this;
    std::move(done)(ok);
  }

  const int expected_;
  int replies_ = 0;
  absl::AnyInvocable<void(bool) &&> done_;
  grpc::ClientContext context_;
  v1::CallAllRequest request_;
  v1::CallAllResponse response_;
};

}  // namespace

Operation GatheringCall(v1::RpcService::Stub& stub, const std::string& method, int replies) {
  return [&stub, method, replies](absl::AnyInvocable<void(bool) &&> done) {
    new Gathering(stub, method, replies, std::move(done));
  };
}

}  // namespace actioncluster::bench

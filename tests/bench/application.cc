#include "tests/bench/application.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/client_callback.h>

#include <cstdio>
#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "actioncluster/v1/rpc.grpc.pb.h"

namespace actioncluster::bench {
namespace {

constexpr uint32_t kMaxInFlight = 1024;

// gRPC's threads call the On… functions: reading and writing each on one at a time, both at once.
class Stream final : public grpc::ClientBidiReactor<v1::ServeRequest, v1::ServeResponse> {
 public:
  Stream(v1::RpcService::Stub& stub, const std::vector<std::string>& methods) {
    stub.async()->Serve(&context_, this);
    v1::ServeRequest frame;
    frame.mutable_register_()->set_max_in_flight(kMaxInFlight);
    for (const std::string& method : methods) frame.mutable_register_()->add_methods(method);
    Write(std::move(frame));
    StartRead(&incoming_);
    StartCall();
  }

  void AwaitEnd() { ended_.WaitForNotification(); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (incoming_.has_registered()) {
      std::puts("ready");
      std::fflush(stdout);
    } else if (incoming_.has_call()) {
      v1::ServeRequest frame;
      frame.mutable_reply()->set_call_id(incoming_.call().call_id());
      frame.mutable_reply()->set_data(std::move(*incoming_.mutable_call()->mutable_data()));
      Write(std::move(frame));
    }
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    queue_.pop_front();
    if (ok && !queue_.empty()) StartWrite(&queue_.front());
  }
  void OnDone(const grpc::Status& status) override {
    if (!status.ok()) std::fprintf(stderr, "the stream ended: %s\n", status.error_message().c_str());
    ended_.Notify();
  }

  void Write(v1::ServeRequest frame) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    queue_.push_back(std::move(frame));
    if (queue_.size() == 1) StartWrite(&queue_.front());
  }

  grpc::ClientContext context_;
  v1::ServeResponse incoming_;
  absl::Mutex mutex_;
  std::deque<v1::ServeRequest> queue_ ABSL_GUARDED_BY(mutex_);  // The first is being written.
  absl::Notification ended_;
};

}  // namespace

int ServeApplication(const std::string& address, const std::vector<std::string>& methods) {
  const auto stub = v1::RpcService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  Stream stream(*stub, methods);
  stream.AwaitEnd();
  return 0;
}

}  // namespace actioncluster::bench

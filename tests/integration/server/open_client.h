#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_OPEN_CLIENT_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_OPEN_CLIENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "actioncluster/v1/connections.pb.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {

// A client's Open stream, byte by byte: it can say what no proper client would. One thread.
class OpenClient final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // `read`: otherwise it is stuck until Read.
  explicit OpenClient(const std::shared_ptr<grpc::Channel>& channel, bool read = true);
  // Cancels, and awaits the end.
  ~OpenClient() override;
  OpenClient(const OpenClient&) = delete;
  OpenClient& operator=(const OpenClient&) = delete;

  void Send(const v1::OpenRequest& frame) { SendBytes(frame.SerializeAsString()); }
  void SendBytes(const std::string& bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  // As this id; gives the welcome. `token`: of one from before.
  v1::OpenResponse::Welcome Hello(const std::string& id, const std::string& token = "");
  // The reply to this verb, whatever comes before it. `arguments`: a JSON array.
  v1::OpenResponse::Reply Verb(const std::string& verb, absl::string_view arguments = "[]");

  // The next frame.
  v1::OpenResponse Next() const { return frames_.Next(); }
  const fakes::Waiter<v1::OpenResponse>& frames() const { return frames_; }

  void Read();
  void CloseHalf();
  void Cancel() { context_.TryCancel(); }
  // How the stream ended; awaits that, once.
  grpc::Status AwaitEnd() const { return end_.Next(); }

 private:
  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone(const grpc::Status& status) override;
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // No write begins any more.
  void NoMoreWrites() ABSL_LOCKS_EXCLUDED(mutex_);

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  bool held_ = false;  // It is stuck.
  int verbs_ = 0;
  absl::Mutex mutex_;
  std::deque<grpc::ByteBuffer> outgoing_ ABSL_GUARDED_BY(mutex_);  // The first is being written.
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  fakes::Waiter<v1::OpenResponse> frames_;
  fakes::Waiter<grpc::Status> end_;
  absl::Notification done_;
};

// A hello with this id.
v1::OpenRequest HelloFrame(const std::string& id);
// A verb with arguments that are a JSON array.
v1::OpenRequest VerbFrame(const std::string& message_id, const std::string& verb, absl::string_view arguments);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_OPEN_CLIENT_H_

#ifndef ACTIONCLUSTER_SERVER_SERVICES_SUBSCRIPTION_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_SUBSCRIPTION_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "backplane/pubsub/interest.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"

namespace actioncluster {

class Subscribers;

// The server's side of one Subscribe. What it cannot take any more is counted, and the next frame says so; if no message comes, a frame of its own does,
// as soon as the client reads again. Owns itself until gRPC is done with it.
class SubscriptionStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                                 public std::enable_shared_from_this<SubscriptionStream> {
 public:
  // Not `admitted`: the stream ends at once with that status.
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(grpc::CallbackServerContext& context, Loop& loop,
                                                           Subscribers& subscribers, Offload& offload,
                                                           const absl::Status& admitted, Interest interest);

  // All on the I/O thread.
  // Sends the initial metadata: the subscription stands.
  void Open(const std::string& node_id);
  // A frame that other streams are sent too, of about `bytes`.
  void Send(const grpc::ByteBuffer& frame, size_t bytes, OutboxWriter writer);
  // An unknown number of messages may be lost here; the next frame says so.
  void MarkGap() { gap_ = true; }
  // Tells what is missing, if anything is that no frame has told.
  void TellMissing();
  // Ends after what is queued, and after telling what is missing.
  void Close(const absl::Status& why);

  // Any thread.
  void End(const absl::Status& status, bool flush) { outbox_.End(status, flush); }

 private:
  SubscriptionStream(grpc::CallbackServerContext& context, Loop& loop, Subscribers& subscribers, Offload& offload);
  bool Push(const grpc::ByteBuffer* frame, size_t bytes, OutboxWriter writer);
  void TellIfIdle();

  // gRPC's threads.
  void OnSendInitialMetadataDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnWriteDone(bool ok) override;
  void OnCancel() override { End(absl::UnavailableError("the subscriber went away"), /*flush=*/false); }
  void OnDone() override;

  // Constant after construction.
  grpc::CallbackServerContext& context_;
  Loop& loop_;
  Subscribers& subscribers_;

  Outbox<grpc::ByteBuffer> outbox_;
  uint64_t missed_ = 0;              // I/O thread only: dropped since the last frame.
  bool gap_ = false;                 // I/O thread only.
  std::atomic<bool> untold_{false};  // Something is missing, and no frame could be queued that tells.

  std::shared_ptr<SubscriptionStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_SUBSCRIPTION_STREAM_H_

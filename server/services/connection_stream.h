#ifndef ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "actioncluster/v1/connections.pb.h"
#include "server/connections/client_stream.h"
#include "server/connections/connection_host.h"
#include "server/grpc/client_outbox.h"
#include "server/grpc/offload.h"
#include "server/services/connection_streams.h"

namespace actioncluster {

// The node's side of one client's Open stream: checks what the client says on gRPC's threads, one frame after the other, and hands it to the connection host on the I/O thread; writes what the host has for it. Frames
// are bytes here, as what is said in a room is one encoding for all who hear it.
//
// A frame that is wrong is answered, and the stream goes on; a first frame that is no valid hello ends it. Whether the client has closed its half, so that the connection is over, or is gone, so that it may come back,
// is known only when gRPC is done with the stream: both end the reading.
//
// It owns itself until gRPC is done with it; what it refers to outlives it.
class ConnectionStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                               public ClientStream,
                               public std::enable_shared_from_this<ConnectionStream> {
 public:
  // Not `admitted`: the stream ends at once with that status. `offload` writes.
  static grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Start(grpc::CallbackServerContext& context,
                                                                            ConnectionStreams& streams,
                                                                            Offload& offload,
                                                                            const absl::Status& admitted);
  ~ConnectionStream() override;

  // ClientStream; on the I/O thread.
  void Send(v1::OpenResponse frame) override;
  bool SendInvoke(v1::OpenResponse frame) override;
  void SendDirect(v1::OpenResponse frame) override;
  void SendMessage(const grpc::ByteBuffer& frame, size_t bytes, OutboxWriter writer) override;
  bool HasRoom(size_t bytes) const override { return outbox_.HasRoom(bytes); }
  void MarkGap() override;
  uint64_t missed() const override { return outbox_.missed(); }
  void Close(v1::OpenResponse::Goodbye goodbye, const absl::Status& why) override;
  void Refuse(const absl::Status& why) override;

  // Ends the call, whatever its client reads or does not. Any thread.
  void Cut();

 private:
  using HostId = ConnectionHost::HostId;

  ConnectionStream(grpc::CallbackServerContext& context, ConnectionStreams& streams, Offload& offload);

  // gRPC's threads, one frame after the other. OK, or why the stream ends.
  absl::Status Handle(const grpc::ByteBuffer& bytes);
  void HandleHello(v1::OpenRequest::Hello hello);
  // Answers a frame that is wrong; null: it was not even one.
  void Complain(const v1::OpenRequest* frame, const absl::Status& error);
  // Runs `task` on the I/O thread, if the host has this stream then. It keeps about `bytes` until then.
  void OnLoop(size_t bytes, absl::AnyInvocable<void(HostId) &&> task);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override;
  void OnDone() override;

  // I/O thread.
  void Attach(v1::OpenRequest::Hello hello);
  // Until it is welcomed, as that comes first.
  void Hold(v1::OpenResponse frame);
  void TooSlow();
  void Flooded();
  // The stream ends so; false: it is ending already.
  bool End(const absl::Status& why, bool flush, ClientOutbox<grpc::ByteBuffer>::Make last);
  // The host hears that it is gone, if it has it.
  void Detach(bool finished);

  // Constant after construction.
  grpc::CallbackServerContext& context_;
  ConnectionStreams& streams_;
  grpc_call* const call_;  // Ours too: it can be cancelled although gRPC is done with it.

  ClientOutbox<grpc::ByteBuffer> outbox_;
  grpc::ByteBuffer request_;  // Belongs to the read under way, then to OnReadDone.
  bool said_hello_ = false;   // Reading side only.
  bool counted_ = false;      // From Start to OnDone.

  // I/O thread only.
  HostId id_ = 0;      // 0: the host does not have it.
  bool over_ = false;  // The host has let go of it, or is not to have it any more.
  bool ending_ = false;
  bool welcomed_ = false;
  std::vector<v1::OpenResponse> held_;  // Until it is welcomed.
  bool gap_held_ = false;

  std::atomic<size_t> unhandled_ = 0;  // Tasks that wait for the I/O thread, and what they keep.
  std::atomic<size_t> unhandled_bytes_ = 0;
  std::atomic<bool> read_all_ = false;  // No frame comes any more.
  std::atomic<bool> cut_ = false;

  std::shared_ptr<ConnectionStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_STREAM_H_

#ifndef ACTIONCLUSTER_SERVER_SERVICES_CALL_ALL_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CALL_ALL_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <memory>

#include "absl/status/status.h"
#include "actioncluster/v1/rpc.pb.h"
#include "backplane/rpc/rpc.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"

namespace actioncluster {

// The server's side of one CallAll: a frame for each share of the call, in the order they end. Owns itself until gRPC is done with it.
class CallAllStream final : public grpc::ServerWriteReactor<v1::CallAllResponse>,
                            public std::enable_shared_from_this<CallAllStream> {
 public:
  static grpc::ServerWriteReactor<v1::CallAllResponse>* Start(Rpc& rpc, Offload& offload, CallSpec spec);
  // A stream that ends at once with this status.
  static grpc::ServerWriteReactor<v1::CallAllResponse>* Refuse(Offload& offload, const absl::Status& why);

 private:
  explicit CallAllStream(Offload& offload);
  void Send(const std::string& node_id, absl::StatusOr<Content> result);

  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override;
  void OnDone() override { self_.reset(); }

  Outbox<v1::CallAllResponse> outbox_;
  // Set before the handler returns, and so before any reaction.
  Rpc* rpc_ = nullptr;
  CallId id_ = 0;
  std::shared_ptr<CallAllStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CALL_ALL_STREAM_H_

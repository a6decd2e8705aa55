#ifndef ACTIONCLUSTER_SERVER_SERVICES_SERVE_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_SERVE_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "actioncluster/v1/rpc.pb.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/methods/application.h"
#include "server/methods/method_host.h"
#include "server/services/attached_stream.h"

namespace actioncluster {

// The node's side of one application's Serve stream: checks and converts what the application says on gRPC's threads, and hands it to the method host on
// the I/O thread; writes what the host has for it.
class ServeStream final : public AttachedStream<v1::ServeRequest, v1::ServeResponse>, public Application {
 public:
  // Not `admitted`: the stream ends at once with that status.
  static grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeResponse>* Start(Loop& loop, Membership& membership,
                                                                             MethodHost& host, Offload& offload,
                                                                             const absl::Status& admitted);

  // Application; on the I/O thread.
  bool SendCall(const std::string& call_id, IncomingCall call) override;
  void SendCancel(const std::string& call_id) override;
  void SendDraining(const std::vector<std::string>& alternatives) override;
  void Close(const absl::Status& why) override { End(why, /*flush=*/true); }

 private:
  ServeStream(Loop& loop, Membership& membership, MethodHost& host, Offload& offload);
  std::shared_ptr<ServeStream> Self() { return std::static_pointer_cast<ServeStream>(shared_from_this()); }

  void BeforeReading() override;
  absl::Status Handle(const v1::ServeRequest& frame) override;
  absl::Status HandleRegister(const v1::ServeRequest::Register& frame);
  absl::Status HandleReply(const v1::ServeRequest::Reply& frame);
  void Detach(HostId id) override { host_.Detach(id); }

  // Constant after construction.
  Membership& membership_;
  MethodHost& host_;

  bool registered_ = false;  // Reading side only.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_SERVE_STREAM_H_

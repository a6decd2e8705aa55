#ifndef ACTIONCLUSTER_SERVER_SERVICES_SERVE_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_SERVE_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "actioncluster/v1/rpc.pb.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"
#include "server/methods/application.h"
#include "server/methods/method_host.h"

namespace actioncluster {

// The node's side of one application's Serve stream: checks and converts what the application says on gRPC's threads, and hands it to the method host on
// the I/O thread; writes what the host has for it.
//
// It owns itself until gRPC is done with it. A flood of frames ends the stream.
class ServeStream final : public grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeResponse>,
                          public Application,
                          public std::enable_shared_from_this<ServeStream> {
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

  // gRPC's threads.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override { End(absl::UnavailableError("the application went away"), /*flush=*/false); }
  void OnDone() override;
  // OK, or what is wrong with the frame: then the stream ends.
  absl::Status Handle(const v1::ServeRequest& frame);
  absl::Status HandleRegister(const v1::ServeRequest::Register& frame);
  absl::Status HandleReply(const v1::ServeRequest::Reply& frame);

  // Runs `task` with the host on the I/O thread, if this stream is still attached there.
  void OnLoop(absl::AnyInvocable<void(MethodHost::AppId) &&> task);

  // Any thread.
  void Push(size_t bytes, Outbox<v1::ServeResponse>::Make make);
  void End(const absl::Status& status, bool flush);

  // Constant after construction.
  Loop& loop_;
  Membership& membership_;
  MethodHost& host_;
  Outbox<v1::ServeResponse> outbox_;

  v1::ServeRequest request_;  // Belongs to the read under way, then to OnReadDone.
  bool registered_ = false;   // Reading side only.
  MethodHost::AppId id_ = 0;  // I/O thread only; 0: not attached.

  std::atomic<size_t> unhandled_ = 0;  // Frames that wait for the I/O thread.
  std::atomic<bool> ended_ = false;

  std::shared_ptr<ServeStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_SERVE_STREAM_H_

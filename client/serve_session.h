#ifndef ACTIONCLUSTER_CLIENT_SERVE_SESSION_H_
#define ACTIONCLUSTER_CLIENT_SERVE_SESSION_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/client.h"
#include "client/call_state.h"
#include "client/session.h"

namespace actioncluster::client {

// What a host says of itself to every node.
struct ServeConfig {
  v1::ServeRequest::Register registration;
  absl::Duration heartbeat_timeout;
  // Begins to run a call; may not block.
  std::function<void(std::shared_ptr<CallState> call)> run;
};

// The application's side of one Serve stream. Reads on gRPC's threads; writes from any, one frame at a time, in order. Calls that are open when the
// stream ends are cancelled.
//
// It owns itself from Start until gRPC is done with it.
class ServeSession final : public grpc::ClientBidiReactor<v1::ServeRequest, v1::ServeResponse>,
                           public Session,
                           public std::enable_shared_from_this<ServeSession> {
 public:
  ServeSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel,
               std::shared_ptr<const ServeConfig> config, Observer observer);

  void Start() override;
  void Retire() override;
  void Cancel() override { context_.TryCancel(); }
  absl::Duration tick_every() const override { return config_->heartbeat_timeout / 3; }
  void Tick() override;

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnWritesDoneDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  void OnRegistered(const std::string& node_id);
  void OnCall(v1::ServeResponse::Call* call);
  void OnCancelled(const std::string& call_id);
  // Any thread.
  void SendReply(v1::ServeRequest::Reply reply);

  // Starts what is to be started next: a write, the end of our half, or the end of all writing.
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasServed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  const std::shared_ptr<const ServeConfig> config_;
  const Observer observer_;
  const std::unique_ptr<v1::RpcService::Stub> stub_;

  grpc::ClientContext context_;
  v1::ServeResponse incoming_;  // Belongs to the read under way, then to OnReadDone.
  v1::ServeRequest outgoing_;   // Belongs to the write under way.

  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<CallState>> calls_ ABSL_GUARDED_BY(mutex_);  // Open, by their ids.
  std::deque<v1::ServeRequest> outbox_ ABSL_GUARDED_BY(mutex_);
  bool registered_ ABSL_GUARDED_BY(mutex_) = false;
  int unconfirmed_ ABSL_GUARDED_BY(mutex_) = 0;  // `register` frames.
  bool retiring_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // Nothing can be written any more.
  bool held_ ABSL_GUARDED_BY(mutex_) = false;    // gRPC waits with OnDone, as we may still write.

  std::shared_ptr<ServeSession> self_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_SERVE_SESSION_H_

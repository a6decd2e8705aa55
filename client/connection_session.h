#ifndef ACTIONCLUSTER_CLIENT_CONNECTION_SESSION_H_
#define ACTIONCLUSTER_CLIENT_CONNECTION_SESSION_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/client.h"
#include "client/call_state.h"
#include "client/connection_hub.h"
#include "client/session.h"

namespace actioncluster::client {

// One Open stream of a connection. Reads on gRPC's threads, and reads nothing while a handler runs there; writes from any, one frame at a time. A node is never left for another before its stream has
// ended: what comes later, comes by the next.
//
// It owns itself from Start until gRPC is done with it.
class ConnectionSession final : public grpc::ClientBidiReactor<v1::OpenRequest, v1::OpenResponse>,
                                public Session,
                                public ConnectionHub::Writer,
                                public std::enable_shared_from_this<ConnectionSession> {
 public:
  ConnectionSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel,
                    std::shared_ptr<ConnectionHub> hub, Observer observer);

  void Start() override;
  // The connection is over once nothing is open.
  void Retire() override;
  void Cancel() override { context_.TryCancel(); }

  // Starts what is to be started next: a write, the end of our half, or the end of all writing.
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_) override;

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnWritesDoneDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  // The frame that was read.
  void Take();
  void OnWelcome(const v1::OpenResponse::Welcome& welcome);
  void OnInvoke(v1::OpenResponse::Invoke* invoke);
  // The stream has to end, and this is why. Nothing is taken or written any more. Of OnReadDone alone.
  void Leave(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mutex_);
  // Any thread.
  void SendAnswer(v1::ServeRequest::Reply reply) ABSL_LOCKS_EXCLUDED(mutex_);
  // False: there is nothing to be said.
  bool FillFrame() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  const std::shared_ptr<ConnectionHub> hub_;
  const Observer observer_;
  const std::unique_ptr<v1::ConnectionService::Stub> stub_;

  grpc::ClientContext context_;
  v1::OpenResponse incoming_;  // Belongs to the read under way, then to OnReadDone.
  bool leaving_ = false;       // Likewise.
  v1::OpenRequest outgoing_;   // Belongs to the write under way.

  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<CallState>> calls_ ABSL_GUARDED_BY(mutex_);  // Open, by their ids.
  std::deque<v1::OpenRequest> answers_ ABSL_GUARDED_BY(mutex_);
  bool hello_ ABSL_GUARDED_BY(mutex_) = false;  // To be said.
  bool hello_sent_ ABSL_GUARDED_BY(mutex_) = false;
  bool stands_ ABSL_GUARDED_BY(mutex_) = false;  // The welcome has come.
  bool retiring_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status left_for_ ABSL_GUARDED_BY(mutex_);  // Not OK: it has to end.
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // Nothing can be written any more.
  bool held_ ABSL_GUARDED_BY(mutex_) = false;    // gRPC waits with OnDone, as we may still write.

  std::shared_ptr<ConnectionSession> self_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_CONNECTION_SESSION_H_

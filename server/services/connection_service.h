#ifndef ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_SERVICE_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>

#include "absl/time/time.h"
#include "actioncluster/v1/connections.grpc.pb.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "server/grpc/authorizer.h"
#include "server/grpc/offload.h"
#include "server/services/connection_streams.h"

namespace actioncluster {

// ConnectionService of the public API: validates, and hands on, to the host of this node's connections or to the node that holds the connection. Open's frames are bytes, as one encoding serves all who hear a room. One
// instance may be registered with several servers. Any thread.
class ConnectionService final
    : public v1::ConnectionService::WithRawCallbackMethod_Open<v1::ConnectionService::WithCallbackMethod_Apply<
          v1::ConnectionService::WithCallbackMethod_Invoke<v1::ConnectionService::WithCallbackMethod_Get<
              v1::ConnectionService::WithCallbackMethod_List<v1::ConnectionService::Service>>>>> {
 public:
  // All outlive the servers that this is registered with.
  struct Rooms {
    Loop& loop;
    Membership& membership;
    Rpc& rpc;
    ConnectionStreams& streams;
    const Authorizer& authorizer;
    Offload& offload;  // Writes to the streams; of its own, as large bodies elsewhere would hold them up.
  };

  ConnectionService(Rooms rooms, absl::Duration default_timeout) : rooms_(rooms), default_timeout_(default_timeout) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Open(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Apply(grpc::CallbackServerContext* context, const v1::ApplyRequest* request,
                                  v1::ApplyResponse* response) override;
  grpc::ServerUnaryReactor* Invoke(grpc::CallbackServerContext* context, const v1::InvokeRequest* request,
                                   v1::InvokeResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::ConnectionServiceGetRequest* request,
                                v1::ConnectionServiceGetResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const v1::ConnectionServiceListRequest* request,
                                 v1::ConnectionServiceListResponse* response) override;

 private:
  const Rooms rooms_;
  const absl::Duration default_timeout_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_SERVICE_H_

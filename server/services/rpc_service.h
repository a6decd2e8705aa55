#ifndef ACTIONCLUSTER_SERVER_SERVICES_RPC_SERVICE_H_
#define ACTIONCLUSTER_SERVER_SERVICES_RPC_SERVICE_H_

#include "absl/time/time.h"
#include "actioncluster/v1/rpc.grpc.pb.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "server/grpc/authorizer.h"
#include "server/grpc/offload.h"
#include "server/methods/method_host.h"

namespace actioncluster {

// RpcService of the public API: validates, converts, delegates. One instance may be registered with several servers. Any thread.
class RpcService final : public v1::RpcService::CallbackService {
 public:
  // All outlive the servers that this is registered with.
  struct Rooms {
    Loop& loop;
    Rpc& rpc;
    Membership& membership;
    MethodHost& host;
    const Authorizer& authorizer;
    Offload& offload;
  };

  RpcService(Rooms rooms, absl::Duration default_timeout) : rooms_(rooms), default_timeout_(default_timeout) {}

  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context, const v1::CallRequest* request,
                                 v1::CallResponse* response) override;
  grpc::ServerWriteReactor<v1::CallAllResponse>* CallAll(grpc::CallbackServerContext* context,
                                                         const v1::CallAllRequest* request) override;
  grpc::ServerUnaryReactor* Notify(grpc::CallbackServerContext* context, const v1::NotifyRequest* request,
                                   v1::NotifyResponse* response) override;
  grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeResponse>* Serve(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* ListMethods(grpc::CallbackServerContext* context, const v1::ListMethodsRequest* request,
                                        v1::ListMethodsResponse* response) override;

 private:
  const Rooms rooms_;
  const absl::Duration default_timeout_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_RPC_SERVICE_H_

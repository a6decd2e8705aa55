#ifndef ACTIONCLUSTER_SERVER_SERVICES_PUBSUB_SERVICE_H_
#define ACTIONCLUSTER_SERVER_SERVICES_PUBSUB_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>

#include "actioncluster/v1/pubsub.grpc.pb.h"
#include "backplane/pubsub/pubsub.h"
#include "backplane/redis/loop.h"
#include "server/grpc/authorizer.h"
#include "server/grpc/offload.h"
#include "server/services/subscribers.h"

namespace actioncluster {

// PubSubService of the public API: validates, converts, delegates. Subscribe's frames are bytes, as one encoding serves all subscribers. One instance may be
// registered with several servers. Any thread.
class PubSubService final : public v1::PubSubService::WithCallbackMethod_Publish<
                                v1::PubSubService::WithRawCallbackMethod_Subscribe<v1::PubSubService::Service>> {
 public:
  // All outlive the servers that this is registered with.
  struct Rooms {
    Loop& loop;
    PubSub& pubsub;
    Subscribers& subscribers;
    const Authorizer& authorizer;
    Offload& offload;  // Writes to the streams; of its own, as large bodies elsewhere would hold them up.
  };

  explicit PubSubService(Rooms rooms) : rooms_(rooms) {}

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context, const v1::PublishRequest* request,
                                    v1::PublishResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Subscribe(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request) override;

 private:
  const Rooms rooms_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_PUBSUB_SERVICE_H_

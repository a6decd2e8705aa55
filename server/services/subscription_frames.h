#ifndef ACTIONCLUSTER_SERVER_SERVICES_SUBSCRIPTION_FRAMES_H_
#define ACTIONCLUSTER_SERVER_SERVICES_SUBSCRIPTION_FRAMES_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>

#include "backplane/pubsub/pubsub.h"

// v1.SubscribeResponse as it goes over the wire, made once for all subscribers of a node: they share the bytes. Content is not parsed. Pure; any thread.
namespace actioncluster {

// A frame with the message, without `missed` and `gap`.
grpc::ByteBuffer EncodeMessage(const PubSub::Incoming& message);

// The same frame with `missed` and `gap` added, which costs a few bytes, not a copy. Null: a frame of these alone.
grpc::ByteBuffer WithMissing(const grpc::ByteBuffer* frame, uint64_t missed, bool gap);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_SUBSCRIPTION_FRAMES_H_

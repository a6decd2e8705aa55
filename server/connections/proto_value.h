#ifndef ACTIONCLUSTER_SERVER_CONNECTIONS_PROTO_VALUE_H_
#define ACTIONCLUSTER_SERVER_CONNECTIONS_PROTO_VALUE_H_

#include "google/protobuf/message.h"
#include "google/protobuf/struct.pb.h"

namespace actioncluster {

// A message as JSON, for clients that get it where any JSON may stand: fields by their names in the proto, with all that are unset but messages; numbers as numbers (exact to 2^53), times and durations as in
// Protocol Buffers' JSON, bytes in Base64, enums by name. Pure; any thread.
google::protobuf::Value MessageToValue(const google::protobuf::Message& message);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONNECTIONS_PROTO_VALUE_H_

#ifndef ACTIONCLUSTER_CLIENT_VALUE_CHECK_H_
#define ACTIONCLUSTER_CLIENT_VALUE_CHECK_H_

#include "google/protobuf/struct.pb.h"

namespace actioncluster::client {

// Null, or why a node could not even read a message with this JSON in it, and would end the stream with all else on it: "is nested more than 32 deep". Pure;
// any thread.
const char* FaultIn(const google::protobuf::Value& value);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_VALUE_CHECK_H_

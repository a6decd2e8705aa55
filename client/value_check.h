#ifndef ACTIONCLUSTER_CLIENT_VALUE_CHECK_H_
#define ACTIONCLUSTER_CLIENT_VALUE_CHECK_H_

#include "google/protobuf/struct.pb.h"

namespace actioncluster::client {

// Null, or why no node takes this as JSON: "is nested more than 32 deep". Some of it no node could even read, and would end the stream with all else on it. Pure; any thread.
const char* FaultIn(const google::protobuf::Value& value);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_VALUE_CHECK_H_

#ifndef ACTIONCLUSTER_SERVER_GRPC_STATUS_BRIDGE_H_
#define ACTIONCLUSTER_SERVER_GRPC_STATUS_BRIDGE_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace actioncluster {

// The status as callers see it: code and message, and its payloads (our ErrorInfo among them) as the details of a google.rpc.Status. Any thread.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_STATUS_BRIDGE_H_

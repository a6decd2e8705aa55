#ifndef ACTIONCLUSTER_SERVER_GRPC_STATUS_BRIDGE_H_
#define ACTIONCLUSTER_SERVER_GRPC_STATUS_BRIDGE_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace actioncluster {

// The status as callers see it: code and message, and its payloads (our ErrorInfo among them) as the details of a google.rpc.Status. All together fits
// into what gRPC's clients take of trailers, 8 KiB: a message that is too long for that is cut at its end, and so are the longest values in the
// metadata of an ErrorInfo. Any thread.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_STATUS_BRIDGE_H_

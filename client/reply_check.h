#ifndef ACTIONCLUSTER_CLIENT_REPLY_CHECK_H_
#define ACTIONCLUSTER_CLIENT_REPLY_CHECK_H_

#include "absl/status/status.h"
#include "actioncluster/v1/rpc.pb.h"

namespace actioncluster::client {

// OK, or why the node could not even read this reply, and would end the stream with all its other calls: it is too large, nested too deep, or has a string
// that is not UTF-8. What the node reads and refuses is its own to say. Pure; any thread.
absl::Status CheckReply(const v1::ServeRequest::Reply& reply);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_REPLY_CHECK_H_

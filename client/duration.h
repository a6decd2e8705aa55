#ifndef ACTIONCLUSTER_CLIENT_DURATION_H_
#define ACTIONCLUSTER_CLIENT_DURATION_H_

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace actioncluster::client {

// A finite duration as messages carry it, and back. Any thread.
google::protobuf::Duration ToProto(absl::Duration duration);
absl::Duration FromProto(const google::protobuf::Duration& duration);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_DURATION_H_

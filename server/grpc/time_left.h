#ifndef ACTIONCLUSTER_SERVER_GRPC_TIME_LEFT_H_
#define ACTIONCLUSTER_SERVER_GRPC_TIME_LEFT_H_

#include <grpcpp/server_context.h>

#include <chrono>

#include "absl/time/time.h"

namespace actioncluster {

// How long the client still waits, by its deadline. Any thread.
//
// gRPC gives the deadline by the wall clock as it is now. So it is compared with that, and not with absl::Now(), which notices up to two seconds later that the clock was set.
inline absl::Duration TimeLeft(const grpc::ServerContextBase& context) {
  return absl::FromChrono(context.deadline()) - absl::FromChrono(std::chrono::system_clock::now());
}

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_TIME_LEFT_H_

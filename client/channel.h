#ifndef ACTIONCLUSTER_CLIENT_CHANNEL_H_
#define ACTIONCLUSTER_CLIENT_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace actioncluster::client {

// What gRPC takes for these addresses (see ClientOptions::addresses). INVALID_ARGUMENT: one is none, or they do not go together.
absl::StatusOr<std::string> TargetOf(const std::vector<std::string>& addresses);

// A channel with connections of its own, so that no pause of another's after a failure holds this one up: keepalive finds a node that is silently gone
// within 15 s, and calls are repeated where they may be (see Client). Connects when first used.
std::shared_ptr<grpc::Channel> Connect(const std::string& target);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_CHANNEL_H_

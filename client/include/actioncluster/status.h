#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_STATUS_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_STATUS_H_

#include <grpcpp/support/status.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "actioncluster/v1/errors.pb.h"

// What nodes say when a call fails, as absl::Status: canonical code and message, and the google.rpc.ErrorInfo that came with it as a payload. Pure
// functions; any thread.
namespace actioncluster::client {

// A status as gRPC gives it, with the ErrorInfo in its details (if it is of the domain "actioncluster") kept.
absl::Status FromGrpc(const grpc::Status& status);

// An error inside a message, as a node's share of CallAll has it. A code that is none becomes UNKNOWN.
absl::Status FromProto(const v1::Error& error);
// A handler's error, as it is sent to the node: code, message, and the metadata that WithMetadata has added.
v1::Error ToProto(const absl::Status& status);

// The reason that the node gave; ERROR_REASON_UNSPECIFIED if the error is not a node's (the network's, or this library's).
v1::ErrorReason ReasonOf(const absl::Status& status);
// Its name as in the contract: `METHOD_NOT_FOUND`; empty without one.
std::string ReasonNameOf(const absl::Status& status);
// The id of the node where the error was raised; empty if it is not known.
std::string NodeIdOf(const absl::Status& status);
// More, for programs: `missing_nodes`, `limit` and the like; see errors.proto.
std::map<std::string, std::string> MetadataOf(const absl::Status& status);

// The same status with one more entry of metadata. This is how a handler says more than code and message; nodes carry up to 16 entries, 4 KiB in all.
absl::Status WithMetadata(const absl::Status& status, const std::string& key, const std::string& value);

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_STATUS_H_

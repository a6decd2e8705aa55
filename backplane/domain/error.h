#ifndef ACTIONCLUSTER_BACKPLANE_DOMAIN_ERROR_H_
#define ACTIONCLUSTER_BACKPLANE_DOMAIN_ERROR_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "actioncluster/v1/errors.pb.h"

// The one catalogue of what can go wrong: an absl::Status whose payload is the google.rpc.ErrorInfo that callers see.
// All functions are pure and may be called from any thread.
namespace actioncluster {

using ErrorMetadata = std::map<std::string, std::string>;

// The type URL of the payload that holds the serialized google.rpc.ErrorInfo.
inline constexpr absl::string_view kErrorInfoTypeUrl = "type.googleapis.com/google.rpc.ErrorInfo";

// A status with the reason's canonical code, and an ErrorInfo of our domain.
absl::Status MakeError(v1::ErrorReason reason, absl::string_view message, const ErrorMetadata& metadata = {});

// The reason in the status, ERROR_REASON_UNSPECIFIED if it has none of ours.
v1::ErrorReason ReasonOf(const absl::Status& status);

// The metadata in the status' ErrorInfo; empty without one.
ErrorMetadata MetadataOf(const absl::Status& status);

// The same status with one more entry in its metadata. One that is there already stays: the first to know is right.
absl::Status WithMetadata(const absl::Status& status, absl::string_view key, absl::string_view value);

// The name that callers see: the enumerator without its prefix.
std::string ReasonName(v1::ErrorReason reason);

// An error as a value in messages, and back. A value with a code that is none becomes UNKNOWN.
v1::Error ToProto(const absl::Status& status);
absl::Status FromProto(const v1::Error& error);

// What an application's handler said, as its caller shall see it: reason HANDLER_FAILED, the handler's code (UNKNOWN if it is none or
// OK) and message, cut to the limits that the contract states, and its metadata.
absl::Status HandlerError(const v1::Error& error);

// Redis cannot be reached, or did what it should not: BACKPLANE_UNAVAILABLE.
absl::Status BackplaneUnavailable(absl::string_view message);
// Whatever Redis said, an error of ACLs or a missed deadline too: to those above it is one thing, that Redis does not do its part. OK stays OK.
absl::Status AsBackplaneError(const absl::Status& status);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_DOMAIN_ERROR_H_

#ifndef ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_FRAMES_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_FRAMES_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "actioncluster/v1/connections.pb.h"
#include "backplane/rpc/local_methods.h"

// The frames of ConnectionService.Open, as they come and go as bytes. Pure; any thread.
namespace actioncluster {

// Nothing: the bytes are no such frame, or have strings that are not UTF-8.
std::optional<v1::OpenRequest> ParseOpenRequest(const grpc::ByteBuffer& bytes);
grpc::ByteBuffer EncodeOpenResponse(const v1::OpenResponse& frame);

// OK, or INVALID_ARGUMENT.
absl::Status ValidateHello(const v1::OpenRequest::Hello& hello);
// OK, INVALID_ARGUMENT or LIMIT_EXCEEDED. Whether there is such a verb, and whether it takes these arguments, is not looked at.
absl::Status ValidateVerb(const v1::OpenRequest::Verb& verb);
// What the caller of Invoke hears; of an answer that is wrong, HANDLER_FAILED and why.
Outcome OutcomeOf(const v1::OpenRequest::Answer& answer);

// Says to the client what is wrong with its frame: by a `reply`, if the frame is a verb with a message_id that can be repeated, else by an `error`.
v1::OpenResponse ErrorFrame(const v1::OpenRequest* frame, const absl::Status& error);
// A frame `missed`.
grpc::ByteBuffer EncodeMissed(uint64_t count, bool gap);

// A gRPC peer (`ipv4:127.0.0.1:5000`, `ipv6:%5B::1%5D:5000`) as `ip:port`, and anything else as it is.
std::string PeerAddress(absl::string_view peer);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_FRAMES_H_

#ifndef ACTIONCLUSTER_SERVER_GRPC_AUTHORIZER_H_
#define ACTIONCLUSTER_SERVER_GRPC_AUTHORIZER_H_

#include <grpcpp/server_context.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace actioncluster {

// Who may call what. Every rpc that a node offers stands in one table with what it asks for; what is not in the table is denied. Every handler asks
// before it does anything else (a test calls each rpc of each service without a token, and is refused).
//
// Immutable; any thread.
class Authorizer {
 public:
  // The token that callers must show as `authorization: Bearer TOKEN`. Empty: none is asked for; only nodes on loopback run so.
  explicit Authorizer(absl::string_view api_token);

  // OK, or UNAUTHENTICATED. `rpc` is the full method name: `/actioncluster.v1.RpcService/Call`.
  absl::Status Admit(absl::string_view rpc, const grpc::ServerContextBase& context) const;

 private:
  bool IsOurs(absl::string_view token) const;

  const bool open_;
  const std::string digest_;  // SHA-256 of the token: compared in constant time, whatever the lengths.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_AUTHORIZER_H_

#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_ENDPOINT_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_ENDPOINT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace actioncluster::redis {

// Where a Redis listens and who we are to it.
struct Endpoint {
  std::string unix_path;  // Not empty: a unix socket; host and port mean nothing.
  std::string host;
  int port = 6379;
  std::string user;      // Empty: the default user.
  std::string password;  // Empty, and no user: no AUTH.
  int database = 0;

  // For logs and errors: never the password.
  std::string Redacted() const;
  // A unix socket, or a host that is 127.0.0.0/8, ::1 or localhost.
  bool IsLocal() const;
};

// `redis://[[user][:password]@]host[:port][/db]` (percent-encoding undone, IPv6 in brackets) or `unix:///path[?db=N]`
// with the same user part (`unix://user:password@/path`). Anything else is INVALID_ARGUMENT, in a message that says
// what is wrong and shows no password.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view url);

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_ENDPOINT_H_

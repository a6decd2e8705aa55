#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_ENDPOINT_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_ENDPOINT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace actioncluster::redis {

// A host name or address, and a port of it.
struct HostPort {
  std::string host;
  int port = 0;

  // `host:port`, IPv6 in brackets.
  std::string ToString() const;
  bool operator==(const HostPort&) const = default;
};

// Who knows where the master is, by which name, and who we are to them.
struct Sentinels {
  std::vector<HostPort> addresses;  // Not empty.
  std::string master;
  std::string user;      // Empty: the default user.
  std::string password;  // Empty, and no user: no AUTH.
};

// Where a Redis listens and who we are to it.
struct Endpoint {
  std::string unix_path;  // Not empty: a unix socket; host and port mean nothing.
  std::string host;
  int port = 6379;
  std::string user;      // Empty: the default user.
  std::string password;  // Empty, and no user: no AUTH.
  int database = 0;
  bool tls = false;                                   // To the sentinels too.
  std::optional<Sentinels> sentinels = std::nullopt;  // Set: these say where; host and port mean nothing.

  // For logs and errors: never the password.
  std::string Redacted() const;
  // A unix socket, or a host that is 127.0.0.0/8, ::1 or localhost. Never with sentinels: what they name may be anywhere.
  bool IsLocal() const;
};

// One of (percent-encoding is undone, IPv6 stands in brackets)
//   redis://[[user][:password]@]host[:port][/db]       rediss:// means TLS;
//   unix://[[user][:password]@]/path[?db=N]
//   redis+sentinel://[[user][:password]@]host[:port][,host[:port]…]/MASTER-NAME[/db]
//       [?sentinel-user=…&sentinel-password=…]         rediss+sentinel:// means TLS, to sentinels and Redis.
// Anything else is INVALID_ARGUMENT, in a message that says what is wrong and shows no password.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view url);

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_ENDPOINT_H_

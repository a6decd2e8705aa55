#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_LINK_OPTIONS_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_LINK_OPTIONS_H_

#include <cstddef>
#include <string>

#include "absl/time/time.h"
#include "backplane/redis/endpoint.h"
#include "backplane/redis/tls_context.h"

namespace actioncluster::redis {

// How a connection to Redis behaves. The defaults are a node's.
struct LinkOptions {
  Endpoint endpoint;
  TlsFiles tls_files = {};                               // For an endpoint with TLS; read for each connection.
  std::string client_name;                               // CLIENT SETNAME, so no spaces; empty: none.
  absl::Duration connect_timeout = absl::Seconds(2);     // Until the handshake is done.
  absl::Duration command_timeout = absl::Seconds(5);     // For commands that give no deadline of their own.
  absl::Duration stall_timeout = absl::Seconds(5);       // A connection whose oldest command waits longer is closed.
  absl::Duration min_backoff = absl::Milliseconds(20);   // Between attempts to connect: up to this; the limit doubles,
  absl::Duration max_backoff = absl::Milliseconds(500);  // up to that.
  // How many replicas must have what durable scripts wrote before these end; 0: none is asked for. And how long they
  // may take, less than stall_timeout.
  int ack_replicas = 0;
  absl::Duration ack_timeout = absl::Seconds(1);
  size_t max_unwritten = size_t{256} << 20;  // Bytes that Redis does not read, before the connection is closed.
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_LINK_OPTIONS_H_

#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_EMBEDDED_REDIS_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_EMBEDDED_REDIS_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/supervisor/file_descriptor.h"

namespace actioncluster {

// A real redis-server on a unix socket in the data directory, with an append-only file: what nodes use when they are given no Redis.
// It outlives single nodes, and ends with the supervisor. Used from the supervisor's only thread.
class EmbeddedRedis {
 public:
  enum class Health { kSilent, kLoading, kReady };

  // `lock_fd` holds the data directory's lock; the server inherits it, so that nobody starts a second one on a live socket: that would
  // steal its path silently. INVALID_ARGUMENT if the socket's path is too long for a socket.
  static absl::StatusOr<EmbeddedRedis> Create(const std::string& data_dir, int lock_fd);

  // What nodes connect to: `unix://DIR/redis.sock`.
  std::string url() const;
  // Where it says why it ended.
  std::string log_path() const;

  // Starts the server; the caller waits for its end and starts it anew. NOT_FOUND if redis-server is not installed.
  absl::StatusOr<pid_t> Start();

  // Whether it answers by now. Does not block: ask again in some milliseconds.
  Health Probe();

 private:
  EmbeddedRedis(std::string data_dir, int lock_fd);

  std::string data_dir_;
  std::string socket_path_;
  int lock_fd_;
  FileDescriptor probe_;  // A connection on which a PING waits for its answer.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_EMBEDDED_REDIS_H_

#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_PORT_GUARD_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_PORT_GUARD_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/supervisor/file_descriptor.h"

namespace actioncluster {

// Keeps a range of ports to this process and its children, over the whole machine. The shared port is bound with SO_REUSEPORT, so that the
// kernel would let a second cluster of the same user share it without a word: half of the calls would go to the wrong one.
// Not thread-safe.
class PortGuard {
 public:
  // Takes `first` … `first + more`. FAILED_PRECONDITION if one is taken, by another actioncluster or by any other program, and
  // for an address or a port that this machine does not allow.
  static absl::StatusOr<PortGuard> Take(const std::string& host, int first, int more);

  // Takes those that are missing up to `first + more`, or none. Errors as of Take. What it has it keeps: nodes that are on their way out still use
  // their ports.
  absl::Status Grow(int more);

 private:
  PortGuard(std::string host, int first) : host_(std::move(host)), first_(first) {}

  std::string host_;
  int first_;
  // Sockets bound to the abstract names `actioncluster/port/P`, which vanish with the process.
  std::vector<FileDescriptor> names_;
};

// `host:port`, with an IPv6 address in brackets.
std::string HostPort(const std::string& host, int port);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_PORT_GUARD_H_

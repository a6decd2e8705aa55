#ifndef ACTIONCLUSTER_CLIENT_CLI_REACH_H_
#define ACTIONCLUSTER_CLIENT_CLI_REACH_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace actioncluster::cli {

// Whether anybody takes connections at one of these addresses (`host:port`, `[v6]:port`, `unix:/path`): tries them in turn, each a little after the
// one before, and closes what it opens. So a person hears at once, in the system's words, why nobody is there, where the calls themselves might wait and
// try again. Blocks; any thread. UNAVAILABLE with the first reason; INVALID_ARGUMENT if one is no address.
absl::Status Reach(const std::vector<std::string>& addresses, absl::Duration limit);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_REACH_H_

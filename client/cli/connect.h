#ifndef ACTIONCLUSTER_CLIENT_CLI_CONNECT_H_
#define ACTIONCLUSTER_CLIENT_CLI_CONNECT_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/client.h"

// From what the command line and the environment say to a client. To be called from any thread.
namespace actioncluster::cli {

// How long a call may take, where --timeout does not say.
inline constexpr absl::Duration kDefaultTimeout = absl::Seconds(5);

// What every subcommand that talks to a cluster takes, as it was given. Empty: it was not.
struct CommonOptions {
  std::string address;  // Several with commas in between.
  std::string api_token_file;
  std::string data_dir;
  std::string timeout;  // With its unit: 250ms, 5s.
  bool json = false;
};

using Environment = std::map<std::string, std::string>;  // By the variable's name.

// Where to call, and who says so.
struct Endpoint {
  std::vector<std::string> addresses;
  // For errors: "the flag --address", "the environment's ACTIONCLUSTER_ADDRESS", "/d/actioncluster.address", or "the default".
  std::string source;
  // The source is a file that a cluster which was killed leaves behind.
  bool may_be_stale = false;
};

// --address, else ACTIONCLUSTER_ADDRESS, else the file `actioncluster.address` in a data directory (--data-dir, else ACTIONCLUSTER_DATA_DIR, else
// $XDG_STATE_HOME/actioncluster, else ~/.local/state/actioncluster), else 127.0.0.1:7400. Where --data-dir names a directory without the file, no cluster
// runs: UNAVAILABLE. A file that cannot be read, or holds nothing: FAILED_PRECONDITION.
absl::StatusOr<Endpoint> FindEndpoint(const CommonOptions& options, const Environment& environment);

// The token in a file, without white space at its end. As nodes take it: 16 bytes or more, not readable by others, and printable, as it
// travels in a header. INVALID_ARGUMENT or PERMISSION_DENIED.
absl::StatusOr<std::string> ReadApiToken(const std::string& path);

// A time with its unit, more than 0 and at most an hour; `fallback` for none. INVALID_ARGUMENT, with the option's name.
absl::StatusOr<absl::Duration> ParseTimeout(absl::string_view text, absl::Duration fallback);

// A client for these options, once a node takes connections at its addresses; its timeout is what is left then, but at least 100 ms. UNAVAILABLE: none
// does, within the timeout; where, and who named it.
absl::StatusOr<std::unique_ptr<client::Client>> Connect(const CommonOptions& options, const Environment& environment);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CONNECT_H_

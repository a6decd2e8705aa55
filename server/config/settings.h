#ifndef ACTIONCLUSTER_SERVER_CONFIG_SETTINGS_H_
#define ACTIONCLUSTER_SERVER_CONFIG_SETTINGS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace actioncluster {
namespace redis {
struct TlsFiles;
}

// Everything that can be set about `actioncluster start`: one schema (settings.cc) says each setting's name, default, limits and help. A value comes
// from the flag `--some-name`, else from the environment's ACTIONCLUSTER_SOME_NAME, else from the file named by `--config` (lines `some-name = value`, `#` comments).
struct Settings {
  int workers = 1;                 // 1 … 256 nodes on this machine.
  std::string host = "127.0.0.1";  // The address to listen on.
  std::string advertise;  // Where others reach `host`. Empty: host, or this machine's name if that is 0.0.0.0 or ::.
  int port = 7400;        // Shared by all nodes; the I-th also listens on port + I alone.
  std::string data_dir;   // Absolute. Default: $XDG_STATE_HOME/actioncluster or ~/.local/state/actioncluster.
  std::string redis;      // A URL; empty: an embedded redis-server in the data directory.
  std::string redis_ca_file;    // For a Redis by TLS: whose certificates are believed; empty: the system's.
  std::string redis_cert_file;  // Our certificate for it, and its key; empty: none.
  std::string redis_key_file;
  int ack_replicas = 0;  // 0 … 16: on how many replicas of Redis what callers wrote must be before they hear so.
  absl::Duration ack_timeout = absl::Seconds(1);     // 10 ms … 2 s
  std::string cluster_namespace = "actioncluster";   // --namespace
  std::string server_token_file;                     // Empty: made and kept in the data directory.
  std::string api_token_file;                        // Empty: no authentication (loopback only).
  absl::Duration rpc_timeout = absl::Seconds(5);     // 1 ms … 1 h
  absl::Duration lease = absl::Seconds(5);           // 1 s … 1 min
  absl::Duration task_lease = absl::Seconds(10);     // 1 s … 10 min
  absl::Duration drain_timeout = absl::Seconds(10);  // 0 … 1 h: how long a stopping node waits for running calls.
  int64_t cache_key_bytes = 1024;                    // 1 … 64 KiB
  int64_t cache_value_bytes = int64_t{4} << 20;      // 1 KiB … 64 MiB
  int cache_batch = 1000;                            // 256 … 100,000 operations in one call or frame.
  int cache_list_length = 10'000'000;                // 1 … 1,000,000,000 items.
  int64_t near_cache_bytes = 0;                      // 0: off … 64 GiB
  int64_t restore_bytes = int64_t{16} << 30;  // 1 MiB … 1 TiB: what is restored lies on disk until it is complete.
  absl::Duration resume_window = absl::Minutes(2);  // 1 s … 1 h: how long lost connections wait for their clients.
  std::string client_methods;  // Patterns of the methods that clients may call, with commas; empty: none.
  int64_t connection_outbox_bytes = int64_t{1} << 20;  // 64 KiB … 64 MiB
  std::string slow_clients = "drop";                   // drop | close
  int max_connections = 100'000;                       // 1 … 10,000,000 a node.

  // True if clients and Redis are reached over loopback or unix sockets only.
  bool IsLocal() const;
};

// What connections to a Redis by TLS need of the settings.
redis::TlsFiles RedisTlsFiles(const Settings& settings);

// Merges flags (`args`, without the program's name and subcommand), environment (`NAME=value`) and file, and validates the whole, also across settings: beyond
// loopback and unix sockets it takes a server token file and an API token file. INVALID_ARGUMENT with one line that names the setting, where
// its value came from, and what is allowed. Unknown flags, unknown ACTIONCLUSTER_ variables and unknown or doubled lines in the file are errors too; ACTIONCLUSTER_ADDRESS,
// ACTIONCLUSTER_CALL_… and those of ACTIONCLUSTER_TASK_… which the command line reads and sets are not looked at.
absl::StatusOr<Settings> LoadSettings(const std::vector<std::string>& args,
                                      const std::vector<std::string>& environment);

// The same settings as environment variables, for a child process: what LoadSettings reads back.
std::map<std::string, std::string> ToEnvironment(const Settings& settings);

// One setting, for who lists them in brief.
struct SettingSummary {
  std::string name;     // `data-dir`
  std::string metavar;  // `DIR`
  std::string meaning;
};
// All that `start` takes as a flag.
std::vector<SettingSummary> ListSettings();

// The text of `start --help`: each setting with its default, limits and meaning.
std::string SettingsHelp();

// The content of a token file without trailing white space. NOT_FOUND, PERMISSION_DENIED (readable by others), INVALID_ARGUMENT (shorter than 16 bytes).
absl::StatusOr<std::string> ReadTokenFile(const std::string& path);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONFIG_SETTINGS_H_

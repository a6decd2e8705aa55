#include "server/config/settings_schema.h"

#include <arpa/inet.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/endpoint.h"
#include "server/config/byte_size.h"

namespace actioncluster {
namespace {

Setting Integer(std::string name, int Settings::*member, int min, int max, std::string meaning) {
  const std::string limits = absl::StrCat(min, " … ", max);
  return {.name = std::move(name),
          .metavar = "N",
          .meaning = std::move(meaning),
          .limits = limits,
          .parse = [=](const std::string& text, Settings& settings) -> absl::Status {
            int value;
            if (!absl::SimpleAtoi(text, &value) || value < min || value > max) {
              return Wrong(absl::StrCat("takes a whole number, ", limits));
            }
            settings.*member = value;
            return absl::OkStatus();
          },
          .print = [=](const Settings& settings) { return absl::StrCat(settings.*member); },
          .default_text = ""};
}

Setting Bytes(std::string name, int64_t Settings::*member, int64_t min, int64_t max, std::string meaning) {
  const std::string limits = absl::StrCat(PrintBytes(min), " … ", PrintBytes(max));
  return {.name = std::move(name),
          .metavar = "BYTES",
          .meaning = std::move(meaning),
          .limits = limits,
          .parse = [=](const std::string& text, Settings& settings) -> absl::Status {
            const std::optional<int64_t> value = ParseBytes(text);
            if (!value.has_value() || *value < min || *value > max) {
              return Wrong(absl::StrCat("takes a number of bytes, as 4096, 64KiB, 4MiB or 1GiB; ", limits));
            }
            settings.*member = *value;
            return absl::OkStatus();
          },
          .print = [=](const Settings& settings) { return PrintBytes(settings.*member); },
          .default_text = ""};
}

Setting Period(std::string name, absl::Duration Settings::*member, absl::Duration min, absl::Duration max,
               std::string meaning) {
  const std::string limits = absl::StrCat(absl::FormatDuration(min), " … ", absl::FormatDuration(max));
  return {.name = std::move(name),
          .metavar = "TIME",
          .meaning = std::move(meaning),
          .limits = limits,
          .parse = [=](const std::string& text, Settings& settings) -> absl::Status {
            absl::Duration value;
            if (!absl::ParseDuration(text, &value) || value < min || value > max) {
              return Wrong(absl::StrCat("takes a time with its unit, as 250ms, 5s or 1m; ", limits));
            }
            settings.*member = value;
            return absl::OkStatus();
          },
          .print = [=](const Settings& settings) { return absl::FormatDuration(settings.*member); },
          .default_text = ""};
}

Setting Text(std::string name, std::string metavar, std::string Settings::*member, std::string limits,
             absl::Status (*parse)(const std::string& text, std::string* value), std::string default_text,
             std::string meaning) {
  return {.name = std::move(name),
          .metavar = std::move(metavar),
          .meaning = std::move(meaning),
          .limits = std::move(limits),
          .parse = [=](const std::string& text, Settings& settings) -> absl::Status {
            return parse(text, &(settings.*member));
          },
          .print = [=](const Settings& settings) { return settings.*member; },
          .default_text = std::move(default_text)};
}

absl::Status ParseHost(const std::string& text, std::string* value) {
  if (text != "localhost" && !IsAddress(text)) {
    return Wrong("takes an IPv4 or IPv6 address of this machine, or localhost");
  }
  *value = text;
  return absl::OkStatus();
}

absl::Status ParseAdvertise(const std::string& text, std::string* value) {
  const bool name = std::all_of(text.begin(), text.end(),
                                [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '.'; });
  if (text.size() > 253 || (!name && !IsAddress(text))) return Wrong("takes a host name, or an IPv4 or IPv6 address");
  *value = text;
  return absl::OkStatus();
}

// Relative paths are meant from where the program is started; workers may be elsewhere.
absl::Status ParsePath(const std::string& text, std::string* value) {
  value->clear();
  if (text.empty()) return absl::OkStatus();
  if (text.find('\n') != std::string::npos) return Wrong("takes a path in one line");
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(text, error);
  if (error) return Wrong(absl::StrCat("takes a path; this one has no absolute form: ", error.message()));
  *value = path.lexically_normal().string();
  if (value->size() > 1) *value = std::string(absl::StripSuffix(*value, "/"));
  return absl::OkStatus();
}

absl::Status ParseTokenFile(const std::string& text, std::string* value) {
  if (const absl::Status path = ParsePath(text, value); !path.ok() || value->empty()) return path;
  return ReadTokenFile(*value).status();
}

absl::Status ParseRedis(const std::string& text, std::string* value) {
  if (!text.empty()) {
    if (const auto endpoint = redis::ParseEndpoint(text); !endpoint.ok()) return endpoint.status();
  }
  *value = text;
  return absl::OkStatus();
}

absl::Status ParseNamespace(const std::string& text, std::string* value) {
  if (const absl::Status valid = Keys::Validate(text); !valid.ok()) return valid;
  *value = text;
  return absl::OkStatus();
}

// Without spaces around the commas.
absl::Status ParsePatterns(const std::string& text, std::string* value) {
  constexpr size_t kMaxPatterns = 256;
  constexpr size_t kMaxPatternBytes = 256;
  std::vector<absl::string_view> patterns;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    patterns.push_back(absl::StripAsciiWhitespace(part));
    if (!text.empty() && (patterns.back().empty() || patterns.back().size() > kMaxPatternBytes)) {
      return Wrong("takes names or patterns of 1 … 256 bytes with commas between them");
    }
  }
  if (patterns.size() > kMaxPatterns) return Wrong(absl::StrCat("takes at most ", kMaxPatterns, " patterns"));
  *value = absl::StrJoin(patterns, ",");
  return absl::OkStatus();
}

absl::Status ParseSlowClients(const std::string& text, std::string* value) {
  if (text != "drop" && text != "close") return Wrong("takes drop or close");
  *value = text;
  return absl::OkStatus();
}

}  // namespace

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

bool IsAddress(const std::string& host) {
  in6_addr buffer;
  return inet_pton(AF_INET, host.c_str(), &buffer) == 1 || inet_pton(AF_INET6, host.c_str(), &buffer) == 1;
}

const std::vector<Setting>& Schema() {
  static const auto* const schema = new std::vector<Setting>{
      Integer("workers", &Settings::workers, 1, 256, "How many nodes to run on this machine."),
      Text("host", "ADDRESS", &Settings::host, "an address of this machine", &ParseHost, "",
           "The address to listen on. Beyond loopback it takes both token files."),
      Text("advertise", "HOST", &Settings::advertise, "a host name or address", &ParseAdvertise,
           "the --host, or this machine's name where that is 0.0.0.0 or ::",
           "The host by which clients and other machines reach these nodes; it is told to them."),
      Integer("port", &Settings::port, 1, 65535,
              "The port that all nodes of this machine share. The I-th also listens on port + I alone."),
      Text("data-dir", "DIR", &Settings::data_dir, "a directory, made if missing", &ParsePath,
           "$XDG_STATE_HOME/actioncluster, or ~/.local/state/actioncluster",
           "Where logs, pid files and the embedded Redis keep their files."),
      Text("redis", "URL", &Settings::redis,
           "redis://[[user][:password]@]host[:port][/db], unix:///path, or "
           "redis+sentinel://[[user][:password]@]host[:port][,host[:port]…]/MASTER-NAME[/db]; rediss for TLS",
           &ParseRedis, "an embedded redis-server in the data directory", "The Redis that connects the nodes."),
      Text("redis-ca-file", "FILE", &Settings::redis_ca_file, "PEM", &ParsePath, "the system's",
           "The certificates of the authorities that are believed when Redis is reached by TLS."),
      Text("redis-cert-file", "FILE", &Settings::redis_cert_file, "PEM", &ParsePath, "none",
           "The certificate, with its chain, that is shown to a Redis by TLS."),
      Text("redis-key-file", "FILE", &Settings::redis_key_file, "PEM without a passphrase, not readable by others",
           &ParsePath, "none", "The private key of the certificate that is shown to Redis."),
      Integer("ack-replicas", &Settings::ack_replicas, 0, 16,
              "How many replicas of Redis must have what a call wrote before it succeeds; 0: none is asked."),
      Period("ack-timeout", &Settings::ack_timeout, absl::Milliseconds(10), absl::Seconds(2),
             "How long replicas may take, before the call fails with UNAVAILABLE though Redis itself has it."),
      Text("namespace", "NAME", &Settings::cluster_namespace, "1 … 64 of A-Z a-z 0-9 . _ -", &ParseNamespace, "",
           "Keeps clusters apart that share a Redis."),
      Text("server-token-file", "FILE", &Settings::server_token_file, "at least 16 bytes, not readable by others",
           &ParseTokenFile, "made at random and kept in the data directory",
           "The secret that all nodes of a cluster share: it signs what they say to each other."),
      Text("api-token-file", "FILE", &Settings::api_token_file, "at least 16 bytes, not readable by others",
           &ParseTokenFile, "none: anyone on this machine may call", "The token that callers must show."),
      Period("rpc-timeout", &Settings::rpc_timeout, absl::Milliseconds(1), absl::Hours(1),
             "How long a call waits for replies, if it does not say."),
      Period("lease", &Settings::lease, absl::Seconds(1), absl::Minutes(1),
             "After how much silence a node counts as lost."),
      Period("task-lease", &Settings::task_lease, absl::Seconds(1), absl::Minutes(10),
             "How long a task stays with a worker whose node is silent."),
      Period("drain-timeout", &Settings::drain_timeout, absl::ZeroDuration(), absl::Hours(1),
             "How long a stopping node waits for running calls."),
      Bytes("cache-key-bytes", &Settings::cache_key_bytes, 1, int64_t{64} << 10, "How long a key of the cache may be."),
      Bytes(
          "cache-value-bytes", &Settings::cache_value_bytes, int64_t{1} << 10, int64_t{64} << 20,
          "How large a value, or an item of a list, may be. A node takes messages twice as large, and 8 MiB at least."),
      // Clients send up to 256 operations in a frame, whatever is set here.
      Integer("cache-batch", &Settings::cache_batch, 256, 100'000,
              "How many keys or operations one call or frame may have."),
      Integer("cache-list-length", &Settings::cache_list_length, 1, 1'000'000'000, "How many items a list may have."),
      Bytes("near-cache-bytes", &Settings::near_cache_bytes, 0, int64_t{64} << 30,
            "How much of the node's own memory keeps values for callers that allow it. 0: none."),
      Bytes("restore-bytes", &Settings::restore_bytes, int64_t{1} << 20, int64_t{1} << 40,
            "How much of the disk in the data directory a restore may take until it is complete."),
      Period("resume-window", &Settings::resume_window, absl::Seconds(1), absl::Hours(1),
             "How long the id, the attributes and the rooms of a connection that was lost are kept for its client."),
      Text("client-methods", "PATTERNS", &Settings::client_methods,
           "names with commas between them, where * is any run of characters", &ParsePatterns, "none",
           "The methods that clients of Open may call, of those that applications offer."),
      Bytes("connection-outbox-bytes", &Settings::connection_outbox_bytes, int64_t{64} << 10, int64_t{64} << 20,
            "How much of what is said may wait for a client that does not read; of answers to it, four times as much."),
      Text("slow-clients", "WHAT", &Settings::slow_clients, "drop or close", &ParseSlowClients, "",
           "What becomes of a client for which more waits: it misses the oldest messages, or is disconnected."),
      Integer("max-connections", &Settings::max_connections, 1, 10'000'000, "How many clients one node takes."),
  };
  return *schema;
}

}  // namespace actioncluster

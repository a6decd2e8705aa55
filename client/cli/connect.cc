#include "client/cli/connect.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/reach.h"
#include "client/clock.h"

namespace actioncluster::cli {
namespace {

// What a call has at least, however long it took to find that somebody is there.
constexpr absl::Duration kMinTimeout = absl::Milliseconds(100);
constexpr size_t kMinTokenBytes = 16;
constexpr size_t kMaxTokenBytes = 4096;
constexpr std::streamsize kMaxAddressFileBytes = 65536;
constexpr absl::Duration kMaxTimeout = absl::Hours(1);

std::string Lookup(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

absl::StatusOr<Endpoint> FromText(const std::string& text, std::string source) {
  Endpoint endpoint = {.addresses = {}, .source = std::move(source)};
  for (const absl::string_view address : absl::StrSplit(text, ',')) {
    endpoint.addresses.emplace_back(absl::StripAsciiWhitespace(address));
    if (endpoint.addresses.back().empty()) {
      return absl::InvalidArgumentError(absl::StrCat("an address is empty (from ", endpoint.source, ")"));
    }
  }
  return endpoint;
}

// The default data directory of `actioncluster start`; empty if the environment names none.
std::string DefaultDataDir(const Environment& environment) {
  if (const std::string state = Lookup(environment, "XDG_STATE_HOME"); absl::StartsWith(state, "/")) {
    return absl::StrCat(state, "/actioncluster");
  }
  const std::string home = Lookup(environment, "HOME");
  return absl::StartsWith(home, "/") ? absl::StrCat(home, "/.local/state/actioncluster") : "";
}

// NOT_FOUND if there is no such file; also if it is hidden from us, unless somebody has named it.
absl::StatusOr<Endpoint> FromFile(const std::string& path, bool is_named) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR || (errno == EACCES && !is_named))) {
    return absl::NotFoundError(path);
  }
  std::ifstream file(path);
  std::string text(static_cast<size_t>(kMaxAddressFileBytes), '\0');
  if (!file.read(text.data(), kMaxAddressFileBytes) && !file.eof()) {
    return absl::FailedPreconditionError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  Endpoint endpoint = {.addresses = {}, .source = path, .may_be_stale = true};
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view address = absl::StripAsciiWhitespace(line);
    if (!address.empty()) endpoint.addresses.emplace_back(address);
  }
  if (endpoint.addresses.empty()) return absl::FailedPreconditionError(absl::StrCat(path, ": holds no address"));
  return endpoint;
}

}  // namespace

absl::StatusOr<Endpoint> FindEndpoint(const CommonOptions& options, const Environment& environment) {
  if (!options.address.empty()) return FromText(options.address, "the flag --address");
  if (const std::string address = Lookup(environment, "ACTIONCLUSTER_ADDRESS"); !address.empty()) {
    return FromText(address, "the environment's ACTIONCLUSTER_ADDRESS");
  }
  std::string data_dir = options.data_dir;
  if (data_dir.empty()) data_dir = Lookup(environment, "ACTIONCLUSTER_DATA_DIR");
  const bool is_named = !data_dir.empty();
  if (!is_named) data_dir = DefaultDataDir(environment);
  if (!data_dir.empty()) {
    absl::StatusOr<Endpoint> endpoint = FromFile(absl::StrCat(data_dir, "/actioncluster.address"), is_named);
    if (!absl::IsNotFound(endpoint.status())) return endpoint;
    if (!options.data_dir.empty()) {
      return absl::UnavailableError(
          absl::StrCat("no cluster runs in ", data_dir, ": it has no file actioncluster.address"));
    }
  }
  return Endpoint{.addresses = {"127.0.0.1:7400"}, .source = "the default"};
}

absl::StatusOr<std::string> ReadApiToken(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    const std::string message = absl::StrCat("the API token file ", path, ": ", std::strerror(errno));
    return errno == EACCES ? absl::PermissionDeniedError(message) : absl::InvalidArgumentError(message);
  }
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, ": is not a file"));
  if ((info.st_mode & S_IRWXO) != 0) {
    return absl::PermissionDeniedError(absl::StrCat("the API token file ", path, " is open to others; chmod 600 it"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::PermissionDeniedError(absl::StrCat("the API token file ", path, ": ", std::strerror(errno)));
  std::array<char, kMaxTokenBytes + 1> read;
  file.read(read.data(), read.size());
  const absl::string_view token =
      absl::StripTrailingAsciiWhitespace(absl::string_view(read.data(), static_cast<size_t>(file.gcount())));
  if (token.size() < kMinTokenBytes || token.size() > kMaxTokenBytes ||
      !std::ranges::all_of(token, [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); })) {
    return absl::InvalidArgumentError(absl::StrCat("the API token file ", path, " holds no token: that is ",
                                                   kMinTokenBytes, " printable bytes or more, without spaces"));
  }
  return std::string(token);
}

absl::StatusOr<absl::Duration> ParseTimeout(absl::string_view text, absl::Duration fallback) {
  if (text.empty()) return fallback;
  absl::Duration timeout;
  if (!absl::ParseDuration(text, &timeout) || timeout <= absl::ZeroDuration() || timeout > kMaxTimeout) {
    return absl::InvalidArgumentError(
        "--timeout takes a time with its unit, as 250ms, 5s or 1m: more than 0, at most 1h");
  }
  return timeout;
}

absl::StatusOr<std::unique_ptr<client::Client>> Connect(const CommonOptions& options, const Environment& environment) {
  absl::StatusOr<absl::Duration> timeout = ParseTimeout(options.timeout, kDefaultTimeout);
  if (!timeout.ok()) return timeout.status();
  const absl::StatusOr<Endpoint> endpoint = FindEndpoint(options, environment);
  if (!endpoint.ok()) return endpoint.status();

  client::ClientOptions client_options;
  client_options.addresses = endpoint->addresses;
  std::string token_file = options.api_token_file;
  if (token_file.empty()) token_file = Lookup(environment, "ACTIONCLUSTER_API_TOKEN_FILE");
  if (!token_file.empty()) {
    absl::StatusOr<std::string> token = ReadApiToken(token_file);
    if (!token.ok()) return token.status();
    client_options.api_token = *std::move(token);
  }
  const absl::Time begun = client::MonotonicNow();
  if (const absl::Status reached = Reach(endpoint->addresses, *timeout); !reached.ok()) {
    return absl::Status(
        reached.code(),
        absl::StrCat("no node answers at ", absl::StrJoin(endpoint->addresses, ", "), " (from ", endpoint->source,
                     endpoint->may_be_stale ? ", which a cluster that was killed leaves behind" : "",
                     "): ", reached.message()));
  }
  client_options.timeout = std::max(*timeout - (client::MonotonicNow() - begun), kMinTimeout);
  return client::Client::Create(std::move(client_options));
}

}  // namespace actioncluster::cli

#include "backplane/redis/endpoint.h"

#include <sys/un.h>

#include <algorithm>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace actioncluster::redis {
namespace {

constexpr size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr int kRedisPort = 6379;
constexpr int kSentinelPort = 26379;
// Each that is away may cost a timeout.
constexpr size_t kMaxSentinels = 16;
constexpr size_t kMaxMasterName = 256;

// Says nothing of what the URL holds: any part of it may turn out to be the password.
absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("not a Redis URL: ", what));
}

std::optional<std::string> PercentDecoded(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size() || !absl::ascii_isxdigit(text[i + 1]) || !absl::ascii_isxdigit(text[i + 2])) {
        return std::nullopt;
      }
      c = absl::HexStringToBytes(text.substr(i + 1, 2))[0];
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    decoded.push_back(c);
  }
  return decoded;
}

bool ParseNumber(absl::string_view text, int min, int max, int* number) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, number) && *number >= min && *number <= max;
}

absl::Status ParseDatabase(absl::string_view text, Endpoint* endpoint) {
  if (!ParseNumber(text, 0, 65535, &endpoint->database)) return Wrong("the database must be a number from 0 to 65535");
  return absl::OkStatus();
}

// Takes `[[user][:password]@]` off the front.
absl::Status ParseUser(absl::string_view* authority, Endpoint* endpoint) {
  const size_t at = authority->rfind('@');
  if (at == absl::string_view::npos) return absl::OkStatus();
  const absl::string_view user_part = authority->substr(0, at);
  authority->remove_prefix(at + 1);
  const size_t colon = user_part.find(':');
  const auto user = PercentDecoded(user_part.substr(0, colon));
  const auto password = colon == absl::string_view::npos ? std::string() : PercentDecoded(user_part.substr(colon + 1));
  if (!user || !password)
    return Wrong("a % in the user or the password must be followed by two hexadecimal digits, not 00");
  endpoint->user = *user;
  endpoint->password = *password;
  return absl::OkStatus();
}

absl::StatusOr<HostPort> ParseHost(absl::string_view text, int default_port) {
  absl::string_view host = text;
  absl::string_view rest;
  const bool bracketed = absl::ConsumePrefix(&host, "[");
  const size_t end = host.find(bracketed ? ']' : ':');
  if (bracketed && end == absl::string_view::npos) return Wrong("the bracket around the address is not closed");
  if (end != absl::string_view::npos) {
    rest = host.substr(bracketed ? end + 1 : end);
    host = host.substr(0, end);
  }
  const bool is_name = std::all_of(host.begin(), host.end(), [bracketed](char c) {
    return absl::ascii_isalnum(c) || c == '.' || (bracketed ? c == ':' || c == '%' : c == '-' || c == '_');
  });
  if (host.empty() || host.size() > 255 || !is_name)
    return Wrong("the host must be a name or an address, IPv6 in brackets");
  HostPort parsed{.host = std::string(host), .port = default_port};
  if (rest.empty()) return parsed;
  if (!absl::ConsumePrefix(&rest, ":") || !ParseNumber(rest, 1, 65535, &parsed.port)) {
    return Wrong("the port must be a number from 1 to 65535");
  }
  return parsed;
}

absl::StatusOr<Endpoint> ParseTcp(absl::string_view rest, bool tls) {
  Endpoint endpoint;
  endpoint.tls = tls;
  const size_t slash = rest.find('/');
  absl::string_view authority = rest.substr(0, slash);
  if (absl::Status status = ParseUser(&authority, &endpoint); !status.ok()) return status;
  const absl::StatusOr<HostPort> address = ParseHost(authority, kRedisPort);
  if (!address.ok()) return address.status();
  endpoint.host = address->host;
  endpoint.port = address->port;
  const absl::string_view database = slash == absl::string_view::npos ? "" : rest.substr(slash + 1);
  if (database.empty()) return endpoint;
  if (absl::Status status = ParseDatabase(database, &endpoint); !status.ok()) return status;
  return endpoint;
}

// `sentinel-user=…&sentinel-password=…`, each at most once.
absl::Status ParseSentinelQuery(absl::string_view query, Sentinels* sentinels) {
  for (absl::string_view part : absl::StrSplit(query, '&')) {
    std::string* value = absl::ConsumePrefix(&part, "sentinel-user=")       ? &sentinels->user
                         : absl::ConsumePrefix(&part, "sentinel-password=") ? &sentinels->password
                                                                            : nullptr;
    if (value == nullptr) return Wrong("all that may follow ? is sentinel-user=… and sentinel-password=…");
    const auto decoded = PercentDecoded(part);
    if (!decoded || decoded->empty() || !value->empty()) {
      return Wrong("sentinel-user and sentinel-password have one value each, percent-encoded");
    }
    *value = *decoded;
  }
  return absl::OkStatus();
}

absl::Status ParseMaster(absl::string_view name, Sentinels* sentinels) {
  const bool is_name = std::all_of(name.begin(), name.end(),
                                   [](char c) { return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_'; });
  if (name.empty() || name.size() > kMaxMasterName || !is_name) {
    return Wrong("after the sentinels comes /MASTER-NAME, of letters, digits, . _ and -");
  }
  sentinels->master = std::string(name);
  return absl::OkStatus();
}

absl::StatusOr<Endpoint> ParseSentinel(absl::string_view rest, bool tls) {
  Endpoint endpoint;
  endpoint.tls = tls;
  Sentinels& sentinels = endpoint.sentinels.emplace();
  const size_t slash = rest.find('/');
  absl::string_view authority = rest.substr(0, slash);
  absl::string_view path = slash == absl::string_view::npos ? "" : rest.substr(slash + 1);
  if (absl::Status status = ParseUser(&authority, &endpoint); !status.ok()) return status;
  for (const absl::string_view part : absl::StrSplit(authority, ',')) {
    absl::StatusOr<HostPort> address = ParseHost(part, kSentinelPort);
    if (!address.ok()) return address.status();
    sentinels.addresses.push_back(*std::move(address));
  }
  if (sentinels.addresses.size() > kMaxSentinels) return Wrong(absl::StrCat("at most ", kMaxSentinels, " sentinels"));
  if (const size_t question = path.find('?'); question != absl::string_view::npos) {
    if (absl::Status status = ParseSentinelQuery(path.substr(question + 1), &sentinels); !status.ok()) return status;
    path = path.substr(0, question);
  }
  const size_t end = path.find('/');
  if (absl::Status status = ParseMaster(path.substr(0, end), &sentinels); !status.ok()) return status;
  const absl::string_view database = end == absl::string_view::npos ? "" : path.substr(end + 1);
  if (database.empty()) return endpoint;
  if (absl::Status status = ParseDatabase(database, &endpoint); !status.ok()) return status;
  return endpoint;
}

absl::StatusOr<Endpoint> ParseUnix(absl::string_view rest) {
  Endpoint endpoint;
  const size_t slash = rest.find('/');
  if (slash == absl::string_view::npos) return Wrong("the socket's path must be absolute");
  absl::string_view authority = rest.substr(0, slash);
  if (absl::Status status = ParseUser(&authority, &endpoint); !status.ok()) return status;
  if (!authority.empty()) return Wrong("the socket's path must be absolute, with nothing but the user part before it");
  absl::string_view path = rest.substr(slash);
  if (const size_t question = path.find('?'); question != absl::string_view::npos) {
    absl::string_view query = path.substr(question + 1);
    path = path.substr(0, question);
    if (!absl::ConsumePrefix(&query, "db=")) return Wrong("all that may follow a socket's path is ?db=N");
    if (absl::Status status = ParseDatabase(query, &endpoint); !status.ok()) return status;
  }
  const auto decoded = PercentDecoded(path);
  if (!decoded) return Wrong("a % in the path must be followed by two hexadecimal digits, not 00");
  if (decoded->size() > kMaxUnixPath)
    return Wrong(absl::StrCat("the socket's path is longer than ", kMaxUnixPath, " bytes"));
  endpoint.unix_path = *decoded;
  return endpoint;
}

}  // namespace

std::string HostPort::ToString() const {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

std::string Endpoint::Redacted() const {
  std::string who = user;
  if (!password.empty()) absl::StrAppend(&who, ":***");
  if (!who.empty()) absl::StrAppend(&who, "@");
  if (!unix_path.empty()) {
    return absl::StrCat("unix://", who, unix_path, database == 0 ? "" : absl::StrCat("?db=", database));
  }
  const std::string db = database == 0 ? "" : absl::StrCat("/", database);
  const absl::string_view scheme = tls ? "rediss" : "redis";
  if (!sentinels.has_value()) return absl::StrCat(scheme, "://", who, HostPort{host, port}.ToString(), db);
  const std::string addresses = absl::StrJoin(sentinels->addresses, ",", [](std::string* out, const HostPort& address) {
    absl::StrAppend(out, address.ToString());
  });
  return absl::StrCat(scheme, "+sentinel://", who, addresses, "/", sentinels->master, db);
}

bool Endpoint::IsLocal() const {
  if (!unix_path.empty() || host == "::1" || absl::EqualsIgnoreCase(host, "localhost")) return true;
  // A name may begin so, too; with sentinels there is none.
  return absl::StartsWith(host, "127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view url) {
  if (absl::ConsumePrefix(&url, "redis://")) return ParseTcp(url, false);
  if (absl::ConsumePrefix(&url, "rediss://")) return ParseTcp(url, true);
  if (absl::ConsumePrefix(&url, "redis+sentinel://")) return ParseSentinel(url, false);
  if (absl::ConsumePrefix(&url, "rediss+sentinel://")) return ParseSentinel(url, true);
  if (absl::ConsumePrefix(&url, "unix://")) return ParseUnix(url);
  return Wrong("it must begin with redis://, rediss://, redis+sentinel://, rediss+sentinel:// or unix://");
}

}  // namespace actioncluster::redis

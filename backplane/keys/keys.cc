#include "backplane/keys/keys.h"

#include <array>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace actioncluster {
namespace {

constexpr size_t kMaxNamespace = 64;

// What is kept of a queue, as scripts/part_tasks.lua says.
constexpr std::array<absl::string_view, 14> kQueueKeys = {"tasks",   "ready",     "names",   "scheduled", "active",
                                                          "ended",   "failed",    "meta",    "memory",    "expiries",
                                                          "waiting", "recurring", "cursors", "outbox"};

// A hash tag ends at the first closing brace, so a name from outside may not bring braces of its own: its key would land in another
// slot, or two names in one key.
std::string InsideTag(absl::string_view name) {
  std::string escaped;
  escaped.reserve(name.size());
  for (const char c : name) {
    switch (c) {
      case '{':
        escaped += "%7B";
        break;
      case '}':
        escaped += "%7D";
        break;
      case '%':
        escaped += "%25";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

// The name that InsideTag has made this of; nothing if it has not.
std::optional<std::string> FromTag(absl::string_view escaped) {
  std::string name;
  name.reserve(escaped.size());
  for (size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] == '{' || escaped[i] == '}') return std::nullopt;
    if (escaped[i] != '%') {
      name += escaped[i];
      continue;
    }
    const absl::string_view code = escaped.substr(i, 3);
    if (code == "%7B") {
      name += '{';
    } else if (code == "%7D") {
      name += '}';
    } else if (code == "%25") {
      name += '%';
    } else {
      return std::nullopt;
    }
    i += 2;
  }
  return name;
}

// What Redis's glob patterns do not read as themselves.
std::string InsidePattern(absl::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

absl::string_view LetterOf(Keys::CacheKind kind) {
  switch (kind) {
    case Keys::CacheKind::kValue:
      return "v";
    case Keys::CacheKind::kLock:
      return "l";
    case Keys::CacheKind::kList:
      return "q";
    case Keys::CacheKind::kStaged:
      return "s";
    case Keys::CacheKind::kRestore:
      return "p";
  }
  return "";
}

}  // namespace

absl::Status Keys::Validate(absl::string_view cluster_namespace) {
  bool valid = !cluster_namespace.empty() && cluster_namespace.size() <= kMaxNamespace;
  for (const char c : cluster_namespace) {
    valid = valid && (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-');
  }
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError("a namespace is 1 to 64 of the characters A-Z a-z 0-9 . _ -");
}

Keys::Keys(absl::string_view cluster_namespace, int database)
    : namespace_(cluster_namespace),
      database_(database),
      channels_(database == 0 ? absl::StrCat(cluster_namespace, ":")
                              : absl::StrCat(cluster_namespace, ":db", database, ":")) {}

std::string Keys::MembershipLeases() const { return absl::StrCat("{", namespace_, ":m}:leases"); }
std::string Keys::MembershipRecords() const { return absl::StrCat("{", namespace_, ":m}:records"); }
std::string Keys::MembershipStats() const { return absl::StrCat("{", namespace_, ":m}:stats"); }
std::string Keys::MembershipNames() const { return absl::StrCat("{", namespace_, ":m}:names"); }
std::string Keys::MembershipState() const { return absl::StrCat("{", namespace_, ":m}:state"); }

std::string Keys::Connection(absl::string_view connection_id) const {
  return absl::StrCat("{", namespace_, ":conn:", InsideTag(connection_id), "}");
}

std::string Keys::HeldConnections(absl::string_view boot_id) const {
  return absl::StrCat("{", namespace_, ":held:", InsideTag(boot_id), "}");
}
std::string Keys::HoldingBoots() const { return absl::StrCat("{", namespace_, ":holding}"); }

std::string Keys::RoomInfo(absl::string_view room) const { return RoomKey(room, "info"); }
std::string Keys::RoomMembers(absl::string_view room) const { return RoomKey(room, "members"); }
std::string Keys::RoomBoots(absl::string_view room) const { return RoomKey(room, "boots"); }
std::string Keys::RoomHistory(absl::string_view room) const { return RoomKey(room, "history"); }
std::string Keys::RoomKey(absl::string_view room, absl::string_view name) const {
  return absl::StrCat("{", namespace_, ":room:", InsideTag(room), "}:", name);
}
std::string Keys::RoomNames() const { return absl::StrCat("{", namespace_, ":rooms}:names"); }
std::string Keys::RoomStamps() const { return absl::StrCat("{", namespace_, ":rooms}:stamps"); }

std::vector<std::string> Keys::Queue(absl::string_view queue) const {
  const std::string tag = absl::StrCat("{", namespace_, ":q:", InsideTag(queue), "}:");
  std::vector<std::string> keys;
  keys.reserve(kQueueKeys.size());
  for (const absl::string_view name : kQueueKeys) keys.push_back(absl::StrCat(tag, name));
  return keys;
}

std::string Keys::Queues() const { return absl::StrCat("{", namespace_, ":queues}"); }

std::string Keys::Cache(CacheKind kind, absl::string_view key) const {
  return absl::StrCat(LetterOf(kind), "{", namespace_, ":c:", InsideTag(key), "}");
}

std::vector<std::string> Keys::CacheLine(CacheKind kind, absl::string_view key) const {
  const std::string tag = absl::StrCat("{", namespace_, ":c:", InsideTag(key), "}");
  const absl::string_view letter = LetterOf(kind);
  return {absl::StrCat(letter, "-line", tag), absl::StrCat(letter, "-turns", tag), absl::StrCat(letter, "-boots", tag)};
}

std::string Keys::CacheRequest(CacheCall call, absl::string_view key, absl::string_view request_id) const {
  return absl::StrCat("r{", namespace_, ":c:", InsideTag(key), "}", static_cast<int>(call), request_id);
}
std::string Keys::CacheScratch(absl::string_view key) const {
  return absl::StrCat("w{", namespace_, ":c:", InsideTag(key), "}");
}

std::string Keys::CachePrefix(CacheKind kind) const { return absl::StrCat(LetterOf(kind), "{", namespace_, ":c:"); }

std::string Keys::CachePattern(CacheKind kind, absl::string_view prefix) const {
  return absl::StrCat(CachePrefix(kind), InsidePattern(InsideTag(prefix)), "*");
}

std::optional<std::string> Keys::CacheKeyOf(CacheKind kind, absl::string_view name) const {
  if (!absl::ConsumePrefix(&name, CachePrefix(kind)) || !absl::ConsumeSuffix(&name, "}")) return std::nullopt;
  return FromTag(name);
}

std::string Keys::ChannelAll() const { return absl::StrCat(channels_, "all"); }
std::string Keys::ChannelBoot(absl::string_view boot_id) const { return absl::StrCat(channels_, "boot:", boot_id); }
std::string Keys::ChannelMethod(absl::string_view method) const { return absl::StrCat(channels_, "method:", method); }
std::string Keys::ChannelType(absl::string_view type) const { return absl::StrCat(channels_, "type:", type); }
std::string Keys::ChannelAllTypes() const { return absl::StrCat(channels_, "types"); }
std::string Keys::ChannelRoom(absl::string_view room) const { return absl::StrCat(channels_, "room:", room); }

}  // namespace actioncluster

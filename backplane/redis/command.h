#ifndef ACTIONCLUSTER_BACKPLANE_REDIS_COMMAND_H_
#define ACTIONCLUSTER_BACKPLANE_REDIS_COMMAND_H_

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace actioncluster::redis {

// A Lua script, embedded at build from backplane/scripts/NAME.lua. Static storage.
struct Script {
  absl::string_view name;
  absl::string_view body;
  absl::string_view sha1;  // 40 hexadecimal digits, as EVALSHA takes them.
  bool durable = false;    // Callers rely on what it wrote: see Client.
};

// One command in Redis's wire format, ready to send. Binary-safe.
class Command {
 public:
  explicit Command(std::initializer_list<absl::string_view> args);
  explicit Command(const std::vector<std::string>& args);

  // EVALSHA of a script. All keys a script touches go through `keys`, and share one hash tag.
  static Command Call(const Script& script, const std::vector<std::string>& keys, const std::vector<std::string>& args);

  const std::string& wire() const { return wire_; }
  std::string TakeWire() && { return std::move(wire_); }

  // Made by Call: sent again if Redis has not got the script.
  bool is_script() const { return is_script_; }
  // Made by Call of such a script.
  bool is_durable() const { return is_durable_; }

 private:
  Command() = default;
  std::string wire_;
  bool is_script_ = false;
  bool is_durable_ = false;
};

}  // namespace actioncluster::redis

#endif  // ACTIONCLUSTER_BACKPLANE_REDIS_COMMAND_H_

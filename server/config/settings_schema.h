#ifndef ACTIONCLUSTER_SERVER_CONFIG_SETTINGS_SCHEMA_H_
#define ACTIONCLUSTER_SERVER_CONFIG_SETTINGS_SCHEMA_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/config/settings.h"

// What is known of each setting; for this folder only. Pure; any thread.
namespace actioncluster {

// One line of the schema: all that flags, environment, file, help and checks need to know about a setting.
struct Setting {
  std::string name;
  std::string metavar;
  std::string meaning;
  std::string limits;
  // Says what is wrong with the text; never repeats it, as it may hold a password.
  std::function<absl::Status(const std::string& text, Settings& settings)> parse;
  std::function<std::string(const Settings& settings)> print;
  std::string default_text;  // For the help, where the default is not simply a value.
};

// All settings, in the order in which the help lists them.
const std::vector<Setting>& Schema();

// INVALID_ARGUMENT.
absl::Status Wrong(absl::string_view what);

// An IPv4 or IPv6 address.
bool IsAddress(const std::string& host);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONFIG_SETTINGS_SCHEMA_H_

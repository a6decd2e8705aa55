#include "server/config/settings.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "backplane/redis/endpoint.h"
#include "backplane/redis/tls_context.h"
#include "server/config/settings_schema.h"

namespace actioncluster {
namespace {

constexpr absl::string_view kPrefix = "ACTIONCLUSTER_";
constexpr absl::string_view kConfig = "config";
constexpr size_t kMinTokenBytes = 16;

const Setting* Find(absl::string_view name) {
  for (const Setting& setting : Schema()) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

std::string VariableName(absl::string_view name) {
  return absl::StrCat(kPrefix, absl::AsciiStrToUpper(absl::StrReplaceAll(name, {{"-", "_"}})));
}

// Those that the command line reads (client/cli): whoever uses it and starts nodes too has them set.
bool IsForClients(absl::string_view variable) {
  if (variable == "ACTIONCLUSTER_ADDRESS" || absl::StartsWith(variable, "ACTIONCLUSTER_CALL_")) return true;
  // One by one: there are settings that begin so.
  constexpr std::array<absl::string_view, 6> kOfATask = {"ID", "NAME", "QUEUE", "ATTEMPT", "LOST_LEASES", "DEADLINE"};
  return absl::ConsumePrefix(&variable, "ACTIONCLUSTER_TASK_") &&
         std::ranges::find(kOfATask, variable) != kOfATask.end();
}

struct Value {
  std::string text;
  std::string source;
};
using Values = std::map<std::string, Value>;  // By the setting's name.

absl::StatusOr<Values> FromFlags(const std::vector<std::string>& args) {
  CLI::App app;
  app.set_help_flag();
  std::map<std::string, std::string> texts;
  std::map<std::string, CLI::Option*> options;
  const auto add = [&](const std::string& name) {
    options[name] = app.add_option("--" + name, texts[name])->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  };
  for (const Setting& setting : Schema()) add(setting.name);
  add(std::string(kConfig));
  try {
    // CLI11 takes them from the end.
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::ParseError& error) {
    return Wrong(absl::StrCat(absl::StrReplaceAll(error.what(), {{"\n", " "}}), "; see actioncluster start --help"));
  }
  Values values;
  for (const auto& [name, option] : options) {
    if (option->count() > 0) values[name] = {.text = texts[name], .source = absl::StrCat("the flag --", name)};
  }
  return values;
}

absl::StatusOr<Values> FromEnvironment(const std::vector<std::string>& environment) {
  Values values;
  for (const std::string& entry : environment) {
    if (!absl::StartsWith(entry, kPrefix)) continue;
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) continue;
    const std::string variable = entry.substr(0, equals);
    if (IsForClients(variable)) continue;
    const std::string name =
        absl::StrReplaceAll(absl::AsciiStrToLower(absl::string_view(variable).substr(kPrefix.size())), {{"_", "-"}});
    if (VariableName(name) != variable || (name != kConfig && Find(name) == nullptr)) {
      return Wrong(absl::StrCat("there is no setting for the environment variable ", variable,
                                "; see actioncluster start --help"));
    }
    values[name] = {.text = entry.substr(equals + 1), .source = absl::StrCat("the environment's ", variable)};
  }
  return values;
}

absl::StatusOr<Values> FromFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Wrong(absl::StrCat("config: cannot read ", path, ": ", std::strerror(errno)));
  Values values;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text.front() == '#') continue;
    const std::string source = absl::StrCat(path, " line ", number);
    const size_t equals = text.find('=');
    if (equals == absl::string_view::npos) return Wrong(absl::StrCat(source, ": takes `some-name = value`"));
    const std::string name(absl::StripTrailingAsciiWhitespace(text.substr(0, equals)));
    if (Find(name) == nullptr) {
      return Wrong(absl::StrCat(source, ": there is no setting ", name, "; see actioncluster start --help"));
    }
    const std::string value(absl::StripLeadingAsciiWhitespace(text.substr(equals + 1)));
    if (const auto [at, added] = values.try_emplace(name, Value{value, source}); !added) {
      return Wrong(absl::StrCat(source, ": ", name, " is set already, by ", at->second.source));
    }
  }
  if (file.bad()) return Wrong(absl::StrCat("config: cannot read ", path));
  return values;
}

std::optional<std::string> Lookup(const std::vector<std::string>& environment, absl::string_view variable) {
  for (const std::string& entry : environment) {
    absl::string_view rest = entry;
    if (absl::ConsumePrefix(&rest, variable) && absl::ConsumePrefix(&rest, "=")) return std::string(rest);
  }
  return std::nullopt;
}

absl::StatusOr<std::string> DefaultDataDir(const std::vector<std::string>& environment) {
  // The XDG specification has relative paths ignored.
  const auto state = Lookup(environment, "XDG_STATE_HOME");
  if (state.has_value() && absl::StartsWith(*state, "/")) return absl::StrCat(*state, "/actioncluster");
  const auto home = Lookup(environment, "HOME");
  if (home.has_value() && absl::StartsWith(*home, "/")) return absl::StrCat(*home, "/.local/state/actioncluster");
  return Wrong("data-dir: is needed, as the environment has neither XDG_STATE_HOME nor HOME");
}

absl::Status ValidateRedisFiles(const Settings& settings) {
  const redis::TlsFiles files = RedisTlsFiles(settings);
  const auto endpoint = redis::ParseEndpoint(settings.redis);
  if (!endpoint.ok() || !endpoint->tls) {
    if (files.ca_file.empty() && files.cert_file.empty() && files.key_file.empty()) return absl::OkStatus();
    return Wrong("redis-ca-file, redis-cert-file and redis-key-file are for a redis of rediss:// only");
  }
  const absl::Status loaded = redis::TlsContext::Load(files).status();
  if (loaded.ok()) return loaded;
  return Wrong(absl::StrCat("redis-ca-file, redis-cert-file, redis-key-file: ", loaded.message()));
}

absl::Status ValidateTogether(const Settings& settings) {
  if (settings.port + settings.workers > 65535) {
    return Wrong(absl::StrCat("port: ", settings.port, " with ", settings.workers,
                              " workers goes past 65535, as each worker has a port of its own after it"));
  }
  if (settings.ack_replicas > 0 && settings.redis.empty()) {
    return Wrong("ack-replicas: the embedded redis-server has no replicas; it takes a --redis that has");
  }
  if (absl::Status files = ValidateRedisFiles(settings); !files.ok()) return files;
  if (settings.IsLocal()) return absl::OkStatus();
  for (const auto& [name, value] : {std::pair("server-token-file", settings.server_token_file),
                                    std::pair("api-token-file", settings.api_token_file)}) {
    if (value.empty()) {
      return Wrong(absl::StrCat(name, ": is needed when clients or Redis are not on this machine alone (host is ",
                                settings.host, ")"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

redis::TlsFiles RedisTlsFiles(const Settings& settings) {
  return {
      .ca_file = settings.redis_ca_file, .cert_file = settings.redis_cert_file, .key_file = settings.redis_key_file};
}

bool Settings::IsLocal() const {
  const bool local_host = host == "localhost" || host == "::1" || (absl::StartsWith(host, "127.") && IsAddress(host));
  if (!local_host || redis.empty()) return local_host;
  const auto endpoint = redis::ParseEndpoint(redis);
  return endpoint.ok() && endpoint->IsLocal();
}

absl::StatusOr<Settings> LoadSettings(const std::vector<std::string>& args,
                                      const std::vector<std::string>& environment) {
  absl::StatusOr<Values> values = FromFlags(args);
  if (!values.ok()) return values.status();
  absl::StatusOr<Values> variables = FromEnvironment(environment);
  if (!variables.ok()) return variables.status();
  values->merge(*variables);
  if (const auto config = values->find(std::string(kConfig)); config != values->end()) {
    absl::StatusOr<Values> lines = FromFile(config->second.text);
    if (!lines.ok()) return lines.status();
    values->merge(*lines);
  }

  Settings settings;
  for (const Setting& setting : Schema()) {
    const auto value = values->find(setting.name);
    if (value == values->end()) continue;
    if (const absl::Status parsed = setting.parse(value->second.text, settings); !parsed.ok()) {
      return Wrong(absl::StrCat(setting.name, " (from ", value->second.source, "): ", parsed.message()));
    }
  }
  if (settings.data_dir.empty()) {
    absl::StatusOr<std::string> data_dir = DefaultDataDir(environment);
    if (!data_dir.ok()) return data_dir.status();
    settings.data_dir = *std::move(data_dir);
  }
  if (const absl::Status valid = ValidateTogether(settings); !valid.ok()) return valid;
  return settings;
}

std::map<std::string, std::string> ToEnvironment(const Settings& settings) {
  std::map<std::string, std::string> environment;
  for (const Setting& setting : Schema()) environment[VariableName(setting.name)] = setting.print(settings);
  return environment;
}

std::vector<SettingSummary> ListSettings() {
  std::vector<SettingSummary> summaries;
  for (const Setting& setting : Schema()) summaries.push_back({setting.name, setting.metavar, setting.meaning});
  summaries.push_back({std::string(kConfig), "FILE", "The file to read settings from."});
  return summaries;
}

std::string SettingsHelp() {
  std::string help =
      "Usage: actioncluster start [--SETTING VALUE]…\n\n"
      "Runs nodes on this machine until SIGTERM or Ctrl-C. Each setting may also come from the environment, as\n"
      "ACTIONCLUSTER_SETTING, or from a file of lines `setting = value`; flags win over the environment, that over the "
      "file.\n\n";
  const Settings defaults;
  for (const Setting& setting : Schema()) {
    const std::string value = setting.default_text.empty() ? setting.print(defaults) : setting.default_text;
    absl::StrAppend(&help, "  --", setting.name, " ", setting.metavar, "\n      ", setting.meaning,
                    "\n      Allowed: ", setting.limits, ". Default: ", value,
                    ". Environment: ", VariableName(setting.name), "\n");
  }
  absl::StrAppend(&help, "  --", kConfig,
                  " FILE\n      The file to read settings from. Environment: ", VariableName(kConfig), "\n");
  return help;
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    const std::string message = absl::StrCat(path, ": ", std::strerror(errno));
    return errno == EACCES ? absl::PermissionDeniedError(message) : absl::NotFoundError(message);
  }
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, ": is not a file"));
  if ((info.st_mode & S_IRWXO) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": is open to others; chmod 600 it"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::PermissionDeniedError(absl::StrCat(path, ": ", std::strerror(errno)));
  std::string token{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  absl::StripTrailingAsciiWhitespace(&token);
  if (token.size() < kMinTokenBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": holds fewer than ", kMinTokenBytes, " bytes"));
  }
  return token;
}

}  // namespace actioncluster

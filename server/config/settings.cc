#include "server/config/settings.h"

#include <arpa/inet.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/endpoint.h"
#include "server/config/byte_size.h"

namespace actioncluster {
namespace {

constexpr absl::string_view kPrefix = "ACTIONCLUSTER_";
constexpr absl::string_view kConfig = "config";
constexpr size_t kMinTokenBytes = 16;

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

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

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

bool IsAddress(const std::string& host) {
  in6_addr buffer;
  return inet_pton(AF_INET, host.c_str(), &buffer) == 1 || inet_pton(AF_INET6, host.c_str(), &buffer) == 1;
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
      Text("redis", "URL", &Settings::redis, "redis://[[user][:password]@]host[:port][/db] or unix:///path",
           &ParseRedis, "an embedded redis-server in the data directory", "The Redis that connects the nodes."),
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
  };
  return *schema;
}

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

absl::Status ValidateTogether(const Settings& settings) {
  if (settings.port + settings.workers > 65535) {
    return Wrong(absl::StrCat("port: ", settings.port, " with ", settings.workers,
                              " workers goes past 65535, as each worker has a port of its own after it"));
  }
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

#ifndef ACTIONCLUSTER_CLIENT_CLI_CONTENT_H_
#define ACTIONCLUSTER_CLIENT_CLI_CONTENT_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/json.h"
#include "client/cli/console.h"
#include "client/limits.h"
#include "google/protobuf/duration.pb.h"

// What people send and get: JSON, or opaque bytes.
namespace actioncluster::cli {

// Content as the command line gives it.
struct ContentOptions {
  std::string json = "";
  std::string data_file = "";
  bool has_json = false;
  size_t most = client::kMaxContentBytes;  // Of a file.
};

// Adds the argument `name` for JSON, and --data-file.
void AddContentOptions(CLI::App* app, const std::string& name, const std::string& meaning, ContentOptions* options);

// All bytes of a file; of standard input for `-`. INVALID_ARGUMENT: it cannot be read; RESOURCE_EXHAUSTED: it is larger than `most`, by default what a call can carry.
absl::StatusOr<std::string> ReadData(const std::string& path, size_t most = client::kMaxContentBytes);

// Content of any kind: none, JSON, or bytes.
using AnyContent = std::variant<std::monostate, google::protobuf::Value, std::string>;
// What the command line gives; `name` is the argument's, for errors. As ReadData; INVALID_ARGUMENT: it is no JSON.
absl::StatusOr<AnyContent> ReadContent(const ContentOptions& options, absl::string_view name);

google::protobuf::Duration ToProto(absl::Duration duration);

// A result for people. JSON in a line, or, `raw`, a string as its text. Bytes exactly as they are; on a terminal, unless `raw`, escaped and in a line.
bool PrintResult(const google::protobuf::Value& result, bool raw, Console& console);
bool PrintBytes(absl::string_view bytes, bool raw, Console& console);

// Content in a cell of a table: JSON, bytes escaped between quotes, `-` for none.
template <class Message>
std::string DescribeContent(const google::protobuf::Value* json, const Message& message) {
  if (json != nullptr) return client::ToJson(*json);
  if (message.has_data()) return absl::StrCat("\"", message.data(), "\"");
  return "-";
}

// Sets args of a request that takes a list.
template <class Request>
absl::Status SetArguments(const ContentOptions& options, Request* request) {
  if (!options.data_file.empty()) {
    absl::StatusOr<std::string> data = ReadData(options.data_file);
    if (!data.ok()) return data.status();
    request->set_data(*std::move(data));
    return absl::OkStatus();
  }
  if (!options.has_json) return absl::OkStatus();
  absl::StatusOr<google::protobuf::ListValue> args = client::ParseArgs(options.json);
  if (!args.ok()) return absl::InvalidArgumentError(absl::StrCat("ARGS takes a JSON array: ", args.status().message()));
  *request->mutable_args() = *std::move(args);
  return absl::OkStatus();
}

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CONTENT_H_

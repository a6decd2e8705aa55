#include "client/cli/content.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/file_descriptor.h"
#include "client/cli/text.h"

namespace actioncluster::cli {

void AddContentOptions(CLI::App* app, const std::string& name, const std::string& meaning, ContentOptions* options) {
  CLI::Option* const json = app->add_option_function<std::string>(
      name,
      [options](const std::string& text) {
        options->json = text;
        options->has_json = true;
      },
      meaning);
  json->type_name("");
  app->add_option("--data-file", options->data_file, "Send the bytes of this file, opaque; - is standard input")
      ->option_text("FILE")
      ->excludes(json);
}

absl::StatusOr<std::string> ReadData(const std::string& path, size_t most) {
  const bool is_input = path == "-";
  const FileDescriptor file(is_input ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto failed = [&path] { return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::strerror(errno))); };
  if (!is_input && !file.is_open()) return failed();
  std::string data;
  for (char buffer[65536]; data.size() <= most;) {
    const ssize_t got = read(is_input ? STDIN_FILENO : file.get(), buffer, sizeof buffer);
    if (got == 0) return data;
    if (got > 0) {
      data.append(buffer, static_cast<size_t>(got));
    } else if (errno != EINTR) {
      return failed();
    }
  }
  return absl::ResourceExhaustedError(absl::StrCat(path, ": is larger than ", most, " bytes"));
}

absl::StatusOr<AnyContent> ReadContent(const ContentOptions& options, absl::string_view name) {
  if (!options.data_file.empty()) {
    absl::StatusOr<std::string> data = ReadData(options.data_file, options.most);
    if (!data.ok()) return data.status();
    return *std::move(data);
  }
  if (!options.has_json) return std::monostate();
  absl::StatusOr<google::protobuf::Value> value = client::ParseJson(options.json);
  if (!value.ok()) return absl::InvalidArgumentError(absl::StrCat(name, ": ", value.status().message()));
  return *std::move(value);
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return proto;
}

bool PrintResult(const google::protobuf::Value& result, bool raw, Console& console) {
  if (raw && result.kind_case() == google::protobuf::Value::kStringValue) {
    return console.WriteLine(result.string_value());
  }
  return console.WriteLine(Escape(client::ToJson(result)));
}

bool PrintBytes(absl::string_view bytes, bool raw, Console& console) {
  return raw || !console.OutIsTerminal() ? console.Write(bytes) : console.WriteLine(Escape(bytes));
}

}  // namespace actioncluster::cli

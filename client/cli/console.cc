#include "client/cli/console.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "actioncluster/json.h"
#include "actioncluster/status.h"
#include "client/cli/text.h"
#include "client/utf8.h"
#include "google/protobuf/util/json_util.h"

namespace actioncluster::cli {
namespace {

// 0, or errno.
int WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // A terminal that someone else has made non-blocking.
      pollfd writable = {.fd = fd, .events = POLLOUT, .revents = 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

std::string ToJsonLine(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  return google::protobuf::util::MessageToJsonString(message, &json, options).ok() ? json : "{}";
}

std::string QuoteJson(absl::string_view text) { return Escape(client::ToJson(client::ToValue(client::ToUtf8(text)))); }

std::string DescribeError(const absl::Status& status) {
  const std::string reason = client::ReasonNameOf(status);
  const std::string code = absl::StatusCodeToString(status.code());
  const std::string node = client::NodeIdOf(status);
  return absl::StrCat(reason.empty() ? code : absl::StrCat(reason, " (", code, ")"), " ", Escape(status.message()),
                      node.empty() ? "" : absl::StrCat(" [node ", Escape(node), "]"));
}

std::string ErrorToJson(const absl::Status& status) {
  std::string metadata;
  for (const auto& [key, value] : client::MetadataOf(status)) {
    absl::StrAppend(&metadata, metadata.empty() ? "" : ",", QuoteJson(key), ":", QuoteJson(value));
  }
  return absl::StrCat("{\"code\":", QuoteJson(absl::StatusCodeToString(status.code())),
                      ",\"reason\":", QuoteJson(client::ReasonNameOf(status)),
                      ",\"message\":", QuoteJson(status.message()),
                      ",\"node_id\":", QuoteJson(client::NodeIdOf(status)), ",\"metadata\":{", metadata,
                      "},\"exit_code\":", static_cast<int>(ExitCodeOf(status)), "}");
}

bool Console::OutIsTerminal() const { return isatty(out_) == 1; }

bool Console::CanSay() const {
  pollfd writable = {.fd = err_, .events = POLLOUT, .revents = 0};
  return poll(&writable, 1, 0) > 0;
}

bool Console::Write(absl::string_view bytes) {
  const absl::MutexLock lock(&out_mutex_);
  if (out_error_ == 0) out_error_ = WriteAll(out_, bytes);
  return out_error_ == 0;
}

bool Console::WriteLine(absl::string_view line) { return Write(absl::StrCat(line, "\n")); }

void Console::Say(absl::string_view line) {
  const absl::MutexLock lock(&err_mutex_);
  WriteAll(err_, absl::StrCat(line, "\n"));
}

ExitCode Console::Finish(const absl::Status& status) {
  int out_error;
  {
    const absl::MutexLock lock(&out_mutex_);
    out_error = out_error_;
  }
  if (out_error == EPIPE) return ExitCode::kClosedPipe;
  absl::Status end = status;
  if (out_error != 0) {
    end = absl::InternalError(absl::StrCat("the output cannot be written: ", std::strerror(out_error)));
  }
  if (end.ok()) return ExitCode::kOk;
  Say(json_ ? ErrorToJson(end) : absl::StrCat("actioncluster: ", DescribeError(end)));
  return ExitCodeOf(end);
}

}  // namespace actioncluster::cli

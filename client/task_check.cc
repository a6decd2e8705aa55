#include "client/task_check.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "client/utf8.h"
#include "client/value_check.h"

namespace actioncluster::client {

absl::Status CheckContent(const v1::Task::Content& content, size_t most, const char* what) {
  const size_t bytes = content.has_value() ? content.value().ByteSizeLong() : content.data().size();
  if (bytes > most) {
    return absl::ResourceExhaustedError(absl::StrCat(what, " has ", bytes, " bytes; at most ", most, " are taken"));
  }
  const char* fault = content.has_value() ? FaultIn(content.value()) : nullptr;
  return fault == nullptr ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrCat(what, " ", fault));
}

absl::Status CheckFollowUp(const v1::EnqueueRequest& request) {
  for (const std::string* text : {&request.name(), &request.queue(), &request.unique_key(), &request.id()}) {
    if (!IsUtf8(*text)) return absl::InvalidArgumentError("name, queue, unique_key and id must be UTF-8");
  }
  const char* fault = request.has_args() ? FaultIn(request.args()) : nullptr;
  return fault == nullptr ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrCat("args ", fault));
}

}  // namespace actioncluster::client

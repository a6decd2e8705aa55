#include "backplane/tasks/task_id.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "backplane/domain/node_ref.h"

namespace actioncluster {

std::string TaskId::ToString() const {
  return absl::StrCat(absl::StrReplaceAll(queue, {{"%", "%25"}, {"/", "%2F"}}), "/", id);
}

absl::StatusOr<TaskId> TaskId::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  TaskId parsed;
  if (slash != absl::string_view::npos) {
    parsed.queue = absl::StrReplaceAll(text.substr(0, slash), {{"%25", "%"}, {"%2F", "/"}});
    parsed.id = std::string(text.substr(slash + 1));
  }
  // Written anew it must be the same text: no other escapes, and no two texts for one id.
  if (parsed.queue.empty() || parsed.id.empty() || parsed.ToString() != text) {
    return absl::InvalidArgumentError("a task's id is its queue, a slash, and its id in that: as Enqueue returned it");
  }
  return parsed;
}

std::string NewTaskId() {
  static const std::string& process = *new std::string(RandomBootId());
  static std::atomic<uint64_t> last{0};
  return absl::StrFormat("%s%08x", process, ++last);
}

}  // namespace actioncluster

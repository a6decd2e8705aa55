#include "server/services/task_filter.h"

#include <utility>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/struct.pb.h"
#include "server/grpc/content.h"
#include "server/services/task_proto.h"

namespace actioncluster {
namespace {

// The same bytes for the same JSON, however it was written.
std::string InOrder(const google::protobuf::Value& value) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  value.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

}  // namespace

absl::StatusOr<TaskFilter> TaskFilter::Parse(const v1::TaskFilter& filter) {
  TaskFilter parsed;
  absl::StatusOr<std::string> queue = QueueOrDefault(filter.queue(), "filter.queue");
  if (!queue.ok()) return queue.status();
  parsed.queue_ = *std::move(queue);
  if (filter.state() != v1::TASK_STATE_UNSPECIFIED) {
    const absl::StatusOr<TaskState> state = TaskStateOf(filter.state(), "filter.state");
    if (!state.ok()) return state.status();
    parsed.state_ = *state;
  }
  if (!filter.name().empty()) {
    if (absl::Status valid = ValidateName(filter.name(), "filter.name"); !valid.ok()) return valid;
    parsed.name_ = filter.name();
  }
  if (!filter.has_args() && !filter.has_data()) return parsed;
  if (filter.has_args()) {
    if (absl::Status valid = ValidateJson(filter.args(), "filter.args"); !valid.ok()) return valid;
  }
  absl::StatusOr<Content> input =
      filter.has_args()
          ? AtMost(kMaxTaskContentBytes, {.kind = Content::Kind::kJson, .body = InOrder(filter.args())}, "filter.args")
          : AtMost(kMaxTaskContentBytes, {.kind = Content::Kind::kBytes, .body = filter.data()}, "filter.data");
  if (!input.ok()) return input.status();
  parsed.input_ = *std::move(input);
  return parsed;
}

bool TaskFilter::Matches(const TaskView& task) const {
  if (has_name() && task.name != name_) return false;
  return !has_input() || (task.input.has_value() && HasOurInput(*task.input));
}

bool TaskFilter::HasOurInput(const Content& input) const {
  // The same values take as many bytes in any order.
  if (input.kind != input_->kind || input.body.size() != input_->body.size()) return false;
  if (input.kind != Content::Kind::kJson || input.body == input_->body) return input.body == input_->body;
  google::protobuf::Value value;
  return value.ParseFromString(input.body) && InOrder(value) == input_->body;
}

}  // namespace actioncluster

#ifndef ACTIONCLUSTER_SERVER_SERVICES_TASK_PROTO_H_
#define ACTIONCLUSTER_SERVER_SERVICES_TASK_PROTO_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/v1/tasks.pb.h"
#include "backplane/domain/content.h"
#include "backplane/tasks/task.h"
#include "backplane/tasks/task_id.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "server/grpc/time_proto.h"

// Between the public messages of tasks and the values of backplane/tasks. What comes in is checked against what tasks.proto states: INVALID_ARGUMENT, or
// LIMIT_EXCEEDED for what is too large, with the path of the field in the message. Pure, but that NewTaskOf reads the clock and makes ids; any thread.
namespace actioncluster {

// What a task's input or result may have at most, serialized; and what a worker may say of how far it is.
inline constexpr size_t kMaxTaskContentBytes = size_t{1024} * 1024;
inline constexpr size_t kMaxProgressBytes = size_t{64} * 1024;

// What an answer may have: what gRPC's clients take by default, less what a token and the frame take.
inline constexpr size_t kMaxListingBytes = size_t{4096 - 16} * 1024;

// `tasks[3].name`; a path may be empty.
std::string FieldPath(absl::string_view path, absl::string_view name);

// The task, under an id of its own unless one is given, and its queue. `path` is that of the request itself, in error messages: empty, or as `tasks[3]`.
absl::StatusOr<TaskOutcome::FollowUp> NewTaskOf(const v1::EnqueueRequest& request, absl::string_view path);

// The content, or LIMIT_EXCEEDED if it is larger.
absl::StatusOr<Content> AtMost(size_t bytes, Content content, absl::string_view field);

// The id that a request names in `task_id`.
absl::StatusOr<TaskId> TaskIdOf(absl::string_view task_id);
// A queue's name; empty is `default`.
absl::StatusOr<std::string> QueueOrDefault(absl::string_view queue, absl::string_view field);
absl::StatusOr<TaskState> TaskStateOf(v1::TaskState state, absl::string_view field);
absl::StatusOr<QueueLimits> QueueLimitsOf(const v1::QueueLimits& limits);

v1::TaskState StateToProto(TaskState state);
// Without the input, unless the view has it.
v1::Task TaskToProto(TaskView task, const std::string& queue);
// How a task has ended.
void SetEnd(TaskView task, v1::AwaitResponse* response);
v1::QueueCounts CountsToProto(const QueueCounts& counts);
// Limits that are as by default are not set.
v1::Queue QueueToProto(const QueueView& queue);

// About how large it is as a message: by that it is decided where it is converted.
size_t SizeOf(const TaskView& task);

// TASK_NOT_FOUND.
absl::Status NoSuchTask(const TaskId& id);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_TASK_PROTO_H_

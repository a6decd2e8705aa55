#ifndef ACTIONCLUSTER_CLIENT_CLI_TASK_TEXT_H_
#define ACTIONCLUSTER_CLIENT_CLI_TASK_TEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/v1/tasks.pb.h"
#include "google/protobuf/timestamp.pb.h"

// Tasks, queues and times as people write and read them. Pure functions; any thread.
namespace actioncluster::cli {

// `ready`, and back. INVALID_ARGUMENT: there is none of that name.
std::string StateName(v1::TaskState state);
absl::StatusOr<v1::TaskState> ParseState(absl::string_view name);

// A length of time with its unit, also in days: `250ms`, `90s`, `1h30m`, `7d`; not negative, and at most 10 years. INVALID_ARGUMENT, with the option's name.
absl::StatusOr<absl::Duration> ParseLength(absl::string_view text, absl::string_view option);
// RFC 3339, as `2026-12-24T18:00:00Z` or with an offset. INVALID_ARGUMENT, with the option's name.
absl::StatusOr<google::protobuf::Timestamp> ParseInstant(absl::string_view text, absl::string_view option);
// In UTC, to the millisecond; `-` for none.
std::string FormatInstant(bool is_set, const google::protobuf::Timestamp& timestamp);

// `done`, `failed: UNKNOWN no such file`, `retrying (1 of 3): UNKNOWN no such file`, `active (2 of 3) "half"`.
std::string DescribeTask(const v1::Task& task);
// All about one, a line for each thing.
std::string FormatTask(const v1::Task& task);

// Tables, with a line for each.
using TaskList = google::protobuf::RepeatedPtrField<v1::Task>;
std::string FormatTasks(const TaskList& tasks);
std::string FormatQueues(const v1::ListQueuesResponse& response);
std::string FormatCounts(const v1::StatsResponse& stats);
std::string FormatWorkers(const v1::ListWorkersResponse& response);
std::string FormatSchedules(const v1::ListRecurringResponse& response);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_TASK_TEXT_H_

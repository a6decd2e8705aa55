#include "client/cli/task_text.h"

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "actioncluster/json.h"
#include "actioncluster/status.h"
#include "client/cli/console.h"
#include "client/cli/content.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

constexpr absl::string_view kStatePrefix = "TASK_STATE_";
constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kLongest = absl::Hours(24 * 3660);
constexpr size_t kLabelWidth = 12;

std::string DescribeContentOf(bool is_set, const v1::Task::Content& content) {
  return is_set ? DescribeContent(content.has_value() ? &content.value() : nullptr, content) : "";
}

std::string DescribeInput(const v1::Task& task) {
  return DescribeContent(task.has_args() ? &task.args() : nullptr, task);
}

std::string ErrorOf(const v1::Task& task) {
  return task.has_error() ? DescribeError(client::FromProto(task.error())) : "";
}

std::string Attempts(const v1::Task& task) { return absl::StrCat(task.attempts(), " of ", task.max_attempts()); }

std::string Rows(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string text;
  for (const auto& [label, value] : rows) {
    absl::StrAppend(&text, Cell(label, kLabelWidth), "  ", value.empty() ? "-" : Escape(value), "\n");
  }
  return text;
}

std::string FormatDuration(const google::protobuf::Duration& duration) {
  return absl::FormatDuration(absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos()));
}

// Those that are set.
std::string DescribeLimits(const v1::QueueLimits& limits) {
  std::vector<std::string> set;
  if (limits.max_length() > 0) set.push_back(absl::StrCat("length ", limits.max_length()));
  if (limits.overflow() == v1::QueueLimits::OVERFLOW_DROP_OLDEST) set.emplace_back("drop oldest");
  if (limits.rate() > 0) set.push_back(absl::StrCat(limits.rate(), "/s"));
  if (limits.max_concurrency() > 0) set.push_back(absl::StrCat("concurrency ", limits.max_concurrency()));
  if (limits.max_failed() > 0) set.push_back(absl::StrCat("failed ", limits.max_failed()));
  if (limits.has_keep_failed_for())
    set.push_back(absl::StrCat("failed for ", FormatDuration(limits.keep_failed_for())));
  return absl::StrJoin(set, ", ");
}

}  // namespace

std::string StateName(v1::TaskState state) {
  const std::string name = v1::TaskState_Name(state);
  return absl::AsciiStrToLower(absl::StripPrefix(name, kStatePrefix));
}

absl::StatusOr<v1::TaskState> ParseState(absl::string_view name) {
  v1::TaskState state;
  if (v1::TaskState_Parse(absl::StrCat(kStatePrefix, absl::AsciiStrToUpper(name)), &state) &&
      state != v1::TASK_STATE_UNSPECIFIED) {
    return state;
  }
  return absl::InvalidArgumentError("--state takes scheduled, ready, active, retrying, done, failed or cancelled");
}

absl::StatusOr<absl::Duration> ParseLength(absl::string_view text, absl::string_view option) {
  const absl::string_view given = text;
  absl::Duration length;
  double days = 0;
  const bool in_days = absl::ConsumeSuffix(&text, "d") && absl::SimpleAtod(text, &days);
  if (in_days) length = days * kDay;
  if ((in_days || absl::ParseDuration(std::string(given), &length)) && length >= absl::ZeroDuration() &&
      length <= kLongest) {
    return length;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(option, " takes a time with its unit, as 250ms, 90s, 1h30m or 7d, of at most 10 years"));
}

absl::StatusOr<google::protobuf::Timestamp> ParseInstant(absl::string_view text, absl::string_view option) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &error) || time == absl::InfiniteFuture() ||
      time == absl::InfinitePast()) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " takes an instant, as 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00"));
  }
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(absl::ToUnixSeconds(time));
  timestamp.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(timestamp.seconds()))));
  return timestamp;
}

std::string FormatInstant(bool is_set, const google::protobuf::Timestamp& timestamp) {
  if (!is_set) return "-";
  const absl::Time time = absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

std::string DescribeTask(const v1::Task& task) {
  std::string text = StateName(task.state());
  if (task.state() == v1::TASK_STATE_ACTIVE || task.state() == v1::TASK_STATE_RETRYING) {
    absl::StrAppend(&text, " (", Attempts(task), ")");
  }
  if (task.state() == v1::TASK_STATE_ACTIVE && task.has_progress()) {
    absl::StrAppend(&text, " ", Escape(DescribeContentOf(true, task.progress())));
  }
  const bool has_failed = task.state() == v1::TASK_STATE_RETRYING || task.state() == v1::TASK_STATE_FAILED;
  return has_failed && task.has_error() ? absl::StrCat(text, ": ", ErrorOf(task)) : text;
}

std::string FormatTask(const v1::Task& task) {
  return Rows({{"task", task.id()},
               {"name", task.name()},
               {"queue", task.queue()},
               {"input", DescribeInput(task)},
               {"state", StateName(task.state())},
               {"since", FormatInstant(task.has_since(), task.since())},
               {"due", FormatInstant(task.has_due_at(), task.due_at())},
               {"enqueued", FormatInstant(task.has_enqueued_at(), task.enqueued_at())},
               {"priority", absl::StrCat(task.priority())},
               {"attempts", Attempts(task)},
               {"lost leases", absl::StrCat(task.lost_leases())},
               {"worker", task.worker()},
               {"progress", DescribeContentOf(task.has_progress(), task.progress())},
               {"result", DescribeContentOf(task.has_result(), task.result())},
               {"error", ErrorOf(task)}});
}

std::string FormatTasks(const TaskList& tasks) {
  Table table({"TASK", "NAME", "STATE", "SINCE", "DUE", "ATTEMPTS", "WORKER", "INPUT", "ERROR"});
  for (const v1::Task& task : tasks) {
    table.Add({task.id(), task.name(), StateName(task.state()), FormatInstant(task.has_since(), task.since()),
               FormatInstant(task.has_due_at(), task.due_at()), Attempts(task),
               task.worker().empty() ? "-" : task.worker(), DescribeInput(task), ErrorOf(task)});
  }
  return table.Format();
}

std::string FormatQueues(const v1::ListQueuesResponse& response) {
  Table table({"QUEUE", "READY", "SCHEDULED", "ACTIVE", "ENDED", "FAILED", "OLDEST READY", "STATE", "LIMITS"});
  for (const v1::Queue& queue : response.queues()) {
    const v1::QueueCounts& counts = queue.counts();
    table.Add({queue.name(), absl::StrCat(counts.ready()), absl::StrCat(counts.scheduled()),
               absl::StrCat(counts.active()), absl::StrCat(counts.ended()), absl::StrCat(counts.failed()),
               FormatInstant(queue.has_oldest_ready(), queue.oldest_ready()), queue.paused() ? "paused" : "open",
               DescribeLimits(queue.limits())});
  }
  return table.Format();
}

std::string FormatCounts(const v1::StatsResponse& stats) {
  const v1::QueueCounts& counts = stats.counts();
  return Rows({{"queues", absl::StrCat(stats.queues())},
               {"ready", absl::StrCat(counts.ready())},
               {"scheduled", absl::StrCat(counts.scheduled())},
               {"active", absl::StrCat(counts.active())},
               {"ended", absl::StrCat(counts.ended())},
               {"failed", absl::StrCat(counts.failed())},
               {"enqueued", absl::StrCat(counts.total_enqueued(), " in all")},
               {"completed", absl::StrCat(counts.total_completed(), " in all")},
               {"failures", absl::StrCat(counts.total_failures(), " in all")},
               {"lost leases", absl::StrCat(counts.total_lost_leases(), " in all")}});
}

std::string FormatWorkers(const v1::ListWorkersResponse& response) {
  Table table({"WORKER", "NAME", "NODE", "QUEUES", "TAKES", "CONCURRENCY", "LAST HEARD", "TASKS"});
  for (const v1::ListWorkersResponse::Worker& worker : response.workers()) {
    std::vector<std::string> tasks;
    tasks.reserve(static_cast<size_t>(worker.tasks_size()));
    for (const auto& working : worker.tasks()) tasks.push_back(absl::StrCat(working.name(), " ", working.task_id()));
    table.Add({worker.worker_id(), worker.worker_name(), worker.node_id(), absl::StrJoin(worker.queues(), ", "),
               worker.names().empty() ? "all" : absl::StrJoin(worker.names(), ", "), absl::StrCat(worker.concurrency()),
               FormatInstant(worker.has_last_heard(), worker.last_heard()), absl::StrJoin(tasks, ", ")});
  }
  return table.Format();
}

std::string FormatSchedules(const v1::ListRecurringResponse& response) {
  Table table({"QUEUE", "SCHEDULE", "TASK", "WHEN", "NEXT", "MISSED"});
  for (const v1::ListRecurringResponse::Recurring& recurring : response.recurring()) {
    const v1::ScheduleRecurringRequest& schedule = recurring.schedule();
    const std::string when =
        schedule.has_every()
            ? absl::StrCat("every ", FormatDuration(schedule.every()))
            : absl::StrCat(schedule.cron(), schedule.time_zone().empty() ? "" : " ", schedule.time_zone());
    table.Add({schedule.task().queue().empty() ? "default" : schedule.task().queue(), schedule.id(),
               schedule.task().name(), when, FormatInstant(recurring.has_next(), recurring.next()),
               schedule.missed() == v1::MISSED_SLOTS_RUN_ONCE ? "run once" : "skip"});
  }
  return table.Format();
}

}  // namespace actioncluster::cli

#include "server/services/recurring_proto.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/grpc/content.h"
#include "server/services/task_proto.h"

namespace actioncluster {
namespace {

using internal::v1::RecurringRecord;
using internal::v1::TaskTemplate;

constexpr size_t kMaxCronBytes = 1024;
// The id of its tasks, this and `@` and a slot in microseconds, is one that can be asked for.
constexpr size_t kMaxIdBytes = 256 - 17;

absl::StatusOr<TaskOutcome::FollowUp> TaskOf(const v1::ScheduleRecurringRequest& request) {
  const v1::EnqueueRequest& task = request.task();
  if (!request.has_task()) return absl::InvalidArgumentError("task must be set");
  if (task.start_case() != v1::EnqueueRequest::START_NOT_SET) {
    return absl::InvalidArgumentError("task.run_at and task.delay must not be set: the schedule says when");
  }
  if (!task.id().empty()) {
    return absl::InvalidArgumentError("task.id must not be set: it is made of the schedule's id and the slot");
  }
  return NewTaskOf(task, "task");
}

absl::Status ReadTiming(const v1::ScheduleRecurringRequest& request, RecurringRecord* record) {
  switch (request.schedule_case()) {
    case v1::ScheduleRecurringRequest::kEvery: {
      const absl::StatusOr<absl::Duration> every =
          DurationOf(request.every(), absl::Milliseconds(100), absl::Hours(366 * 24), "every");
      if (!every.ok()) return every.status();
      if (request.every().nanos() % 1'000'000 != 0) {
        return absl::InvalidArgumentError("every must be whole milliseconds");
      }
      if (!request.time_zone().empty()) {
        return absl::InvalidArgumentError("time_zone must be set with cron only: every counts in UTC");
      }
      record->set_every_us(absl::ToInt64Microseconds(*every));
      return absl::OkStatus();
    }
    case v1::ScheduleRecurringRequest::kCron:
      if (request.cron().empty()) return absl::InvalidArgumentError("cron must not be empty");
      if (request.cron().size() > kMaxCronBytes) {
        return absl::InvalidArgumentError(absl::StrCat("cron must have at most ", kMaxCronBytes, " bytes"));
      }
      if (!request.time_zone().empty()) {
        if (absl::Status valid = ValidateName(request.time_zone(), "time_zone"); !valid.ok()) return valid;
      }
      record->set_cron(request.cron());
      record->set_time_zone(request.time_zone());
      return absl::OkStatus();
    case v1::ScheduleRecurringRequest::SCHEDULE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("one of every and cron must be set");
}

std::string TimingOf(const RecurringRecord& record) {
  if (record.every_us() > 0) return absl::StrCat("every ", record.every_us());
  const std::vector<absl::string_view> fields =
      absl::StrSplit(record.cron(), absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
  return absl::StrCat("cron ", absl::AsciiStrToLower(absl::StrJoin(fields, " ")), " ",
                      record.time_zone().empty() ? "UTC" : record.time_zone());
}

void SetTemplate(NewTask task, TaskTemplate* to) {
  to->set_name(std::move(task.name));
  ToProto(std::move(task.input), to->mutable_input());
  to->set_priority(static_cast<uint32_t>(task.priority));
  to->set_unique_key(std::move(task.unique_key));
  to->set_unique_for_us(absl::ToInt64Microseconds(task.unique_for));
  to->set_max_attempts(static_cast<uint32_t>(task.max_attempts));
  to->set_backoff_us(absl::ToInt64Microseconds(task.backoff));
  to->set_max_backoff_us(absl::ToInt64Microseconds(task.max_backoff));
  to->set_timeout_us(absl::ToInt64Microseconds(task.timeout));
  to->set_retain_us(absl::ToInt64Microseconds(task.retain));
}

void SetRetry(const TaskTemplate& task, v1::EnqueueRequest* request) {
  const NewTask by_default;
  if (static_cast<int>(task.max_attempts()) != by_default.max_attempts) {
    request->mutable_retry()->set_max_attempts(task.max_attempts());
  }
  if (const absl::Duration backoff = absl::Microseconds(task.backoff_us()); backoff != by_default.backoff) {
    *request->mutable_retry()->mutable_backoff() = DurationToProto(backoff);
  }
  if (const absl::Duration most = absl::Microseconds(task.max_backoff_us()); most != by_default.max_backoff) {
    *request->mutable_retry()->mutable_max_backoff() = DurationToProto(most);
  }
}

void SetRequest(const TaskTemplate& task, v1::EnqueueRequest* request) {
  request->set_name(task.name());
  SetArguments(FromProto(task.input()), request);
  if (static_cast<int>(task.priority()) != NewTask().priority) request->set_priority(task.priority());
  request->set_unique_key(task.unique_key());
  SetRetry(task, request);
  const auto set = [](int64_t us, google::protobuf::Duration* (v1::EnqueueRequest::*field)(), v1::EnqueueRequest* to) {
    if (us > 0) *(to->*field)() = DurationToProto(absl::Microseconds(us));
  };
  set(task.unique_for_us(), &v1::EnqueueRequest::mutable_unique_for, request);
  set(task.timeout_us(), &v1::EnqueueRequest::mutable_timeout, request);
  set(task.retain_us(), &v1::EnqueueRequest::mutable_retain_result_for, request);
}

}  // namespace

absl::StatusOr<Recurring> RecurringOf(const v1::ScheduleRecurringRequest& request) {
  if (absl::Status valid = ValidateName(request.id(), "id"); !valid.ok()) return valid;
  if (request.id().size() > kMaxIdBytes) {
    return absl::InvalidArgumentError(absl::StrCat("id must have at most ", kMaxIdBytes, " bytes"));
  }
  absl::StatusOr<TaskOutcome::FollowUp> task = TaskOf(request);
  if (!task.ok()) return task.status();
  if (!v1::MissedSlots_IsValid(request.missed())) {
    return absl::InvalidArgumentError(absl::StrCat("missed is none that is known: ", request.missed()));
  }
  Recurring recurring = {
      .queue = std::move(task->queue), .id = request.id(), .record = {}, .timing = "", .schedule = {}};
  if (absl::Status valid = ReadTiming(request, &recurring.record); !valid.ok()) return valid;
  recurring.record.set_run_once_for_missed(request.missed() == v1::MISSED_SLOTS_RUN_ONCE);
  SetTemplate(std::move(task->task), recurring.record.mutable_task());
  absl::StatusOr<std::unique_ptr<const Schedule>> schedule = Schedule::Parse(recurring.record);
  if (!schedule.ok()) return schedule.status();
  recurring.schedule = *std::move(schedule);
  recurring.timing = TimingOf(recurring.record);
  return recurring;
}

v1::ListRecurringResponse::Recurring RecurringToProto(const RecurringView& view, const std::string& queue) {
  v1::ListRecurringResponse::Recurring proto;
  v1::ScheduleRecurringRequest* request = proto.mutable_schedule();
  request->set_id(view.id);
  request->mutable_task()->set_queue(queue);
  if (view.next.has_value()) *proto.mutable_next() = TimeToProto(*view.next);
  RecurringRecord record;
  if (!record.ParseFromString(view.schedule)) return proto;
  SetRequest(record.task(), request->mutable_task());
  if (record.every_us() > 0) {
    *request->mutable_every() = DurationToProto(absl::Microseconds(record.every_us()));
  } else {
    request->set_cron(record.cron());
    request->set_time_zone(record.time_zone());
  }
  request->set_missed(record.run_once_for_missed() ? v1::MISSED_SLOTS_RUN_ONCE : v1::MISSED_SLOTS_SKIP);
  return proto;
}

}  // namespace actioncluster

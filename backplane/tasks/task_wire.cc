#include "backplane/tasks/task_wire.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "actioncluster/internal/v1/content.pb.h"
#include "actioncluster/v1/errors.pb.h"
#include "backplane/domain/content.h"
#include "backplane/domain/error.h"

namespace actioncluster::task_wire {
namespace {

using redis::ReplyView;

std::string Micros(absl::Duration duration) { return absl::StrCat(absl::ToInt64Microseconds(duration)); }

std::string Packed(const Content& content) {
  internal::v1::Content proto;
  ToProto(content, &proto);
  return proto.SerializeAsString();
}

std::string Packed(const absl::Status& error) { return ToProto(error).SerializeAsString(); }

// What is stored is what we wrote; what does not parse is taken for nothing, so that the rest can be seen.
Content Unpacked(const std::string& bytes) {
  internal::v1::Content proto;
  if (!proto.ParseFromString(bytes)) return {};
  return FromProto(proto);
}

absl::Status UnpackedError(const std::string& bytes) {
  v1::Error proto;
  if (bytes.empty() || !proto.ParseFromString(bytes)) return absl::OkStatus();
  return FromProto(proto);
}

absl::string_view NameOf(TaskOutcome::Kind kind) {
  switch (kind) {
    case TaskOutcome::Kind::kDone:
      return "done";
    case TaskOutcome::Kind::kFailed:
      return "failed";
    case TaskOutcome::Kind::kReturned:
      return "returned";
    case TaskOutcome::Kind::kUnused:
      return "unused";
    case TaskOutcome::Kind::kProgress:
      return "progress";
  }
  return "";
}

void AppendOutcome(const TaskOutcome& outcome, const std::string& own_queue, const std::function<double()>& random,
                   Arguments& arguments) {
  arguments.emplace_back(NameOf(outcome.kind));
  arguments.push_back(outcome.id);
  arguments.push_back(absl::StrCat(outcome.token));
  arguments.push_back(outcome.worker);
  switch (outcome.kind) {
    case TaskOutcome::Kind::kDone:
      arguments.push_back(Packed(outcome.result));
      arguments.push_back(absl::StrCat(outcome.follow_ups.size()));
      for (const TaskOutcome::FollowUp& next : outcome.follow_ups) {
        arguments.push_back(next.queue == own_queue ? "" : next.queue);
        Append(next.task, arguments);
      }
      return;
    case TaskOutcome::Kind::kFailed:
      arguments.push_back(Packed(outcome.error));
      arguments.emplace_back(outcome.retryable ? "1" : "0");
      arguments.push_back(absl::StrCat(std::lround(750 + 500 * random())));
      return;
    case TaskOutcome::Kind::kReturned:
      arguments.push_back(LeasesLost());
      return;
    case TaskOutcome::Kind::kProgress:
      arguments.push_back(Packed(outcome.result));
      return;
    case TaskOutcome::Kind::kUnused:
      return;
  }
}

TaskState StateOf(Fields& fields) {
  const int64_t number = fields.Number();
  if (number >= 1 && number <= 7) return static_cast<TaskState>(number);
  fields.Note(absl::InternalError(absl::StrCat("a task has the state ", number)));
  return TaskState::kReady;
}

NewTask NewTaskOf(Fields& fields) {
  NewTask task;
  task.id = fields.Text();
  task.chosen_id = fields.Text() == "1";
  task.name = fields.Text();
  task.input = Unpacked(fields.Text());
  task.priority = fields.Int();
  const absl::Duration run_at = fields.Micros();
  if (run_at > absl::ZeroDuration()) task.run_at = absl::UnixEpoch() + run_at;
  task.delay = fields.Micros();
  task.unique_key = fields.Text();
  task.unique_for = fields.Micros();
  task.max_attempts = fields.Int();
  task.backoff = fields.Micros();
  task.max_backoff = fields.Micros();
  task.timeout = fields.Micros();
  task.retain = fields.Micros();
  return task;
}

LeasedTask LeasedOf(Fields& fields) {
  LeasedTask task;
  task.id = fields.Text();
  task.token = fields.Number();
  task.attempt = fields.Int();
  task.lost_leases = fields.Int();
  task.timeout = fields.Micros();
  task.name = fields.Text();
  task.input = Unpacked(fields.Text());
  return task;
}

}  // namespace

void Append(const NewTask& task, Arguments& arguments) {
  const absl::Time run_at = std::max(task.run_at, absl::UnixEpoch());
  for (std::string& argument : std::array<std::string, 14>{
           task.id, task.chosen_id ? "1" : "0", task.name, Packed(task.input), absl::StrCat(task.priority),
           absl::StrCat(absl::ToUnixMicros(run_at)), Micros(task.delay), task.unique_key, Micros(task.unique_for),
           absl::StrCat(task.max_attempts), Micros(task.backoff), Micros(task.max_backoff), Micros(task.timeout),
           Micros(task.retain)}) {
    arguments.push_back(std::move(argument));
  }
}

Arguments TurnArguments(const std::string& queue, const TaskTurn& turn, absl::Duration lease,
                        const std::function<double()>& random) {
  Arguments arguments = {turn.boot, turn.node_id, turn.session, absl::StrCat(turn.number), Micros(lease)};
  arguments.push_back(absl::StrCat(turn.outcomes.size()));
  for (const TaskOutcome& outcome : turn.outcomes) AppendOutcome(outcome, queue, random, arguments);
  arguments.push_back(absl::StrCat(turn.renewals.size()));
  for (const TaskTurn::Renewal& renewal : turn.renewals) {
    arguments.push_back(renewal.id);
    arguments.push_back(absl::StrCat(renewal.token));
  }
  arguments.push_back(absl::StrCat(turn.demands.size()));
  for (const TaskTurn::Demand& demand : turn.demands) {
    arguments.push_back(absl::StrCat(demand.group));
    arguments.push_back(absl::StrCat(demand.credit));
    arguments.push_back(absl::StrCat(demand.names.size()));
    arguments.insert(arguments.end(), demand.names.begin(), demand.names.end());
  }
  return arguments;
}

std::string LeasesLost() {
  return Packed(MakeError(v1::ERROR_REASON_LEASE_LOST,
                          "too many leases of it were lost: whoever ran it died, or fell silent, each time"));
}

absl::StatusOr<TaskHints> HintsOf(redis::ReplyView reply) {
  TaskHints hints;
  Fields fields(reply);
  for (Fields wakes = fields.Array(); !wakes.done(); fields.Note(wakes.status())) {
    std::string boot = wakes.Text();
    hints.wakes.push_back({std::move(boot), static_cast<uint64_t>(wakes.Number())});
  }
  for (Fields changes = fields.Array(); !changes.done(); fields.Note(changes.status())) {
    std::string boot = changes.Text();
    hints.changes.push_back({std::move(boot), changes.Text()});
  }
  for (Fields revoked = fields.Array(); !revoked.done(); fields.Note(revoked.status())) {
    TaskHints::Revocation revocation;
    revocation.boot = revoked.Text();
    revocation.id = revoked.Text();
    revocation.token = revoked.Number();
    revocation.cancelled = revoked.Number() != 0;
    hints.revoked.push_back(std::move(revocation));
  }
  hints.next = fields.Moment();
  hints.appeared = fields.Number() != 0;
  if (!fields.status().ok()) return fields.status();
  return hints;
}

absl::StatusOr<std::vector<EnqueueOutcome>> OutcomesOf(redis::ReplyView reply) {
  std::vector<EnqueueOutcome> outcomes;
  outcomes.reserve(reply.size());
  Fields fields(reply);
  while (!fields.done()) {
    Fields one = fields.Array();
    const std::string kind = one.Text();
    EnqueueOutcome outcome{.kind = kind == "created"  ? EnqueueOutcome::Kind::kCreated
                                   : kind == "exists" ? EnqueueOutcome::Kind::kExists
                                                      : EnqueueOutcome::Kind::kFull,
                           .id = one.Text()};
    fields.Note(one.status());
    outcomes.push_back(std::move(outcome));
  }
  if (!fields.status().ok()) return fields.status();
  return outcomes;
}

absl::StatusOr<TaskTurnResult> TurnResultOf(redis::ReplyView reply) {
  TaskTurnResult result;
  Fields fields(reply);
  Fields settled = fields.Array();
  while (!settled.done()) {
    Fields one = settled.Array();
    const bool recorded = one.Number() != 0;
    result.settled.push_back({recorded, recorded ? StateOf(one) : TaskState::kActive});
    settled.Note(one.status());
  }
  fields.Note(settled.status());
  Fields lost = fields.Array();
  while (!lost.done()) {
    std::string id = lost.Text();
    result.lost.push_back({std::move(id), lost.Number()});
  }
  fields.Note(lost.status());
  Fields groups = fields.Array();
  while (!groups.done()) {
    std::vector<LeasedTask>& leased = result.leased.emplace_back();
    Fields group = groups.Array();
    while (!group.done()) leased.push_back(LeasedOf(group));
    groups.Note(group.status());
  }
  fields.Note(groups.status());
  result.retry_at = fields.Moment();
  if (!fields.status().ok()) return fields.status();
  return result;
}

absl::StatusOr<TaskSweepResult> SweepResultOf(redis::ReplyView reply) {
  TaskSweepResult result;
  Fields fields(reply);
  result.now = fields.Moment().value_or(absl::UnixEpoch());
  result.missed_until = fields.Moment().value_or(absl::InfinitePast());
  result.more = fields.Number() != 0;
  Fields due = fields.Array();
  while (!due.done()) {
    TaskSweepResult::DueSchedule schedule;
    schedule.id = due.Text();
    schedule.schedule = due.Text();
    schedule.cursor = due.Moment().value_or(absl::UnixEpoch());
    result.due.push_back(std::move(schedule));
  }
  fields.Note(due.status());
  Fields outbox = fields.Array();
  while (!outbox.done()) {
    Fields entry = outbox.Array();
    TaskSweepResult::Outgoing outgoing;
    outgoing.key = entry.Text();
    outgoing.follow_up.queue = entry.Text();
    outgoing.follow_up.task = NewTaskOf(entry);
    outbox.Note(entry.status());
    result.outbox.push_back(std::move(outgoing));
  }
  fields.Note(outbox.status());
  if (!fields.status().ok()) return fields.status();
  return result;
}

absl::StatusOr<TaskView> ViewOf(redis::ReplyView reply, bool with_input) {
  TaskView view;
  Fields fields(reply);
  view.id = fields.Text();
  view.name = fields.Text();
  view.state = StateOf(fields);
  view.priority = fields.Int();
  view.attempts = fields.Int();
  view.max_attempts = fields.Int();
  view.lost_leases = fields.Int();
  view.token = fields.Number();
  view.enqueued_at = fields.Moment().value_or(absl::UnixEpoch());
  view.since = fields.Moment().value_or(absl::UnixEpoch());
  view.due_at = fields.Moment();
  view.retained = fields.Number() != 0;
  view.worker = fields.Text();
  const std::string outcome = fields.Text();
  if (view.state == TaskState::kDone) {
    view.result = Unpacked(outcome);
  } else {
    view.error = UnpackedError(outcome);
  }
  view.progress = Unpacked(fields.Text());
  const std::string input = fields.Text();
  if (with_input) view.input = Unpacked(input);
  if (!fields.status().ok()) return fields.status();
  return view;
}

absl::StatusOr<QueueView> QueueOf(redis::ReplyView reply) {
  QueueView view;
  Fields fields(reply);
  QueueCounts& counts = view.counts;
  for (int64_t* count : {&counts.ready, &counts.scheduled, &counts.active, &counts.ended, &counts.failed}) {
    *count = fields.Number();
  }
  view.oldest_ready = fields.Moment();
  const auto setting = [&fields](int64_t* value) {
    const double number = fields.Real();
    if (number != 0) *value = static_cast<int64_t>(number);
  };
  for (int64_t* count :
       {&counts.total_enqueued, &counts.total_completed, &counts.total_failures, &counts.total_lost_leases}) {
    setting(count);
  }
  view.paused = fields.Real() != 0;
  setting(&view.limits.max_length);
  view.limits.drop_oldest = fields.Real() != 0;
  view.limits.rate = fields.Real();
  setting(&view.limits.max_concurrency);
  setting(&view.limits.max_failed);
  if (const absl::Duration kept = fields.Micros(); kept > absl::ZeroDuration()) view.limits.keep_failed_for = kept;
  if (!fields.status().ok()) return fields.status();
  return view;
}

}  // namespace actioncluster::task_wire

#include "backplane/tasks/task_store.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "backplane/domain/error.h"
#include "backplane/redis/command.h"
#include "backplane/redis/reply.h"
#include "backplane/scripts/scripts.h"
#include "backplane/tasks/task_wire.h"

namespace actioncluster {
namespace {

using redis::Command;
using redis::Reply;
using redis::ReplyView;
using task_wire::Arguments;
using task_wire::Fields;

std::string Micros(absl::Duration duration) { return absl::StrCat(absl::ToInt64Microseconds(duration)); }
std::string Micros(absl::Time time) { return absl::StrCat(absl::ToUnixMicros(time)); }

double Random() {
  thread_local std::mt19937 engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

// Gives `done` what `parse` makes of the reply.
template <class T, class Parse>
redis::Client::Completion Parsed(Parse parse, TaskStore::Then<T> done) {
  return [parse = std::move(parse), done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
    if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
    std::move(done)(std::move(parse)(reply->view()));
  };
}

absl::StatusOr<std::vector<std::string>> TextsOf(ReplyView reply) {
  std::vector<std::string> texts;
  texts.reserve(reply.size());
  Fields fields(reply);
  while (!fields.done()) texts.push_back(fields.Text());
  if (!fields.status().ok()) return fields.status();
  return texts;
}

absl::StatusOr<std::optional<TaskView>> ViewOrNothing(ReplyView reply, bool with_input) {
  if (reply.is_nil()) return std::nullopt;
  absl::StatusOr<TaskView> view = task_wire::ViewOf(reply, with_input);
  if (!view.ok()) return view.status();
  return *std::move(view);
}

absl::string_view NameOf(TaskStore::Change change) {
  switch (change) {
    case TaskStore::Change::kCancel:
      return "cancel";
    case TaskStore::Change::kDelete:
      return "delete";
    case TaskStore::Change::kDeleteWaiting:
      return "delete_waiting";
    case TaskStore::Change::kRetryFailed:
      return "retry";
    case TaskStore::Change::kRemoveFailed:
      return "remove";
  }
  return "";
}

absl::StatusOr<TaskStore::Changed> ChangedOf(ReplyView reply) {
  TaskStore::Changed changed;
  Fields fields(reply);
  while (!fields.done()) {
    using Kind = TaskStore::Changed::Kind;
    Fields one = fields.Array();
    const std::string kind = one.Text();
    changed.kinds.push_back(kind == "done"     ? Kind::kDone
                            : kind == "active" ? Kind::kActive
                            : kind == "ended"  ? Kind::kEnded
                                               : Kind::kMissing);
    changed.was_running.push_back(one.Number() != 0);
    fields.Note(one.status());
  }
  if (!fields.status().ok()) return fields.status();
  return changed;
}

}  // namespace

TaskStore::TaskStore(redis::Client& commands, const Keys& keys, absl::Duration lease, HintListener hints)
    : commands_(commands),
      keys_(keys),
      lease_(lease),
      hints_(std::move(hints)),
      batches_([this](const std::string& queue, const std::vector<NewTask>& tasks, EnqueueBatches::Done done) {
        SendEnqueue(queue, tasks, "", absl::ZeroDuration(), std::move(done));
      }) {}

template <class T, class Parse>
void TaskStore::Step(const redis::Script& script, const std::string& queue, const Arguments& arguments, Parse parse,
                     Then<T> done) {
  commands_.Execute(
      Command::Call(script, keys_.Queue(queue), arguments),
      [this, queue, parse = std::move(parse), done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
        if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
        const ReplyView both = reply->view();
        absl::StatusOr<TaskHints> hints = task_wire::HintsOf(both[1]);
        if (!hints.ok()) return std::move(done)(hints.status());
        if (hints->appeared) Register(queue);
        hints_(queue, *std::move(hints));
        std::move(done)(std::move(parse)(both[0]));
      });
}

void TaskStore::Register(const std::string& queue) {
  commands_.Execute(Command({"ZADD", keys_.Queues(), "NX", "0", queue}), [](absl::StatusOr<Reply>) {});
}

void TaskStore::Enqueue(const std::string& queue, std::vector<NewTask> tasks, const std::string& request_id,
                        absl::Duration remember, Then<std::vector<EnqueueOutcome>> done) {
  if (request_id.empty()) return batches_.Add(queue, std::move(tasks), std::move(done));
  SendEnqueue(queue, tasks, request_id, remember, std::move(done));
}

void TaskStore::SendEnqueue(const std::string& queue, const std::vector<NewTask>& tasks, const std::string& request_id,
                            absl::Duration remember, Then<std::vector<EnqueueOutcome>> done) {
  Arguments arguments = {request_id, Micros(remember)};
  arguments.reserve(2 + 14 * tasks.size());
  for (const NewTask& task : tasks) task_wire::Append(task, arguments);
  Register(queue);
  Step<std::vector<EnqueueOutcome>>(scripts::kTasksEnqueue, queue, arguments, task_wire::OutcomesOf, std::move(done));
}

void TaskStore::Turn(const std::string& queue, const TaskTurn& turn, Then<TaskTurnResult> done) {
  Register(queue);
  Step<TaskTurnResult>(scripts::kTasksTurn, queue, task_wire::TurnArguments(queue, turn, lease_, Random),
                       task_wire::TurnResultOf, std::move(done));
}

void TaskStore::Sweep(const std::string& queue, Then<TaskSweepResult> done) {
  Step<TaskSweepResult>(scripts::kTasksSweep, queue, {Micros(lease_), task_wire::LeasesLost()},
                        task_wire::SweepResultOf, std::move(done));
}

void TaskStore::Read(const std::string& queue, const std::vector<std::string>& ids, bool with_input,
                     Then<std::vector<std::optional<TaskView>>> done) {
  Arguments arguments = {with_input ? "1" : "0"};
  arguments.insert(arguments.end(), ids.begin(), ids.end());
  const auto parse = [with_input](ReplyView reply) -> absl::StatusOr<std::vector<std::optional<TaskView>>> {
    std::vector<std::optional<TaskView>> views;
    views.reserve(reply.size());
    for (size_t i = 0; i < reply.size(); ++i) {
      absl::StatusOr<std::optional<TaskView>> view = ViewOrNothing(reply[i], with_input);
      if (!view.ok()) return view.status();
      views.push_back(*std::move(view));
    }
    return views;
  };
  commands_.Execute(Command::Call(scripts::kTasksRead, keys_.Queue(queue), arguments),
                    Parsed<std::vector<std::optional<TaskView>>>(parse, std::move(done)));
}

void TaskStore::Watch(const std::string& queue, const std::string& id, const std::string& boot,
                      Then<std::optional<TaskView>> done) {
  Step<std::optional<TaskView>>(
      scripts::kTasksWatch, queue, {id, boot}, [](ReplyView said) { return ViewOrNothing(said, /*with_input=*/false); },
      std::move(done));
}

void TaskStore::List(const std::string& queue, TaskState state, const std::string& from, int size, Then<Page> done) {
  // Where the page before ended: its last task's score and id.
  const std::pair<std::string, std::string> last = absl::StrSplit(from, absl::MaxSplits(':', 1));
  int64_t score = 0;
  const bool valid = from.empty() || absl::SimpleAtoi(last.first, &score);
  Arguments arguments = {absl::StrCat(static_cast<int>(state)), valid ? last.first : "", last.second,
                         absl::StrCat(size)};
  const auto parse = [](ReplyView reply) -> absl::StatusOr<Page> {
    Page page;
    Fields fields(reply);
    const std::string next_score = fields.Text();
    const std::string next_id = fields.Text();
    if (!next_id.empty()) page.next = absl::StrCat(next_score, ":", next_id);
    const ReplyView views = fields.Element();
    page.tasks.reserve(views.size());
    for (size_t i = 0; i < views.size(); ++i) {
      absl::StatusOr<TaskView> view = task_wire::ViewOf(views[i], /*with_input=*/true);
      if (!view.ok()) return view.status();
      page.tasks.push_back(*std::move(view));
    }
    if (!fields.status().ok()) return fields.status();
    return page;
  };
  commands_.Execute(Command::Call(scripts::kTasksList, keys_.Queue(queue), arguments),
                    Parsed<Page>(parse, std::move(done)));
}

void TaskStore::Apply(const std::string& queue, Change change, const std::vector<std::string>& ids,
                      Then<Changed> done) {
  Arguments arguments = {std::string(NameOf(change))};
  arguments.insert(arguments.end(), ids.begin(), ids.end());
  Step<Changed>(scripts::kTasksApply, queue, arguments, ChangedOf, std::move(done));
}

void TaskStore::Fire(const std::string& queue, const std::string& schedule_id, absl::Time cursor,
                     std::optional<absl::Time> next, const std::vector<NewTask>& tasks, Then<Fired> done) {
  Arguments arguments = {schedule_id, Micros(cursor), next.has_value() ? Micros(*next) : ""};
  for (const NewTask& task : tasks) task_wire::Append(task, arguments);
  const auto parse = [](ReplyView said) -> absl::StatusOr<Fired> {
    Fields fields(said);
    const bool fired = fields.Number() != 0;
    absl::StatusOr<std::vector<EnqueueOutcome>> outcomes = task_wire::OutcomesOf(fields.Element());
    fields.Note(outcomes.status());
    if (!fields.status().ok()) return fields.status();
    return Fired{fired, *std::move(outcomes)};
  };
  Step<Fired>(scripts::kTasksFire, queue, arguments, parse, std::move(done));
}

void TaskStore::SetSchedule(const std::string& queue, const std::string& schedule_id, const std::string& schedule,
                            const std::string& timing, absl::Time first, Then<Scheduled> done) {
  Register(queue);
  const auto parse = [](ReplyView said) -> absl::StatusOr<Scheduled> {
    if (said.is_nil()) {
      return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the queue has as many schedules as it may",
                       {{"limit", "schedules"}});
    }
    Fields fields(said);
    const bool created = fields.Number() != 0;
    const absl::Time next = fields.Moment().value_or(absl::UnixEpoch());
    if (!fields.status().ok()) return fields.status();
    return Scheduled{created, next};
  };
  Step<Scheduled>(scripts::kTasksSchedule, queue, {schedule_id, schedule, timing, Micros(first)}, parse,
                  std::move(done));
}

void TaskStore::StopSchedule(const std::string& queue, const std::string& schedule_id, Then<bool> done) {
  const auto parse = [](ReplyView said) -> absl::StatusOr<bool> {
    const absl::StatusOr<int64_t> stopped = said.Integer();
    if (!stopped.ok()) return stopped.status();
    return *stopped != 0;
  };
  Step<bool>(scripts::kTasksUnschedule, queue, {schedule_id}, parse, std::move(done));
}

void TaskStore::ListSchedules(const std::string& queue, Then<std::vector<RecurringView>> done) {
  const auto parse = [](ReplyView reply) -> absl::StatusOr<std::vector<RecurringView>> {
    std::vector<RecurringView> views;
    views.reserve(reply.size());
    Fields fields(reply);
    while (!fields.done()) {
      Fields one = fields.Array();
      RecurringView view;
      view.id = one.Text();
      view.schedule = one.Text();
      view.next = one.Moment();
      fields.Note(one.status());
      views.push_back(std::move(view));
    }
    if (!fields.status().ok()) return fields.status();
    std::sort(views.begin(), views.end(), [](const RecurringView& a, const RecurringView& b) { return a.id < b.id; });
    return views;
  };
  commands_.Execute(Command::Call(scripts::kTasksSchedules, keys_.Queue(queue), {}),
                    Parsed<std::vector<RecurringView>>(parse, std::move(done)));
}

void TaskStore::Delivered(const std::string& queue, const std::vector<std::string>& keys, Done done) {
  std::vector<std::string> command = {"HDEL", keys_.Queue(queue).back()};
  command.insert(command.end(), keys.begin(), keys.end());
  commands_.Execute(Command(command), [done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
    std::move(done)(AsBackplaneError(reply.status()));
  });
}

void TaskStore::Configure(const std::string& queue, const std::vector<std::string>& settings, Done done) {
  Register(queue);
  Step<bool>(
      scripts::kTasksConfigure, queue, settings, [](ReplyView) -> absl::StatusOr<bool> { return true; },
      [done = std::move(done)](const absl::StatusOr<bool>& set) mutable { std::move(done)(set.status()); });
}

void TaskStore::SetPaused(const std::string& queue, bool paused, Done done) {
  Configure(queue, {"paused", paused ? "1" : "0"}, std::move(done));
}

void TaskStore::SetLimits(const std::string& queue, const QueueLimits& limits, Done done) {
  Configure(queue,
            {"max_length", absl::StrCat(limits.max_length), "drop_oldest", limits.drop_oldest ? "1" : "0", "rate",
             absl::StrCat(limits.rate), "max_concurrency", absl::StrCat(limits.max_concurrency), "max_failed",
             absl::StrCat(limits.max_failed), "keep_failed_us", Micros(limits.keep_failed_for)},
            std::move(done));
}

void TaskStore::View(const std::string& queue, Then<QueueView> done) {
  const auto parse = [queue](ReplyView reply) {
    absl::StatusOr<QueueView> view = task_wire::QueueOf(reply);
    if (view.ok()) view->name = queue;
    return view;
  };
  commands_.Execute(Command::Call(scripts::kTasksQueue, keys_.Queue(queue), {}),
                    Parsed<QueueView>(parse, std::move(done)));
}

// It leaves the registry first: what is enqueued after the script finds it new, and enters it again.
void TaskStore::DeleteQueue(const std::string& queue, bool force, Then<Deleted> done) {
  commands_.Execute(Command({"ZREM", keys_.Queues(), queue}), [](absl::StatusOr<Reply>) {});
  const auto parse = [this, queue](ReplyView said) -> absl::StatusOr<Deleted> {
    const absl::StatusOr<absl::string_view> kind = said.String();
    if (!kind.ok()) return kind.status();
    if (*kind == "active") Register(queue);
    return *kind == "done" ? Deleted::kDone : *kind == "active" ? Deleted::kActive : Deleted::kMissing;
  };
  Step<Deleted>(scripts::kTasksDrop, queue, {force ? "1" : "0"}, parse, std::move(done));
}

void TaskStore::ListQueues(Then<std::vector<std::string>> done) {
  const auto parse = [](ReplyView reply) {
    absl::StatusOr<std::vector<std::string>> queues = TextsOf(reply);
    if (queues.ok()) std::sort(queues->begin(), queues->end());
    return queues;
  };
  commands_.Execute(Command({"ZRANGE", keys_.Queues(), "0", "-1"}),
                    Parsed<std::vector<std::string>>(parse, std::move(done)));
}

void TaskStore::ClaimQueues(absl::Duration period, int count, Then<std::vector<std::string>> done) {
  commands_.Execute(Command::Call(scripts::kTasksClaim, {keys_.Queues()}, {Micros(period), absl::StrCat(count)}),
                    Parsed<std::vector<std::string>>(TextsOf, std::move(done)));
}

}  // namespace actioncluster

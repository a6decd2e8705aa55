#include "client/cli/task_queue_commands.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "actioncluster/tasks.h"
#include "client/cli/task_commands.h"
#include "client/cli/task_session.h"
#include "client/cli/task_text.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

using client::Tasks;

struct LimitsOptions {
  std::string queue;
  std::optional<uint64_t> max_length;
  std::optional<std::string> overflow;
  std::optional<double> rate;
  std::optional<uint32_t> max_concurrency;
  std::optional<uint32_t> max_failed;
  std::optional<std::string> keep_failed_for;
  bool defaults = false;
};

struct ScheduleOptions {
  std::string id;
  TaskOptions task;
  std::string every;
  std::string cron;
  std::string time_zone;
  std::string missed;
};

bool SetsAny(const LimitsOptions& options) {
  return options.max_length.has_value() || options.overflow.has_value() || options.rate.has_value() ||
         options.max_concurrency.has_value() || options.max_failed.has_value() || options.keep_failed_for.has_value();
}

// Shows a queue's limits, with all else about it.
absl::Status ShowQueue(const std::string& name, const Session& session) {
  return WithTasks(session, [&](Tasks& tasks, absl::Duration) -> absl::Status {
    v1::ListQueuesRequest request;
    request.set_prefix(name);
    absl::StatusOr<v1::ListQueuesResponse> all = tasks.ListQueues(request);
    if (!all.ok()) return all.status();
    v1::ListQueuesResponse found;
    for (v1::Queue& queue : *all->mutable_queues()) {
      if (queue.name() == name) *found.add_queues() = std::move(queue);
    }
    if (found.queues().empty()) return absl::NotFoundError(absl::StrCat("there is no queue ", name));
    Console& console = session.console;
    console.Write(console.json() ? absl::StrCat(ToJsonLine(found), "\n") : FormatQueues(found));
    return absl::OkStatus();
  });
}

absl::Status Limits(const LimitsOptions& options, const Session& session) {
  if (options.defaults && SetsAny(options)) {
    return absl::InvalidArgumentError("--defaults sets all limits: it excludes the others");
  }
  if (!options.defaults && !SetsAny(options)) return ShowQueue(options.queue, session);
  v1::SetQueueLimitsRequest request;
  request.set_queue(options.queue);
  v1::QueueLimits* const limits = request.mutable_limits();
  limits->set_max_length(options.max_length.value_or(0));
  limits->set_rate(options.rate.value_or(0));
  limits->set_max_concurrency(options.max_concurrency.value_or(0));
  limits->set_max_failed(options.max_failed.value_or(0));
  if (options.overflow == "drop-oldest") limits->set_overflow(v1::QueueLimits::OVERFLOW_DROP_OLDEST);
  if (options.keep_failed_for.has_value()) {
    const absl::StatusOr<absl::Duration> keep = ParseLength(*options.keep_failed_for, "--keep-failed-for");
    if (!keep.ok()) return keep.status();
    *limits->mutable_keep_failed_for() = ToProto(*keep);
  }
  return CallAndShow(
      session, request, &Tasks::SetQueueLimits,
      +[](const v1::SetQueueLimitsResponse&) -> std::string { return "set"; });
}

absl::Status Schedule(const ScheduleOptions& options, const Session& session) {
  if (options.every.empty() == options.cron.empty()) {
    return absl::InvalidArgumentError("it takes one of --every and --cron");
  }
  v1::ScheduleRecurringRequest request;
  request.set_id(options.id);
  absl::StatusOr<v1::EnqueueRequest> task = MakeTask(options.task);
  if (!task.ok()) return task.status();
  *request.mutable_task() = *std::move(task);
  if (!options.cron.empty()) request.set_cron(options.cron);
  if (!options.every.empty()) {
    const absl::StatusOr<absl::Duration> every = ParseLength(options.every, "--every");
    if (!every.ok()) return every.status();
    *request.mutable_every() = ToProto(*every);
  }
  request.set_time_zone(options.time_zone);
  if (options.missed == "run-once") request.set_missed(v1::MISSED_SLOTS_RUN_ONCE);
  return CallAndShow(
      session, request, &Tasks::ScheduleRecurring, +[](const v1::ScheduleRecurringResponse& response) {
        return absl::StrCat(response.created() ? "scheduled" : "replaced", ", next at ",
                            FormatInstant(response.has_next(), response.next()));
      });
}

// A subcommand whose only argument is a queue.
template <class Request, class Response>
CLI::App* AddByQueue(CommandTree& tree, CLI::App* tasks, const CommandSpec& spec,
                     const std::shared_ptr<Request>& request, absl::StatusOr<Response> (Tasks::*call)(const Request&),
                     std::string (*describe)(const Response&)) {
  CLI::App* const app = tree.AddCommand(tasks, spec, [request, call, describe](const Session& session) {
    return CallAndShow(session, *request, call, describe);
  });
  app->add_option_function<std::string>(
         "QUEUE", [request](const std::string& queue) { request->set_queue(queue); }, "The queue's name")
      ->required()
      ->type_name("");
  return app;
}

void AddListings(CommandTree& tree, CLI::App* tasks) {
  tree.AddCommand(tasks,
                  {.name = "stats",
                   .meaning = "Count the tasks of all queues by what has become of them",
                   .example = "actioncluster tasks stats",
                   .details = "With --json: {\"counts\": {\"ready\": STRING, …}, \"queues\"}.\n"},
                  [](const Session& session) {
                    return WithTasks(session, [&session](Tasks& client, absl::Duration) -> absl::Status {
                      const absl::StatusOr<v1::StatsResponse> stats = client.Stats();
                      if (!stats.ok()) return stats.status();
                      Console& console = session.console;
                      console.Write(console.json() ? absl::StrCat(ToJsonLine(*stats), "\n") : FormatCounts(*stats));
                      return absl::OkStatus();
                    });
                  });
  const auto listed = std::make_shared<v1::ListQueuesRequest>();
  tree.AddCommand(
          tasks,
          {.name = "queues",
           .meaning = "List the queues, with how many tasks of each are in which state",
           .example = "actioncluster tasks queues",
           .details = "With --json: {\"queues\": [{\"name\", \"counts\": {}, \"oldest_ready\", \"paused\", "
                      "\"limits\": {}}]}.\n"},
          [listed](const Session& session) { return CallAndShow(session, *listed, &Tasks::ListQueues, &FormatQueues); })
      ->add_option_function<std::string>(
          "--prefix", [listed](const std::string& prefix) { listed->set_prefix(prefix); },
          "Only queues whose names begin so")
      ->option_text("TEXT");
  tree.AddCommand(
      tasks,
      {.name = "workers",
       .meaning = "List the workers of the whole cluster, and what each is working on",
       .example = "actioncluster tasks workers",
       .details = "With --json: {\"workers\": [{}], \"missing_nodes\": [], \"omitted\"}.\n"},
      [](const Session& session) {
        return WithTasks(session, [&session](Tasks& client, absl::Duration) -> absl::Status {
          const absl::StatusOr<v1::ListWorkersResponse> workers = client.ListWorkers();
          if (!workers.ok()) return workers.status();
          Console& console = session.console;
          console.Write(console.json() ? absl::StrCat(ToJsonLine(*workers), "\n") : FormatWorkers(*workers));
          if (!console.json() && workers->omitted() > 0) {
            console.Say(absl::StrCat("actioncluster: ", workers->omitted(), " more workers are not shown"));
          }
          for (const std::string& node : workers->missing_nodes()) {
            if (!console.json()) console.Say(absl::StrCat("actioncluster: no answer from ", Escape(node)));
          }
          return absl::OkStatus();
        });
      });
}

void AddPauses(CommandTree& tree, CLI::App* tasks) {
  AddByQueue(
      tree, tasks,
      {.name = "pause",
       .meaning = "Give no task of a queue to a worker until it is resumed",
       .example = "actioncluster tasks pause images",
       .details = "What runs goes on, and tasks can be enqueued. With --json: {}.\n"},
      std::make_shared<v1::PauseQueueRequest>(), &Tasks::PauseQueue,
      +[](const v1::PauseQueueResponse&) -> std::string { return "paused"; });
  AddByQueue(
      tree, tasks,
      {.name = "resume",
       .meaning = "End the pause of a queue",
       .example = "actioncluster tasks resume images",
       .details = "With --json: {}.\n"},
      std::make_shared<v1::ResumeQueueRequest>(), &Tasks::ResumeQueue,
      +[](const v1::ResumeQueueResponse&) -> std::string { return "resumed"; });
  const auto deleted = std::make_shared<v1::DeleteQueueRequest>();
  AddByQueue(
      tree, tasks,
      {.name = "delete-queue",
       .meaning = "Remove a queue: its tasks, dead letters, schedules and limits",
       .example = "actioncluster tasks delete-queue images",
       .details = "With --json: {\"deleted\"}.\n"},
      deleted, &Tasks::DeleteQueue,
      +[](const v1::DeleteQueueResponse& response) -> std::string {
        return response.deleted() ? "deleted" : "there was none";
      })
      ->add_flag_callback(
          "--force", [deleted] { deleted->set_force(true); },
          "Also if tasks of it run: their workers are told to stop");
}

void AddLimitsCommand(CommandTree& tree, CLI::App* tasks) {
  const auto options = std::make_shared<LimitsOptions>();
  CLI::App* const app = tree.AddCommand(
      tasks,
      {.name = "limits",
       .meaning = "Set the limits of a queue; without an option, show it",
       .example = "actioncluster tasks limits images --rate 10 --max-concurrency 4",
       .details =
           "All limits are replaced: one that is not given has its default. With --json: {}, or of what is shown "
           "as of\n"
           "tasks queues.\n"},
      [options](const Session& session) { return Limits(*options, session); });
  app->add_option("QUEUE", options->queue, "The queue's name")->required()->type_name("");
  app->add_option("--max-length", options->max_length, "How many tasks may wait; by default 1000000")->option_text("N");
  app->add_option("--overflow", options->overflow, "What happens past that: refuse (the default) or drop-oldest")
      ->option_text("HOW")
      ->check(CLI::IsMember({"refuse", "drop-oldest"}));
  app->add_option("--rate", options->rate, "How many may begin each second; by default all")->option_text("N");
  app->add_option("--max-concurrency", options->max_concurrency, "How many may run at once; by default all")
      ->option_text("N");
  app->add_option("--max-failed", options->max_failed, "How many dead letters are kept; by default 10000")
      ->option_text("N");
  app->add_option("--keep-failed-for", options->keep_failed_for, "For how long; by default 7d")->option_text("TIME");
  app->add_flag("--defaults", options->defaults, "Take all limits back");
}

void AddSchedules(CommandTree& tree, CLI::App* tasks) {
  const auto options = std::make_shared<ScheduleOptions>();
  CLI::App* const app = tree.AddCommand(
      tasks,
      {.name = "schedule",
       .meaning = "Enqueue a task again and again, once for each slot however many nodes there are",
       .example = "actioncluster tasks schedule nightly report --cron '30 2 * * *' --time-zone Europe/Berlin",
       .details = "Replaces the schedule of the same id. With --json: {\"next\", \"created\"}.\n"},
      [options](const Session& session) { return Schedule(*options, session); });
  app->add_option("ID", options->id, "Names the schedule in its queue")->required()->type_name("");
  AddTaskOptions(app, &options->task);
  CLI::Option* const every =
      app->add_option("--every", options->every, "At each multiple of this since 1970, UTC")->option_text("TIME");
  app->add_option("--cron", options->cron,
                  "Minute, hour, day of month, month, day of week; or six fields, with seconds in front; or @daily and "
                  "the like")
      ->option_text("FIELDS")
      ->excludes(every);
  app->add_option("--time-zone", options->time_zone, "Of --cron: as Europe/Berlin; by default UTC")
      ->option_text("ZONE")
      ->excludes(every);
  app->add_option("--missed", options->missed,
                  "What to do with slots that passed while no node was there: skip (the default) or run-once")
      ->option_text("HOW")
      ->check(CLI::IsMember({"skip", "run-once"}));

  const auto listed = std::make_shared<v1::ListRecurringRequest>();
  tree.AddCommand(tasks,
                  {.name = "schedules",
                   .meaning = "List the schedules of all queues, or of one",
                   .example = "actioncluster tasks schedules",
                   .details = "With --json: {\"recurring\": [{\"schedule\": {}, \"next\"}]}.\n"},
                  [listed](const Session& session) {
                    return CallAndShow(session, *listed, &Tasks::ListRecurring, &FormatSchedules);
                  })
      ->add_option_function<std::string>(
          "--queue", [listed](const std::string& queue) { listed->set_queue(queue); }, "Only of this queue")
      ->option_text("Q");

  const auto stopped = std::make_shared<v1::StopRecurringRequest>();
  CLI::App* const unschedule = tree.AddCommand(tasks,
                                               {.name = "unschedule",
                                                .meaning = "End a schedule; what it has enqueued stays",
                                                .example = "actioncluster tasks unschedule nightly",
                                                .details = "With --json: {\"stopped\"}.\n"},
                                               [stopped](const Session& session) {
                                                 return CallAndShow(
                                                     session, *stopped, &Tasks::StopRecurring,
                                                     +[](const v1::StopRecurringResponse& response) -> std::string {
                                                       return response.stopped() ? "stopped" : "there was none";
                                                     });
                                               });
  unschedule
      ->add_option_function<std::string>(
          "ID", [stopped](const std::string& id) { stopped->set_id(id); }, "The schedule's id")
      ->required()
      ->type_name("");
  unschedule
      ->add_option_function<std::string>(
          "--queue", [stopped](const std::string& queue) { stopped->set_queue(queue); },
          "Its queue; by default default")
      ->option_text("Q");
}

}  // namespace

void AddTaskQueueCommands(CommandTree& tree, CLI::App* tasks) {
  AddListings(tree, tasks);
  AddPauses(tree, tasks);
  AddLimitsCommand(tree, tasks);
  AddSchedules(tree, tasks);
}

}  // namespace actioncluster::cli

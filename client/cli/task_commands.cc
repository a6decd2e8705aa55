#include "client/cli/task_commands.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actioncluster/status.h"
#include "actioncluster/tasks.h"
#include "client/cli/task_session.h"
#include "client/cli/task_text.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

using client::Tasks;

constexpr uint32_t kMaxListed = 10'000;
constexpr uint32_t kMaxPage = 1'000;
// A task whose end is to be waited for has to be there then.
constexpr absl::Duration kRetainForAwait = absl::Minutes(1);

struct EnqueueOptions {
  TaskOptions task;
  std::string delay;
  std::string run_at;
  std::string id;
  bool await = false;
  bool raw = false;
};

struct ListOptions {
  std::string queue;
  std::string state;
  std::string name;
  uint32_t limit = 100;
};

// Of dead letters: one, or all of a queue.
struct WhichOptions {
  std::string task_id;
  std::string all_of_queue;
};

absl::Status SetLength(const std::string& text, absl::string_view option,
                       google::protobuf::Duration* (*mutable_field)(v1::EnqueueRequest&), v1::EnqueueRequest& request) {
  if (text.empty()) return absl::OkStatus();
  const absl::StatusOr<absl::Duration> length = ParseLength(text, option);
  if (length.ok()) *mutable_field(request) = ToProto(*length);
  return length.status();
}

absl::StatusOr<v1::EnqueueRequest> MakeEnqueue(const EnqueueOptions& options) {
  absl::StatusOr<v1::EnqueueRequest> request = MakeTask(options.task);
  if (!request.ok()) return request;
  request->set_id(options.id);
  const absl::Status delay = SetLength(
      options.delay, "--delay", [](v1::EnqueueRequest& to) { return to.mutable_delay(); }, *request);
  if (!delay.ok()) return delay;
  if (!options.run_at.empty()) {
    absl::StatusOr<google::protobuf::Timestamp> run_at = ParseInstant(options.run_at, "--run-at");
    if (!run_at.ok()) return run_at.status();
    *request->mutable_run_at() = *std::move(run_at);
  }
  if (options.await && options.task.retain.empty()) *request->mutable_retain_result_for() = ToProto(kRetainForAwait);
  return request;
}

absl::Status Await(const std::string& task_id, bool raw, const Session& session, Tasks& tasks, absl::Duration limit) {
  v1::AwaitRequest request;
  request.set_task_id(task_id);
  const absl::StatusOr<v1::AwaitResponse> response = tasks.Await(request, limit);
  if (!response.ok()) return response.status();
  Console& console = session.console;
  if (console.json()) {
    console.WriteLine(ToJsonLine(*response));
  } else if (response->has_result()) {
    PrintResult(response->result(), raw, console);
  } else if (response->has_data()) {
    PrintBytes(response->data(), raw, console);
  }
  if (response->state() == v1::TASK_STATE_CANCELLED) return absl::CancelledError("the task was cancelled");
  return response->has_error() ? client::FromProto(response->error()) : absl::OkStatus();
}

absl::Status Enqueue(const EnqueueOptions& options, const Session& session) {
  const absl::StatusOr<v1::EnqueueRequest> request = MakeEnqueue(options);
  if (!request.ok()) return request.status();
  return WithTasks(session, [&](Tasks& tasks, absl::Duration limit) -> absl::Status {
    const absl::StatusOr<v1::EnqueueResponse> response = tasks.Enqueue(*request);
    if (!response.ok()) return response.status();
    Console& console = session.console;
    // To wait is to print the result alone.
    if (options.await) return Await(response->task_id(), options.raw, session, tasks, limit);
    console.WriteLine(console.json() ? ToJsonLine(*response) : Escape(response->task_id()));
    if (!console.json() && !response->created()) console.Say("actioncluster: it was there already");
    return absl::OkStatus();
  });
}

// One page after another, until there are enough, or no more.
template <class Request, class Response>
absl::Status ListPages(Request request, uint32_t limit, const Session& session,
                       absl::StatusOr<Response> (Tasks::*list)(const Request&)) {
  return WithTasks(session, [&](Tasks& tasks, absl::Duration) -> absl::Status {
    Response all;
    do {
      request.set_page_size(std::min(limit - static_cast<uint32_t>(all.tasks_size()), kMaxPage));
      absl::StatusOr<Response> page = (tasks.*list)(request);
      if (!page.ok()) return page.status();
      for (v1::Task& task : *page->mutable_tasks()) *all.add_tasks() = std::move(task);
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty() && static_cast<uint32_t>(all.tasks_size()) < limit);
    all.set_next_page_token(request.page_token());
    Console& console = session.console;
    console.Write(console.json() ? absl::StrCat(ToJsonLine(all), "\n") : FormatTasks(all.tasks()));
    if (!console.json() && !all.next_page_token().empty()) console.Say("actioncluster: there are more; see --limit");
    return absl::OkStatus();
  });
}

absl::Status List(const ListOptions& options, const Session& session) {
  const absl::StatusOr<v1::TaskState> state = ParseState(options.state);
  if (!state.ok()) return state.status();
  v1::ListRequest request;
  request.mutable_filter()->set_queue(options.queue);
  request.mutable_filter()->set_state(*state);
  request.mutable_filter()->set_name(options.name);
  return ListPages(std::move(request), options.limit, session, &Tasks::List);
}

absl::Status ListFailed(const ListOptions& options, const Session& session) {
  v1::ListFailedRequest request;
  request.set_queue(options.queue);
  return ListPages(std::move(request), options.limit, session, &Tasks::ListFailed);
}

absl::Status Watch(const std::string& task_id, const Session& session) {
  return WithTasks(session, [&](Tasks& tasks, absl::Duration) {
    v1::WatchTaskRequest request;
    request.set_task_id(task_id);
    Console& console = session.console;
    return tasks.Watch(request, [&console](const v1::Task& task) {
      if (console.json()) return console.WriteLine(ToJsonLine(task));
      return console.WriteLine(
          absl::StrCat(absl::FormatTime("%H:%M:%S", absl::Now(), absl::UTCTimeZone()), "  ", DescribeTask(task)));
    });
  });
}

template <class Request>
absl::StatusOr<Request> MakeWhich(const WhichOptions& options) {
  if (options.task_id.empty() == options.all_of_queue.empty()) {
    return absl::InvalidArgumentError("it takes the ID of a dead letter, or --all QUEUE");
  }
  Request request;
  if (!options.task_id.empty()) request.set_task_id(options.task_id);
  if (!options.all_of_queue.empty()) request.set_all_of_queue(options.all_of_queue);
  return request;
}

template <class Request, class Response>
Action ActionOnFailed(const std::shared_ptr<WhichOptions>& options,
                      absl::StatusOr<Response> (Tasks::*call)(const Request&),
                      std::string (*describe)(const Response&)) {
  return [options, call, describe](const Session& session) -> absl::Status {
    const absl::StatusOr<Request> request = MakeWhich<Request>(*options);
    if (!request.ok()) return request.status();
    return CallAndShow(session, *request, call, describe);
  };
}

std::string CountTasks(absl::string_view done, uint64_t count) {
  return absl::StrCat(done, " ", count, count == 1 ? " task" : " tasks");
}

// A subcommand whose only argument is a task's id.
template <class Request, class Response>
void AddById(CommandTree& tree, CLI::App* tasks, const CommandSpec& spec,
             absl::StatusOr<Response> (Tasks::*call)(const Request&), std::string (*describe)(const Response&)) {
  const auto request = std::make_shared<Request>();
  const auto id = std::make_shared<std::string>();
  CLI::App* const app = tree.AddCommand(tasks, spec, [request, id, call, describe](const Session& session) {
    request->set_task_id(*id);
    return CallAndShow(session, *request, call, describe);
  });
  app->add_option("ID", *id, "The task's id")->required()->type_name("");
}

void AddQueueOption(CLI::App* app, std::string& queue) {
  app->add_option("--queue", queue, "The queue; by default default")->option_text("Q");
}

void AddLimitOption(CLI::App* app, uint32_t& limit) {
  app->add_option("--limit", limit, "At most so many: 1 to 10000; by default 100")
      ->option_text("N")
      ->check(CLI::Range(1U, kMaxListed));
}

void AddEnqueueCommand(CommandTree& tree, CLI::App* tasks) {
  const auto options = std::make_shared<EnqueueOptions>();
  CLI::App* const app = tree.AddCommand(
      tasks,
      {.name = "enqueue",
       .meaning = "Add a task to a queue, and print its id",
       .example = R"(actioncluster tasks enqueue resize '{"image": 7}' --queue images --delay 5s)",
       .details =
           "With --json: {\"task_id\", \"created\"}. With --await it prints what tasks await prints, and ends as that "
           "does.\n"},
      [options](const Session& session) { return Enqueue(*options, session); });
  AddTaskOptions(app, &options->task);
  CLI::Option* const delay =
      app->add_option("--delay", options->delay, "Not before so long from now")->option_text("TIME");
  app->add_option("--run-at", options->run_at, "Not before this instant: 2026-12-24T18:00:00Z")
      ->option_text("INSTANT")
      ->excludes(delay);
  app->add_option("--id", options->id,
                  "A name of its own in its queue: while it is there, and a minute after its end, the same again does "
                  "nothing")
      ->option_text("ID");
  app->add_flag("--await", options->await,
                "Wait for its end, within --timeout, and print its result; unless --retain says more it is kept 1m");
  app->add_flag("--raw", options->raw, "With --await: as with tasks await");
}

void AddAwaitCommand(CommandTree& tree, CLI::App* tasks) {
  struct AwaitOptions {
    std::string id;
    bool raw = false;
  };
  const auto options = std::make_shared<AwaitOptions>();
  CLI::App* const app = tree.AddCommand(
      tasks,
      {.name = "await",
       .meaning = "Wait for a task's end, within --timeout, and print its result",
       .example = "actioncluster tasks await default/7 --timeout 1m",
       .details =
           "Prints the result as JSON in one line; bytes as they are (on a terminal escaped). If the task has "
           "failed, the\n"
           "error is that of its last attempt. It must have been enqueued with --retain.\n"
           "With --json: {\"state\": \"TASK_STATE_DONE\" …, \"result\": any JSON | \"data\": BASE64 | \"error\": "
           "{}}.\n"},
      [options](const Session& session) {
        return WithTasks(session, [&](Tasks& client, absl::Duration limit) {
          return Await(options->id, options->raw, session, client, limit);
        });
      });
  app->add_option("ID", options->id, "The task's id")->required()->type_name("");
  app->add_flag("--raw", options->raw, "Print a string without its quotes, and bytes also on a terminal as they are");
}

void AddListCommands(CommandTree& tree, CLI::App* tasks) {
  const auto listed = std::make_shared<ListOptions>();
  CLI::App* const list = tree.AddCommand(
      tasks,
      {.name = "list",
       .meaning = "List the tasks of a queue that are in one state",
       .example = "actioncluster tasks list --queue images --state retrying",
       .details = "Those that come next first. With --json: {\"tasks\": [TASK], \"next_page_token\"}.\n"},
      [listed](const Session& session) { return List(*listed, session); });
  AddQueueOption(list, listed->queue);
  listed->state = "ready";
  list->add_option("--state", listed->state,
                   "scheduled, ready (the default), active, retrying, done, failed or cancelled")
      ->option_text("STATE");
  list->add_option("--name", listed->name, "Only tasks of this name")->option_text("NAME");
  AddLimitOption(list, listed->limit);

  const auto failed_options = std::make_shared<ListOptions>();
  CLI::App* const failed =
      tree.AddCommand(tasks,
                      {.name = "failed",
                       .meaning = "List the dead letters of a queue, the newest first",
                       .example = "actioncluster tasks failed --queue images",
                       .details = "With --json: {\"tasks\": [TASK], \"next_page_token\"}.\n"},
                      [failed_options](const Session& session) { return ListFailed(*failed_options, session); });
  AddQueueOption(failed, failed_options->queue);
  AddLimitOption(failed, failed_options->limit);
}

void AddFailedCommands(CommandTree& tree, CLI::App* tasks) {
  const auto add_arguments = [](CLI::App* app, WhichOptions* which) {
    CLI::Option* const id = app->add_option("ID", which->task_id, "The task's id");
    id->type_name("");
    app->add_option("--all", which->all_of_queue, "All of this queue")->option_text("Q")->excludes(id);
  };
  const auto retried = std::make_shared<WhichOptions>();
  add_arguments(
      tree.AddCommand(
          tasks,
          {.name = "retry",
           .meaning = "Make dead letters ready again",
           .example = "actioncluster tasks retry --all images",
           .details = "With all their attempts before them. With --json: {\"retried\": STRING}.\n"},
          ActionOnFailed(
              retried, &Tasks::RetryFailed,
              +[](const v1::RetryFailedResponse& response) { return CountTasks("retried", response.retried()); })),
      retried.get());
  const auto removed = std::make_shared<WhichOptions>();
  add_arguments(tree.AddCommand(tasks,
                                {.name = "remove",
                                 .meaning = "Remove dead letters",
                                 .example = "actioncluster tasks remove --all images",
                                 .details = "With --json: {\"removed\": STRING}.\n"},
                                ActionOnFailed(
                                    removed, &Tasks::RemoveFailed,
                                    +[](const v1::RemoveFailedResponse& response) {
                                      return CountTasks("removed", response.removed());
                                    })),
                removed.get());
}

}  // namespace

void AddTaskOptions(CLI::App* app, TaskOptions* options) {
  app->add_option("NAME", options->name, "What is to be done")->required()->type_name("");
  AddContentOptions(app, "ARGS", "The input: any JSON value. None by default", &options->content);
  AddQueueOption(app, options->queue);
  app->add_option("--priority", options->priority, "0 (lowest) to 9; by default 5")->option_text("N");
  app->add_option("--unique", options->unique_key, "Only if no other task of the queue has this key")
      ->option_text("KEY");
  app->add_option("--unique-for", options->unique_for, "It has its key for so long; by default until its end")
      ->option_text("TIME");
  app->add_option("--max-attempts", options->max_attempts, "1 to 100; by default 3")->option_text("N");
  app->add_option("--backoff", options->backoff,
                  "How long to wait after the first failure, twice as long after each further one; by default 1s")
      ->option_text("TIME");
  app->add_option("--max-backoff", options->max_backoff, "The longest wait; by default 1h")->option_text("TIME");
  app->add_option("--attempt-timeout", options->timeout, "How long one attempt may take; by default as it likes")
      ->option_text("TIME");
  app->add_option("--retain", options->retain,
                  "Keep it and its result for so long after its end; by default not at all")
      ->option_text("TIME");
}

absl::StatusOr<v1::EnqueueRequest> MakeTask(const TaskOptions& options) {
  v1::EnqueueRequest request;
  request.set_name(options.name);
  absl::StatusOr<AnyContent> content = ReadContent(options.content, "ARGS");
  if (!content.ok()) return content.status();
  if (auto* const data = std::get_if<std::string>(&*content)) request.set_data(std::move(*data));
  if (auto* const value = std::get_if<google::protobuf::Value>(&*content)) *request.mutable_args() = std::move(*value);
  request.set_queue(options.queue);
  request.set_unique_key(options.unique_key);
  absl::Status fault;
  if (options.priority.has_value()) request.set_priority(*options.priority);
  if (options.max_attempts.has_value()) request.mutable_retry()->set_max_attempts(*options.max_attempts);
  const auto set = [&](const std::string& text, absl::string_view option,
                       google::protobuf::Duration* (*field)(v1::EnqueueRequest&)) {
    fault.Update(SetLength(text, option, field, request));
  };
  set(options.unique_for, "--unique-for", [](v1::EnqueueRequest& to) { return to.mutable_unique_for(); });
  set(options.backoff, "--backoff", [](v1::EnqueueRequest& to) { return to.mutable_retry()->mutable_backoff(); });
  set(options.max_backoff, "--max-backoff",
      [](v1::EnqueueRequest& to) { return to.mutable_retry()->mutable_max_backoff(); });
  set(options.timeout, "--attempt-timeout", [](v1::EnqueueRequest& to) { return to.mutable_timeout(); });
  set(options.retain, "--retain", [](v1::EnqueueRequest& to) { return to.mutable_retain_result_for(); });
  if (!fault.ok()) return fault;
  return request;
}

void AddTaskCommands(CommandTree& tree, CLI::App* tasks) {
  AddEnqueueCommand(tree, tasks);
  AddAwaitCommand(tree, tasks);
  AddById(
      tree, tasks,
      {.name = "get",
       .meaning = "Show all about a task",
       .example = "actioncluster tasks get default/7",
       .details = "With --json: {\"task\": TASK}, its state as \"TASK_STATE_READY\".\n"},
      &Tasks::Get, +[](const v1::GetResponse& response) { return FormatTask(response.task()); });
  const auto watched = std::make_shared<std::string>();
  tree.AddCommand(tasks,
                  {.name = "watch",
                   .meaning = "Print a task as it is, then each change and what it says of its progress, until its end",
                   .example = "actioncluster tasks watch default/7",
                   .details = "With --json, a line for each: TASK, as tasks get has it, without its input.\n"},
                  [watched](const Session& session) { return Watch(*watched, session); })
      ->add_option("ID", *watched, "The task's id")
      ->required()
      ->type_name("");
  AddListCommands(tree, tasks);
  AddById(
      tree, tasks,
      {.name = "cancel",
       .meaning = "End a task: it will not run, or its worker is told to stop",
       .example = "actioncluster tasks cancel default/7",
       .details = "With --json: {\"was_running\"}.\n"},
      &Tasks::Cancel, +[](const v1::CancelResponse& response) -> std::string {
        return response.was_running() ? "cancelled while it ran" : "cancelled";
      });
  AddById(
      tree, tasks,
      {.name = "delete",
       .meaning = "Remove a task that does not run, whatever its state",
       .example = "actioncluster tasks delete default/7",
       .details = "With --json: {}.\n"},
      &Tasks::Delete, +[](const v1::DeleteResponse&) -> std::string { return "deleted"; });
  AddFailedCommands(tree, tasks);
}

}  // namespace actioncluster::cli

#include "client/cli/work_command.h"

#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "actioncluster/json.h"
#include "actioncluster/status.h"
#include "client/cli/attachment_watch.h"
#include "client/cli/serving.h"
#include "client/cli/text.h"
#include "client/task_check.h"

namespace actioncluster::cli {
namespace {

constexpr int kMaxConcurrency = 1024;   // Each task that runs has a thread, which waits for its command.
constexpr char kNotRetryable[] = "65";  // EX_DATAERR of sysexits.h.

struct WorkOptions {
  std::vector<std::string> queues;
  std::vector<std::string> names;
  std::string command;
  std::string worker_name;
  int concurrency = 4;
};

client::TaskHandler HandlerOf(const std::string& line) {
  return [line](client::TaskContext& context) {
    // The callback may outlive this call by a moment.
    const auto cancelled = std::make_shared<Event>();
    context.OnCancel([cancelled] { cancelled->Set(); });
    return ResultOf(RunCommand(CommandFor(context.task(), line), *cancelled, /*stop_all=*/nullptr,
                               {.max_output = client::kMaxResultBytes}));
  };
}

absl::Status Work(const WorkOptions& options, const Session& session) {
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(session.options.timeout, kDefaultTimeout);
  if (!timeout.ok()) return timeout.status();
  // Before there are other threads: they are to leave these signals alone.
  const StopSignals signals;
  if (absl::Status room = ReserveFilesFor(options.concurrency); !room.ok()) return room;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  client::WorkerOptions worker_options;
  if (!options.queues.empty()) worker_options.queues = options.queues;
  AttachmentWatch watch(absl::StrCat("works on ", absl::StrJoin(worker_options.queues, ", ")), session.console);
  worker_options.concurrency = static_cast<uint32_t>(options.concurrency);
  worker_options.name = options.worker_name;
  worker_options.on_event = watch.listener();

  const client::TaskHandler handler = HandlerOf(options.command);
  std::map<std::string, client::TaskHandler> handlers;
  for (const std::string& name : options.names) handlers.emplace(name, handler);
  const auto worker = handlers.empty()
                          ? std::make_unique<client::Worker>(**client, handler, std::move(worker_options))
                          : std::make_unique<client::Worker>(**client, std::move(handlers), std::move(worker_options));
  const absl::Status end = AwaitEnd(watch, signals, (*client)->options().timeout, *timeout);
  if (!end.ok()) return end;
  // In a hurry the tasks are given back, not failed: their commands end as they are cancelled.
  StopInGoodOrder(
      session.console, signals, [&worker] { worker->Stop(absl::ZeroDuration()); },
      [&worker](absl::Duration grace) { worker->Stop(grace); });
  return absl::OkStatus();
}

}  // namespace

Command CommandFor(const v1::WorkResponse::Task& task, const std::string& line) {
  Command command = {.line = line,
                     .environment = {{"ACTIONCLUSTER_TASK_ID", task.id()},
                                     {"ACTIONCLUSTER_TASK_NAME", task.name()},
                                     {"ACTIONCLUSTER_TASK_QUEUE", task.queue()},
                                     {"ACTIONCLUSTER_TASK_ATTEMPT", absl::StrCat(task.attempt())},
                                     {"ACTIONCLUSTER_TASK_LOST_LEASES", absl::StrCat(task.lost_leases())},
                                     {"ACTIONCLUSTER_TASK_DEADLINE", ""}},
                     .input = task.data()};
  if (task.has_args()) command.input = absl::StrCat(client::ToJson(task.args()), "\n");
  if (task.has_deadline()) command.environment["ACTIONCLUSTER_TASK_DEADLINE"] = FormatDeadline(task.deadline());
  return command;
}

absl::StatusOr<client::TaskContent> ResultOf(absl::StatusOr<std::string> output) {
  if (!output.ok()) {
    const auto metadata = client::MetadataOf(output.status());
    const auto exit_status = metadata.find("exit_status");
    const bool retryable = exit_status == metadata.end() || exit_status->second != kNotRetryable;
    return retryable ? output.status() : client::NotRetryable(output.status());
  }
  AnyContent printed = ParsePrinted(*std::move(output));
  if (auto* const json = std::get_if<google::protobuf::Value>(&printed)) return std::move(*json);
  if (auto* const bytes = std::get_if<std::string>(&printed)) return client::TaskContent::Bytes(std::move(*bytes));
  return client::TaskContent();
}

void AddWorkCommand(CommandTree& tree) {
  const auto options = std::make_shared<WorkOptions>();
  CLI::App* const app = tree.AddCommand(
      &tree.root(),
      {.name = "work",
       .meaning = "Run tasks of some queues, each with a command, until Ctrl-C",
       .example = "actioncluster work --queue mail --exec ./send.sh",
       .details =
           "For each task, sh -c CMD is run in a process group of its own. It gets the input as JSON, or the bytes as "
           "they\n"
           "are, on its standard input, and in the environment ACTIONCLUSTER_TASK_ID, _NAME, _QUEUE, _ATTEMPT (from "
           "1),\n"
           "_LOST_LEASES and _DEADLINE (RFC 3339; empty: none). What it prints is the result: JSON if it is JSON, else "
           "a\n"
           "string; none if it prints nothing. Another exit status than 0 is an attempt that has failed, with the last "
           "of\n"
           "what it wrote to standard error; with 65 (EX_DATAERR) the task is not tried again. When the task is no "
           "longer\n"
           "this worker's (cancelled, too late, the node is lost), the process group is sent SIGTERM, and SIGKILL 2 s\n"
           "later. A task can run more than once, so the command should be one that may.\n"
           "Standard error says when it is attached to a node, and when that is lost; it finds another by itself. "
           "With\n"
           "--json: {\"event\": \"attached\" | \"lost\" | \"ended\", \"address\", \"node_id\", \"error\"}; an end by "
           "an error is that error. --timeout\n"
           "is for being attached at first. SIGINT, SIGTERM, SIGHUP and SIGQUIT let what runs finish for up to 10 s, "
           "then give\n"
           "the rest back, at once if they come again; then the exit status is 0.\n"},
      [options](const Session& session) { return Work(*options, session); });
  app->group(kTasksHeading);
  const auto add_list = [app](const std::string& name, std::vector<std::string>& list, const std::string& meaning,
                              const std::string& text) {
    app->add_option(name, list, meaning)
        ->option_text(text)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  add_list("--queue", options->queues,
           "Tasks of this queue; given several times, those given first come first; * is all. By default default", "Q");
  add_list("--name", options->names, "Only tasks of this name; several times: of these", "NAME");
  app->add_option("--exec", options->command, "The command")->required()->option_text("CMD");
  app->add_option("--concurrency", options->concurrency, "How many tasks to run at once: 1 to 1024; by default 4")
      ->option_text("N")
      ->check(CLI::Range(1, kMaxConcurrency));
  app->add_option("--worker-name", options->worker_name, "What to call it in listings")->option_text("NAME");
}

}  // namespace actioncluster::cli

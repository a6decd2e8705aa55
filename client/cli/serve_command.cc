#include "client/cli/serve_command.h"

#include <map>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "actioncluster/json.h"
#include "client/cli/attachment_watch.h"
#include "client/cli/serving.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

constexpr int kMaxInFlight = 1024;  // Each call that runs has a thread, which waits for its command.

struct ServeOptions {
  std::string name;
  std::string command;
  bool is_connection_method = false;
  bool is_hook = false;
  int max_in_flight = 16;
};

client::Handler HandlerOf(const std::string& line, const std::shared_ptr<Event>& stop_all) {
  return [line, stop_all](client::Invocation invocation) {
    // The callback may outlive this call by a moment.
    const auto cancelled = std::make_shared<Event>();
    invocation.OnCancel([cancelled] { cancelled->Set(); });
    absl::StatusOr<std::string> output = RunCommand(CommandFor(invocation.call(), line), *cancelled, stop_all.get());
    Answer(std::move(output), std::move(invocation));
  };
}

absl::Status Serve(const ServeOptions& options, const Session& session) {
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(session.options.timeout, kDefaultTimeout);
  if (!timeout.ok()) return timeout.status();
  // Before there are other threads: they are to leave these signals alone.
  const StopSignals signals;
  if (absl::Status room = ReserveFilesFor(options.max_in_flight); !room.ok()) return room;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  AttachmentWatch watch(absl::StrCat(options.name, " is offered"), session.console);
  const auto stop_all = std::make_shared<Event>();
  client::MethodHostOptions host_options{.threads = options.max_in_flight,
                                         .max_in_flight = static_cast<uint32_t>(options.max_in_flight),
                                         .on_event = watch.listener()};
  std::map<std::string, client::Handler> methods;
  std::map<std::string, client::Handler>& offered = options.is_connection_method ? host_options.connection_methods
                                                    : options.is_hook            ? host_options.hooks
                                                                                 : methods;
  offered.emplace(options.name, HandlerOf(options.command, stop_all));
  client::MethodHost host(**client, std::move(methods), std::move(host_options));
  const absl::Status end = AwaitEnd(watch, signals, (*client)->options().timeout, *timeout);
  if (!end.ok()) return end;
  StopInGoodOrder(
      session.console, signals, [&stop_all] { stop_all->Set(); }, [&host](absl::Duration grace) { host.Stop(grace); });
  return absl::OkStatus();
}

std::string NameOf(v1::ServeResponse::Scope scope) {
  switch (scope) {
    case v1::ServeResponse::SCOPE_CONNECTION:
      return "connection";
    case v1::ServeResponse::SCOPE_HOOK:
      return "hook";
    default:
      return "method";
  }
}

}  // namespace

Command CommandFor(const v1::ServeResponse::Call& call, const std::string& line) {
  return {
      .line = line,
      .environment = {{"ACTIONCLUSTER_CALL_METHOD", call.method()},
                      {"ACTIONCLUSTER_CALL_CALLER_NODE_ID", call.caller_node_id()},
                      {"ACTIONCLUSTER_CALL_CONNECTION_ID", call.connection_id()},
                      {"ACTIONCLUSTER_CALL_SCOPE", NameOf(call.scope())},
                      {"ACTIONCLUSTER_CALL_ROOM", call.room()},
                      {"ACTIONCLUSTER_CALL_FROM_CONNECTION_ID", call.from_connection_id()},
                      {"ACTIONCLUSTER_CALL_DEADLINE", FormatDeadline(call.deadline())}},
      .input = call.has_data() ? call.data() : absl::StrCat(client::ToJson(call.args()), "\n"),
  };
}

void Answer(absl::StatusOr<std::string> output, client::Invocation invocation) {
  if (!output.ok()) {
    std::move(invocation).Fail(output.status());
    return;
  }
  AnyContent printed = ParsePrinted(*std::move(output));
  if (auto* const json = std::get_if<google::protobuf::Value>(&printed)) {
    std::move(invocation).Return(std::move(*json));
  } else if (auto* const bytes = std::get_if<std::string>(&printed)) {
    std::move(invocation).ReturnBytes(std::move(*bytes));
  } else {
    std::move(invocation).ReturnNothing();
  }
}

void AddServeCommand(CommandTree& tree, CLI::App* rpc) {
  const auto options = std::make_shared<ServeOptions>();
  CLI::App* const app = tree.AddCommand(
      rpc,
      {.name = "serve",
       .meaning = "Offer a method, and answer each call with what a command prints",
       .example = "actioncluster rpc serve clock --exec 'date +%s'",
       .details =
           "For each call, sh -c CMD is run in a process group of its own. It gets the arguments as a JSON array, or "
           "the\n"
           "bytes as they are, on its standard input, and in the environment ACTIONCLUSTER_CALL_METHOD, "
           "_CALLER_NODE_ID,\n"
           "_CONNECTION_ID and _DEADLINE (RFC 3339). What it prints is the result: JSON if it is JSON, else a string; "
           "none\n"
           "if it prints nothing. With an exit status other than 0 the call fails with UNKNOWN, the last of what it "
           "wrote to\n"
           "standard error and the metadata exit_status. When nobody waits for it any more, its process group is sent\n"
           "SIGTERM, and SIGKILL 2 s later.\n"
           "With --connection-method, NAME is one that can be applied to connections; with --hook it is a hook of "
           "rooms: join,\n"
           "leave, say.receive or say.deliver. These get _SCOPE (connection, hook; else method), and hooks _ROOM and\n"
           "_FROM_CONNECTION_ID too. A hook that fails refuses what is about to happen; what it prints is said "
           "instead.\n"
           "Standard error says when it is attached to a node, and when that is lost; it finds another by itself. "
           "With\n"
           "--json: {\"event\": \"attached\" | \"lost\" | \"ended\", \"address\", \"node_id\", \"error\"}; an end by "
           "an error is that error. --timeout "
           "is for being\n"
           "attached at first. SIGINT, SIGTERM, SIGHUP and SIGQUIT let what runs finish for up to 10 s; then the exit\n"
           "status is 0.\n"},
      [options](const Session& session) { return Serve(*options, session); });
  app->add_option("NAME", options->name, "The method's name")->required()->type_name("");
  app->add_option("--exec", options->command, "The command")->required()->option_text("CMD");
  CLI::Option* const connection_method = app->add_flag("--connection-method", options->is_connection_method,
                                                       "NAME is a method of connections, for all of them");
  app->add_flag("--hook", options->is_hook, "NAME is a hook of rooms")->excludes(connection_method);
  app->add_option("--max-in-flight", options->max_in_flight, "How many calls to run at once: 1 to 1024; by default 16")
      ->option_text("N")
      ->check(CLI::Range(1, kMaxInFlight));
}

}  // namespace actioncluster::cli

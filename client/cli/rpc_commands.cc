#include "client/cli/rpc_commands.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "actioncluster/status.h"
#include "client/cli/content.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

// A stream of rows cannot know the widest: as wide as nodes' names are with three digits.
constexpr size_t kNodeWidth = 24;

struct CallOptions {
  std::string method;
  ContentOptions content;
  std::string node_id;
  std::string connection_id;
  bool any = false;
  bool raw = false;
};

void AddMethod(CLI::App* app, CallOptions* options) {
  app->add_option("METHOD", options->method, "The method's name")->required()->type_name("");
  AddContentOptions(app, "ARGS", "The arguments: a JSON array. None by default", &options->content);
}

void AddTarget(CLI::App* app, CallOptions* options) {
  CLI::Option* const node = app->add_option("--node", options->node_id, "Only this node")->option_text("ID");
  CLI::Option* const connection =
      app->add_option("--connection", options->connection_id, "Only the node that holds this connection")
          ->option_text("ID");
  CLI::Option* const any = app->add_flag("--any", options->any, "Any one of the nodes that offer it");
  node->excludes(connection);
  node->excludes(any);
  connection->excludes(any);
}

template <class Request>
absl::StatusOr<Request> MakeRequest(const CallOptions& options) {
  Request request;
  request.set_method(options.method);
  if (const absl::Status content = SetArguments(options.content, &request); !content.ok()) return content;
  return request;
}

template <class Request>
absl::StatusOr<Request> MakeTargetedRequest(const CallOptions& options) {
  absl::StatusOr<Request> request = MakeRequest<Request>(options);
  if (!request.ok()) return request;
  if (!options.node_id.empty()) request->set_node_id(options.node_id);
  if (!options.connection_id.empty()) request->set_connection_id(options.connection_id);
  if (options.any) request->set_any(true);
  return request;
}

absl::Status Call(const CallOptions& options, const Session& session) {
  absl::StatusOr<v1::CallRequest> request = MakeTargetedRequest<v1::CallRequest>(options);
  if (!request.ok()) return request.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  // The client's timeout, which --timeout sets, is the request's.
  const absl::StatusOr<v1::CallResponse> response = (*client)->Call(*request);
  if (!response.ok()) return response.status();
  if (session.console.json()) {
    session.console.WriteLine(ToJsonLine(*response));
  } else if (response->has_result()) {
    PrintResult(response->result(), options.raw, session.console);
  } else if (response->has_data()) {
    PrintBytes(response->data(), options.raw, session.console);
  }
  return absl::OkStatus();
}

absl::Status CallAll(const CallOptions& options, const Session& session) {
  const absl::StatusOr<v1::CallAllRequest> request = MakeRequest<v1::CallAllRequest>(options);
  if (!request.ok()) return request.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  if (!session.console.json()) session.console.WriteLine(absl::StrCat(Cell("NODE", kNodeWidth), "  RESULT"));
  absl::Status failure;
  const absl::Status end = (*client)->CallAll(*request, [&](const v1::CallAllResponse& reply) {
    if (reply.has_error()) failure.Update(client::FromProto(reply.error()));
    if (session.console.json()) {
      session.console.WriteLine(ToJsonLine(reply));
      return;
    }
    const std::string outcome = reply.has_error()
                                    ? DescribeError(client::FromProto(reply.error()))
                                    : Escape(DescribeContent(reply.has_result() ? &reply.result() : nullptr, reply));
    session.console.WriteLine(absl::StrCat(Cell(reply.node_id(), kNodeWidth), "  ", outcome));
  });
  return end.ok() ? failure : end;
}

absl::Status Notify(const CallOptions& options, const Session& session) {
  const absl::StatusOr<v1::NotifyRequest> request = MakeTargetedRequest<v1::NotifyRequest>(options);
  if (!request.ok()) return request.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<v1::NotifyResponse> response = (*client)->Notify(*request);
  if (!response.ok()) return response.status();
  session.console.WriteLine(session.console.json() ? ToJsonLine(*response)
                                                   : absl::StrCat("sent to ", response->receivers(),
                                                                  response->receivers() == 1 ? " node" : " nodes"));
  return absl::OkStatus();
}

absl::Status ListMethods(const std::string& prefix, const Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  v1::ListMethodsRequest request;
  request.set_prefix(prefix);
  const absl::StatusOr<v1::ListMethodsResponse> response = (*client)->ListMethods(request);
  if (!response.ok()) return response.status();
  if (session.console.json()) {
    session.console.WriteLine(ToJsonLine(*response));
    return absl::OkStatus();
  }
  Table table({"METHOD", "NODES"});
  for (const auto& method : response->methods()) table.Add({method.name(), absl::StrJoin(method.node_ids(), ", ")});
  session.console.Write(table.Format());
  return absl::OkStatus();
}

}  // namespace

void AddRpcCommands(CommandTree& tree, CLI::App* rpc) {
  const auto call_options = std::make_shared<CallOptions>();
  CLI::App* const call =
      tree.AddCommand(rpc,
                      {.name = "call",
                       .meaning = "Call a method, and print the first reply",
                       .example = R"(actioncluster rpc call node.ping --node actioncluster-worker-1)",
                       .details = "Prints the result as JSON in one line; bytes as they are (on a terminal escaped).\n"
                                  "With --json: {\"result\": any JSON | \"data\": BASE64, \"node_id\"}, without either "
                                  "if there is no result.\n"},
                      [call_options](const Session& session) { return Call(*call_options, session); });
  AddMethod(call, call_options.get());
  AddTarget(call, call_options.get());
  call->add_flag("--raw", call_options->raw,
                 "Print a string without its quotes, and bytes also on a terminal as they are");

  const auto all_options = std::make_shared<CallOptions>();
  CLI::App* const all = tree.AddCommand(
      rpc,
      {.name = "call-all",
       .meaning = "Call a method on all nodes that offer it, and print each reply as it comes",
       .example = "actioncluster rpc call-all node.ping",
       .details =
           "The exit status is 0 if all have answered without an error; else it is the first error's.\n"
           "With --json, a line for each node: {\"node_id\", \"result\" | \"data\": BASE64 | \"error\": {\"code\", "
           "\"message\", \"reason\", \"metadata\"}}.\n"},
      [all_options](const Session& session) { return CallAll(*all_options, session); });
  AddMethod(all, all_options.get());

  const auto notify_options = std::make_shared<CallOptions>();
  CLI::App* const notify =
      tree.AddCommand(rpc,
                      {.name = "notify",
                       .meaning = "Call a method without waiting for a reply",
                       .example = R"(actioncluster rpc notify node.log '["hello"]')",
                       .details = "Says to how many nodes it was sent. With --json: {\"receivers\"}.\n"},
                      [notify_options](const Session& session) { return Notify(*notify_options, session); });
  AddMethod(notify, notify_options.get());
  AddTarget(notify, notify_options.get());

  const auto prefix = std::make_shared<std::string>();
  CLI::App* const methods =
      tree.AddCommand(rpc,
                      {.name = "methods",
                       .meaning = "List the methods that applications offer, and where",
                       .example = "actioncluster rpc methods --prefix mail.",
                       .details = "With --json: {\"methods\": [{\"name\", \"node_ids\": []}]}.\n"},
                      [prefix](const Session& session) { return ListMethods(*prefix, session); });
  methods->add_option("--prefix", *prefix, "Only methods whose names begin so")->option_text("TEXT");
}

}  // namespace actioncluster::cli

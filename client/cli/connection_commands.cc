#include "client/cli/connection_commands.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "actioncluster/rooms.h"
#include "client/cli/connection_text.h"
#include "client/cli/content.h"
#include "client/cli/room_session.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

using client::Connections;

constexpr char kConnection[] =
    "{\"id\", \"type\", \"fingerprint\", \"node_id\", \"remote_address\", \"connected_at\", \"rooms\": [], "
    "\"attributes\": {},\n  \"claims\": {}, \"params\": {}, \"can_chat\", \"verbs_handled\", \"messages_sent\", "
    "\"messages_missed\"}";

struct ListOptions {
  std::string node;
  std::string room;
  std::string type;
  uint32_t limit = 100;
};

struct AskOptions {
  std::string id;
  std::string method;
  ContentOptions content;
  bool raw = false;
};

// What an application, or a client, has answered. False: nothing.
template <class Response>
bool ShowContent(const Response& response, bool raw, Console& console) {
  if (response.has_result()) PrintResult(response.result(), raw, console);
  if (response.has_data()) PrintBytes(response.data(), raw, console);
  return response.has_result() || response.has_data();
}

template <class Request>
absl::StatusOr<Request> MakeRequest(const AskOptions& options, const Session& session) {
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(session.options.timeout, kDefaultTimeout);
  if (!timeout.ok()) return timeout.status();
  Request request;
  request.set_connection_id(options.id);
  request.set_method(options.method);
  *request.mutable_timeout() = ToProto(*timeout);
  if (absl::Status fault = SetArguments(options.content, &request); !fault.ok()) return fault;
  return request;
}

absl::Status List(const ListOptions& options, const Session& session) {
  v1::ConnectionServiceListRequest request;
  request.set_node_id(options.node);
  request.set_room(options.room);
  request.set_type(options.type);
  return ListAndShow(session, request, options.limit, &Connections::List,
                     &v1::ConnectionServiceListResponse::mutable_connections,
                     [&session](const v1::ConnectionServiceListResponse& all) {
                       if (!all.missing_nodes().empty()) {
                         session.console.Say(absl::StrCat("actioncluster: without those of nodes that did not answer: ",
                                                          Escape(absl::StrJoin(all.missing_nodes(), ", "))));
                       }
                       return FormatConnections(all);
                     });
}

absl::Status Apply(const AskOptions& options, const Session& session) {
  const absl::StatusOr<v1::ApplyRequest> request = MakeRequest<v1::ApplyRequest>(options, session);
  if (!request.ok()) return request.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<v1::ApplyResponse> response = Connections(**client).Apply(*request);
  if (!response.ok()) return response.status();
  Console& console = session.console;
  if (console.json()) {
    console.WriteLine(ToJsonLine(*response));
  } else if (!ShowContent(*response, options.raw, console)) {
    console.Write(FormatConnection(response->connection()));
  }
  return absl::OkStatus();
}

absl::Status Invoke(const AskOptions& options, const Session& session) {
  const absl::StatusOr<v1::InvokeRequest> request = MakeRequest<v1::InvokeRequest>(options, session);
  if (!request.ok()) return request.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<v1::InvokeResponse> response = Connections(**client).Invoke(*request);
  if (!response.ok()) return response.status();
  if (session.console.json()) {
    session.console.WriteLine(ToJsonLine(*response));
  } else {
    ShowContent(*response, options.raw, session.console);
  }
  return absl::OkStatus();
}

void AddAsk(CommandTree& tree, CLI::App* connection, const CommandSpec& spec,
            absl::Status (*ask)(const AskOptions&, const Session&)) {
  const auto options = std::make_shared<AskOptions>();
  CLI::App* const app =
      tree.AddCommand(connection, spec, [options, ask](const Session& session) { return ask(*options, session); });
  app->add_option("ID", options->id, "The connection's id")->required()->type_name("");
  app->add_option("METHOD", options->method, "The method's name")->required()->type_name("");
  AddContentOptions(app, "ARGS", "The arguments: a JSON array. None by default", &options->content);
  app->add_flag("--raw", options->raw, "Print a string without its quotes, and bytes also on a terminal as they are");
}

}  // namespace

void AddConnectionCommands(CommandTree& tree, CLI::App* connection) {
  const auto id = std::make_shared<std::string>();
  CLI::App* const get = tree.AddCommand(
      connection,
      {.name = "get",
       .meaning = "Show all about a connection",
       .example = "actioncluster connection get ann",
       .details =
           absl::StrCat("With --json: {\"connection\": CONNECTION}, where CONNECTION is\n  ", kConnection, ".\n")},
      [id](const Session& session) {
        v1::ConnectionServiceGetRequest request;
        request.set_connection_id(*id);
        return AskAndShow(session, request, &Connections::Get, [](const v1::ConnectionServiceGetResponse& response) {
          return FormatConnection(response.connection());
        });
      });
  get->add_option("ID", *id, "The connection's id")->required()->type_name("");

  const auto listed = std::make_shared<ListOptions>();
  CLI::App* const list =
      tree.AddCommand(connection,
                      {.name = "list",
                       .meaning = "List the connections of all nodes",
                       .example = "actioncluster connection list --room lobby",
                       .details = "By node and id. With --json: {\"connections\": [CONNECTION], \"next_page_token\", "
                                  "\"missing_nodes\": []}.\n"},
                      [listed](const Session& session) { return List(*listed, session); });
  list->add_option("--node", listed->node, "Only those of this node")->option_text("ID");
  list->add_option("--room", listed->room, "Only those in this room")->option_text("ROOM");
  list->add_option("--type", listed->type, "Only those of this type")->option_text("TYPE");
  AddLimitTo(list, &listed->limit);

  AddAsk(tree, connection,
         {.name = "apply",
          .meaning = "Change a connection, on whichever node it is",
          .example = R"(actioncluster connection apply ann sendMessage '[{"text": "hi"}]')",
          .details =
              "METHOD is set, sendMessage, roomAdd, roomLeave, destroy, or one that an application offers. Prints its "
              "result, else the\n"
              "connection as it is then. With --json: {\"connection\": CONNECTION, \"result\": any JSON | \"data\": "
              "BASE64}.\n"},
         &Apply);
  AddAsk(tree, connection,
         {.name = "invoke",
          .meaning = "Ask the client at the other end, and print its answer",
          .example = "actioncluster connection invoke ann whereAreYou",
          .details = "Prints the result as JSON in one line; bytes as they are (on a terminal escaped). With --json: "
                     "{\"result\": any JSON |\n\"data\": BASE64, \"node_id\"}, without either if there is none.\n"},
         &Invoke);
}

}  // namespace actioncluster::cli

#include "client/cli/node_commands.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/content.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

// As the server has it; said with the request, as the call's own deadline follows from it.
constexpr absl::Duration kDrainTimeout = absl::Seconds(10);
constexpr size_t kEventWidth = 8;
constexpr size_t kNodeWidth = 24;

std::string TimeOf(const google::protobuf::Timestamp& timestamp) {
  const absl::Time time = absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string StateOf(const v1::Node& node) { return node.draining() ? "draining" : "ready"; }

std::string FormatNodes(const v1::ListNodesResponse& response) {
  Table table({"NODE", "STATE", "ADDRESS", "HOST", "VERSION", "STARTED", "APPS", "CALLS", "METHODS"});
  for (const v1::Node& node : response.nodes()) {
    table.Add({node.id(), StateOf(node), node.addresses().empty() ? "" : node.addresses(0), node.host(), node.version(),
               TimeOf(node.started_at()), absl::StrCat(node.counts().applications()),
               absl::StrCat(node.counts().calls_running()), absl::StrCat(node.methods_size())});
  }
  return table.Format();
}

std::string FormatNode(const v1::Node& node) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"node", node.id()},
      {"state", StateOf(node)},
      {"boot", node.boot_id()},
      {"addresses", absl::StrJoin(node.addresses(), ", ")},
      {"host", node.host()},
      {"pid", absl::StrCat(node.pid())},
      {"version", node.version()},
      {"started", TimeOf(node.started_at())},
      {"last seen", TimeOf(node.last_seen())},
      {"applications", absl::StrCat(node.counts().applications())},
      {"subscribers", absl::StrCat(node.counts().subscribers())},
      {"calls running", absl::StrCat(node.counts().calls_running())},
      {"calls waiting", absl::StrCat(node.counts().calls_waiting())},
      {"workers", absl::StrCat(node.counts().workers())},
      {"tasks running", absl::StrCat(node.counts().tasks_running())},
      {"methods", absl::StrJoin(node.methods(), ", ")},
  };
  constexpr size_t kLabelWidth = 13;
  std::string text;
  for (const auto& [label, value] : rows) {
    absl::StrAppend(&text, Cell(label, kLabelWidth), "  ", value.empty() ? "-" : Escape(value), "\n");
  }
  return text;
}

absl::Status Nodes(const std::string& id, const Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  Console& console = session.console;
  if (id.empty()) {
    const absl::StatusOr<v1::ListNodesResponse> response = (*client)->ListNodes();
    if (!response.ok()) return response.status();
    console.Write(console.json() ? absl::StrCat(ToJsonLine(*response), "\n") : FormatNodes(*response));
    return absl::OkStatus();
  }
  v1::GetNodeRequest request;
  request.set_node_id(id);
  const absl::StatusOr<v1::GetNodeResponse> response = (*client)->GetNode(request);
  if (!response.ok()) return response.status();
  console.Write(console.json() ? absl::StrCat(ToJsonLine(*response), "\n") : FormatNode(response->node()));
  return absl::OkStatus();
}

absl::Status Watch(const Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  Console& console = session.console;
  return (*client)->WatchNodes([&console](const v1::WatchNodesResponse& event) {
    if (console.json()) return console.WriteLine(ToJsonLine(event));
    const std::string name = v1::WatchNodesResponse::Event_Name(event.event());
    return console.WriteLine(absl::StrCat(absl::FormatTime("%H:%M:%S", absl::Now(), absl::UTCTimeZone()), "  ",
                                          Cell(absl::AsciiStrToLower(absl::StripPrefix(name, "EVENT_")), kEventWidth),
                                          "  ", Cell(event.node().id(), kNodeWidth), "  ",
                                          Escape(event.node().addresses().empty() ? "" : event.node().addresses(0))));
  });
}

absl::Status Drain(const std::string& id, const Session& session) {
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(session.options.timeout, kDrainTimeout);
  if (!timeout.ok()) return timeout.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  v1::DrainRequest request;
  request.set_node_id(id);
  *request.mutable_timeout() = ToProto(*timeout);
  const absl::StatusOr<v1::DrainResponse> response = (*client)->Drain(request);
  if (!response.ok()) return response.status();
  if (session.console.json()) session.console.WriteLine(ToJsonLine(*response));
  if (response->calls_running() > 0) {
    return absl::DeadlineExceededError(absl::StrCat("calls that still run there after ", absl::FormatDuration(*timeout),
                                                    ": ", response->calls_running()));
  }
  if (!session.console.json()) session.console.WriteLine("drained");
  return absl::OkStatus();
}

}  // namespace

void AddNodeCommands(CommandTree& tree) {
  constexpr char kNode[] =
      "{\"id\", \"boot_id\", \"host\", \"pid\": STRING, \"version\", \"started_at\", \"last_seen\",\n"
      "  \"addresses\": [], \"methods\": [], \"counts\": {}, \"draining\"}";

  const auto listed = std::make_shared<std::string>();
  CLI::App* const nodes = tree.AddCommand(
      &tree.root(),
      {.name = "nodes",
       .meaning = "List the live nodes, or all about one",
       .example = "actioncluster nodes",
       .details = absl::StrCat("With --json: {\"nodes\": [NODE]}, or of one {\"node\": NODE}, where NODE is\n  ", kNode,
                               ".\n")},
      [listed](const Session& session) { return Nodes(*listed, session); });
  nodes->group(kNodesHeading);
  nodes->add_option("ID", *listed, "All about this node")->type_name("");

  CLI::App* const watch = tree.AddCommand(
      &tree.root(),
      {.name = "watch",
       .meaning = "Print the nodes that are there, then each change as it happens, until Ctrl-C",
       .example = "actioncluster watch",
       .details =
           "Events: joined, left, lost, draining, updated (its methods). It ends with an error when its node does.\n"
           "With --json, a line for each: {\"event\": \"EVENT_JOINED\" …, \"node\": as nodes has it}.\n"},
      &Watch);
  watch->group(kNodesHeading);

  const auto drained = std::make_shared<std::string>();
  CLI::App* const drain = tree.AddCommand(
      &tree.root(),
      {.name = "drain",
       .meaning = "Take a node out of service, and wait until nothing runs there",
       .example = "actioncluster drain actioncluster-worker-1 --timeout 1m",
       .details =
           "The process goes on until it is stopped. --timeout is 10s by default; if calls still run then, the exit\n"
           "status is 4. With --json: {\"calls_running\"}.\n"},
      [drained](const Session& session) { return Drain(*drained, session); });
  drain->group(kNodesHeading);
  drain->add_option("ID", *drained, "The node; by default the one that is asked")->type_name("");
}

}  // namespace actioncluster::cli

#include "client/cli/connection_text.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "actioncluster/json.h"
#include "client/cli/task_text.h"
#include "client/cli/text.h"
#include "client/duration.h"

namespace actioncluster::cli {
namespace {

std::string Rows(const std::vector<std::pair<std::string, std::string>>& rows) {
  constexpr size_t kLabelWidth = 13;
  std::string text;
  for (const auto& [label, value] : rows) {
    absl::StrAppend(&text, Cell(label, kLabelWidth), "  ", value.empty() ? "-" : Escape(value), "\n");
  }
  return text;
}

using Values = google::protobuf::Map<std::string, google::protobuf::Value>;

// As JSON, sorted by name; nothing for none.
std::string Describe(const Values& values) {
  if (values.empty()) return "";
  const std::map<std::string, google::protobuf::Value> sorted(values.begin(), values.end());
  return absl::StrCat("{",
                      absl::StrJoin(sorted, ",",
                                    [](std::string* out, const auto& each) {
                                      absl::StrAppend(out, client::ToJson(client::ToValue(each.first)), ":",
                                                      client::ToJson(each.second));
                                    }),
                      "}");
}

std::string DescribeHooks(const v1::RoomHooks& hooks) {
  if (hooks.required().empty()) return "";
  return absl::StrCat(
      absl::StrJoin(hooks.required(), ", "),
      hooks.has_timeout() ? absl::StrCat(" within ", absl::FormatDuration(client::FromProto(hooks.timeout()))) : "");
}

}  // namespace

std::string FormatConnection(const v1::Connection& connection) {
  return Rows({
      {"connection", connection.id()},
      {"node", connection.node_id()},
      {"type", connection.type()},
      {"fingerprint", connection.fingerprint()},
      {"address", connection.remote_address()},
      {"connected", FormatInstant(connection.has_connected_at(), connection.connected_at())},
      {"rooms", absl::StrJoin(connection.rooms(), ", ")},
      {"can chat", connection.can_chat() ? "yes" : "no"},
      {"attributes", Describe(connection.attributes())},
      {"claims", Describe(connection.claims().fields())},
      {"params", Describe(connection.params())},
      {"verbs", absl::StrCat(connection.verbs_handled())},
      {"messages", absl::StrCat(connection.messages_sent())},
      {"missed", absl::StrCat(connection.messages_missed())},
  });
}

std::string FormatConnections(const v1::ConnectionServiceListResponse& response) {
  Table table({"CONNECTION", "NODE", "TYPE", "ADDRESS", "CONNECTED", "ROOMS"});
  for (const v1::Connection& connection : response.connections()) {
    table.Add({connection.id(), connection.node_id(), connection.type(), connection.remote_address(),
               FormatInstant(connection.has_connected_at(), connection.connected_at()),
               absl::StrJoin(connection.rooms(), ", ")});
  }
  return table.Format();
}

std::string FormatRooms(const v1::RoomServiceListResponse& response) {
  Table table({"ROOM", "MEMBERS", "CREATED", "HISTORY"});
  for (const v1::RoomServiceListResponse::Room& room : response.rooms()) {
    table.Add({room.room(), absl::StrCat(room.members_count()), FormatInstant(room.has_created_at(), room.created_at()),
               DescribeHistory(room.has_history(), room.history())});
  }
  return table.Format();
}

std::string FormatRoom(const v1::RoomServiceStatusResponse& response) {
  std::string text = Rows({{"room", response.room()},
                           {"members", absl::StrCat(response.members_count())},
                           {"created", FormatInstant(response.has_created_at(), response.created_at())},
                           {"history", DescribeHistory(response.has_history(), response.history())},
                           {"hooks", DescribeHooks(response.hooks())}});
  if (response.members().empty()) return text;
  Table table({"CONNECTION", "NODE", "TYPE", "JOINED", "ATTRIBUTES"});
  for (const v1::RoomMember& member : response.members()) {
    table.Add({member.connection_id(), member.node_id(), member.type(),
               FormatInstant(member.has_joined_at(), member.joined_at()), Describe(member.attributes())});
  }
  return absl::StrCat(text, "\n", table.Format());
}

std::string DescribeHistory(bool is_set, const v1::RoomHistory& history) {
  if (!is_set) return "none";
  const std::string age =
      history.has_keep_for() ? absl::StrCat(" of ", absl::FormatDuration(client::FromProto(history.keep_for()))) : "";
  return absl::StrCat(history.messages() == 0 ? "messages" : absl::StrCat(history.messages(), " messages"), age);
}

std::string ChangeName(v1::WatchRoomResponse::Kind kind) {
  switch (kind) {
    case v1::WatchRoomResponse::KIND_SNAPSHOT:
      return "there";
    case v1::WatchRoomResponse::KIND_JOINED:
      return "joined";
    case v1::WatchRoomResponse::KIND_LEFT:
      return "left";
    case v1::WatchRoomResponse::KIND_LOST:
      return "lost";
    default:
      return "-";
  }
}

}  // namespace actioncluster::cli

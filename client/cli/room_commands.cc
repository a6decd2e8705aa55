#include "client/cli/room_commands.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actioncluster/rooms.h"
#include "client/cli/connection_text.h"
#include "client/cli/content.h"
#include "client/cli/room_session.h"
#include "client/cli/task_text.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

using client::Rooms;

constexpr uint32_t kMaxListed = 10'000;
constexpr size_t kChangeWidth = 6;
constexpr size_t kConnectionWidth = 24;

struct CreateOptions {
  std::string room;
  std::optional<uint32_t> keep;
  std::string keep_for;
  std::vector<std::string> hooks;
  std::string hook_timeout;
};

struct ListOptions {
  std::string name;  // A prefix, or a room.
  uint32_t limit = 100;
};

struct BroadcastOptions {
  std::string room;
  std::string from;
  ContentOptions content;
};

absl::StatusOr<v1::RoomServiceCreateRequest> MakeCreate(const CreateOptions& options) {
  v1::RoomServiceCreateRequest request;
  request.set_room(options.room);
  if (options.keep.has_value()) request.mutable_history()->set_messages(*options.keep);
  if (!options.keep_for.empty()) {
    const absl::StatusOr<absl::Duration> length = ParseLength(options.keep_for, "--keep-for");
    if (!length.ok()) return length.status();
    *request.mutable_history()->mutable_keep_for() = ToProto(*length);
  }
  for (const std::string& hook : options.hooks) request.mutable_hooks()->add_required(hook);
  if (!options.hook_timeout.empty()) {
    const absl::StatusOr<absl::Duration> length = ParseLength(options.hook_timeout, "--hook-timeout");
    if (!length.ok()) return length.status();
    *request.mutable_hooks()->mutable_timeout() = ToProto(*length);
  }
  return request;
}

absl::Status Create(const CreateOptions& options, const Session& session) {
  const absl::StatusOr<v1::RoomServiceCreateRequest> request = MakeCreate(options);
  if (!request.ok()) return request.status();
  return AskAndShow(session, *request, &Rooms::Create, [](const auto&) { return "created"; });
}

absl::Status Status(const ListOptions& options, const Session& session) {
  v1::RoomServiceStatusRequest request;
  request.set_room(options.name);
  return ListAndShow(session, request, options.limit, &Rooms::Status, &v1::RoomServiceStatusResponse::mutable_members,
                     &FormatRoom);
}

absl::Status List(const ListOptions& options, const Session& session) {
  v1::RoomServiceListRequest request;
  request.set_prefix(options.name);
  return ListAndShow(session, request, options.limit, &Rooms::List, &v1::RoomServiceListResponse::mutable_rooms,
                     &FormatRooms);
}

absl::Status Broadcast(const BroadcastOptions& options, const Session& session) {
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(session.options.timeout, kDefaultTimeout);
  if (!timeout.ok()) return timeout.status();
  absl::StatusOr<AnyContent> content = ReadContent(options.content, "JSON");
  if (!content.ok()) return content.status();
  if (std::holds_alternative<std::monostate>(*content)) {
    return absl::InvalidArgumentError("say what? It takes JSON, or --data-file");
  }
  v1::BroadcastRequest request;
  request.set_room(options.room);
  request.set_from_connection_id(options.from);
  *request.mutable_timeout() = ToProto(*timeout);
  if (auto* const data = std::get_if<std::string>(&*content)) request.set_data(std::move(*data));
  if (auto* const value = std::get_if<google::protobuf::Value>(&*content)) *request.mutable_value() = std::move(*value);
  return AskAndShow(session, request, &Rooms::Broadcast, [](const v1::BroadcastResponse& response) {
    return absl::StrCat("sent to ", response.receivers(), response.receivers() == 1 ? " node" : " nodes",
                        " with members");
  });
}

absl::Status Watch(const std::string& room, const Session& session) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  v1::WatchRoomRequest request;
  request.set_room(room);
  Console& console = session.console;
  return Rooms(**client).Watch(request, [&console](const v1::WatchRoomResponse& change) {
    if (console.json()) return console.WriteLine(ToJsonLine(change));
    const std::string time = absl::FormatTime("%H:%M:%S", absl::Now(), absl::UTCTimeZone());
    for (const v1::RoomMember& member : change.members()) {
      if (!console.WriteLine(absl::StrCat(time, "  ", Cell(ChangeName(change.kind()), kChangeWidth), "  ",
                                          Cell(member.connection_id(), kConnectionWidth), "  ",
                                          Escape(member.node_id())))) {
        return false;
      }
    }
    return true;
  });
}

// A subcommand whose argument is a room, and maybe a connection.
template <class Request, class Response>
void AddByName(CommandTree& tree, CLI::App* room, const CommandSpec& spec, bool with_connection,
               absl::StatusOr<Response> (Rooms::*call)(const Request&), std::string (*describe)(const Response&)) {
  const auto name = std::make_shared<std::string>();
  const auto id = std::make_shared<std::string>();
  CLI::App* const app = tree.AddCommand(room, spec, [=](const Session& session) -> absl::Status {
    Request request;
    request.set_room(*name);
    if constexpr (requires { request.set_connection_id(*id); }) {
      const absl::StatusOr<absl::Duration> timeout = ParseTimeout(session.options.timeout, kDefaultTimeout);
      if (!timeout.ok()) return timeout.status();
      request.set_connection_id(*id);
      *request.mutable_timeout() = ToProto(*timeout);
    }
    return AskAndShow(session, request, call, describe);
  });
  app->add_option("ROOM", *name, "The room's name")->required()->type_name("");
  if (with_connection) app->add_option("ID", *id, "The connection's id")->required()->type_name("");
}

void AddCreateCommand(CommandTree& tree, CLI::App* room) {
  const auto options = std::make_shared<CreateOptions>();
  CLI::App* const app = tree.AddCommand(room,
                                        {.name = "create",
                                         .meaning = "Make a room",
                                         .example = "actioncluster room create lobby --keep 1000 --keep-for 1d",
                                         .details = "With --json: {\"created_at\"}.\n"},
                                        [options](const Session& session) { return Create(*options, session); });
  app->add_option("ROOM", options->room, "The room's name")->required()->type_name("");
  app->add_option("--keep", options->keep,
                  "Keep the last so many messages for members who come back; 0: as many as --keep-for says")
      ->option_text("N");
  app->add_option("--keep-for", options->keep_for, "Keep messages for so long: 10m, 7d")->option_text("TIME");
  app->add_option("--require-hook", options->hooks,
                  "Refuse what this hook guards if no application offers it: join, leave, say.receive, say.deliver")
      ->option_text("HOOK")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app->add_option("--hook-timeout", options->hook_timeout, "How long a hook is waited for; by default 2s")
      ->option_text("TIME");
}

void AddLists(CommandTree& tree, CLI::App* room) {
  const auto listed = std::make_shared<ListOptions>();
  CLI::App* const list = tree.AddCommand(
      room,
      {.name = "list",
       .meaning = "List the rooms",
       .example = "actioncluster room list --prefix game.",
       .details = "By name. With --json: {\"rooms\": [{\"room\", \"members_count\": STRING, \"created_at\", "
                  "\"history\", \"hooks\"}],\n\"next_page_token\"}.\n"},
      [listed](const Session& session) { return List(*listed, session); });
  list->add_option("--prefix", listed->name, "Only rooms whose names begin so")->option_text("TEXT");
  AddLimitTo(list, &listed->limit);

  const auto shown = std::make_shared<ListOptions>();
  CLI::App* const status = tree.AddCommand(
      room,
      {.name = "status",
       .meaning = "Show a room, and who is in it",
       .example = "actioncluster room status lobby",
       .details = "With --json: {\"room\", \"members_count\": STRING, \"members\": [MEMBER], \"created_at\", "
                  "\"history\", \"hooks\",\n\"next_page_token\"}, where MEMBER is {\"connection_id\", \"joined_at\", "
                  "\"node_id\", \"type\", \"attributes\": {}}.\n"},
      [shown](const Session& session) { return Status(*shown, session); });
  status->add_option("ROOM", shown->name, "The room's name")->required()->type_name("");
  AddLimitTo(status, &shown->limit);
}

void AddBroadcastCommand(CommandTree& tree, CLI::App* room) {
  const auto options = std::make_shared<BroadcastOptions>();
  CLI::App* const app =
      tree.AddCommand(room,
                      {.name = "broadcast",
                       .meaning = "Say something in a room",
                       .example = R"(actioncluster room broadcast lobby '"dinner is ready"')",
                       .details = "Says how many nodes with members it went to. With --json: {\"receivers\": STRING, "
                                  "\"offset\": STRING}.\n"},
                      [options](const Session& session) { return Broadcast(*options, session); });
  app->add_option("ROOM", options->room, "The room's name")->required()->type_name("");
  AddContentOptions(app, "JSON", "What to say: any JSON value", &options->content);
  app->add_option("--from", options->from, "In the name of this member; by default of the server side")
      ->option_text("ID");
}

}  // namespace

void AddLimitTo(CLI::App* app, uint32_t* limit) {
  app->add_option("--limit", *limit, "At most so many: 1 to 10000; by default 100")
      ->option_text("N")
      ->check(CLI::Range(1U, kMaxListed));
}

void AddRoomCommands(CommandTree& tree, CLI::App* room) {
  AddCreateCommand(tree, room);
  AddByName(
      tree, room,
      {.name = "destroy",
       .meaning = "End a room: its members hear of it, and its history is gone",
       .example = "actioncluster room destroy lobby",
       .details = "With --json: {\"members_count\": STRING}.\n"},
      /*with_connection=*/false, &Rooms::Destroy, +[](const v1::RoomServiceDestroyResponse& response) -> std::string {
        return absl::StrCat("destroyed, with ", response.members_count(), " in it");
      });
  AddByName(
      tree, room,
      {.name = "exists",
       .meaning = "Say whether there is such a room",
       .example = "actioncluster room exists lobby",
       .details = "Prints yes or no; the exit status is 0 with both. With --json: {\"exists\"}.\n"},
      /*with_connection=*/false, &Rooms::Exists,
      +[](const v1::RoomServiceExistsResponse& response) -> std::string { return response.exists() ? "yes" : "no"; });
  AddLists(tree, room);
  AddByName(
      tree, room,
      {.name = "add",
       .meaning = "Put a connection into a room",
       .example = "actioncluster room add lobby ann",
       .details = "With --json: {}.\n"},
      /*with_connection=*/true, &Rooms::AddMember,
      +[](const v1::AddMemberResponse&) -> std::string { return "added"; });
  AddByName(
      tree, room,
      {.name = "remove",
       .meaning = "Take a connection out of a room",
       .example = "actioncluster room remove lobby ann",
       .details = "With --json: {}.\n"},
      /*with_connection=*/true, &Rooms::RemoveMember,
      +[](const v1::RemoveMemberResponse&) -> std::string { return "removed"; });
  AddBroadcastCommand(tree, room);
  const auto watched = std::make_shared<std::string>();
  tree.AddCommand(
          room,
          {.name = "watch",
           .meaning = "Print who is in a room, then who comes and goes, until Ctrl-C",
           .example = "actioncluster room watch lobby",
           .details = "Changes: there (at first, and again when changes may have been lost), joined, left, lost. It "
                      "ends with an error when\n"
                      "its node or the room does. With --json, a line for each change: {\"kind\": \"KIND_JOINED\" …, "
                      "\"members\": [MEMBER],\n\"more\"}.\n"},
          [watched](const Session& session) { return Watch(*watched, session); })
      ->add_option("ROOM", *watched, "The room's name")
      ->required()
      ->type_name("");
}

}  // namespace actioncluster::cli

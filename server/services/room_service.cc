#include "server/services/room_service.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "server/grpc/content.h"
#include "server/grpc/time_proto.h"
#include "server/grpc/unary_call.h"
#include "server/methods/offered_names.h"
#include "server/services/connection_ask.h"
#include "server/services/room_broadcast.h"

namespace actioncluster {
namespace {

constexpr uint32_t kMaxHistory = 10'000;
constexpr absl::Duration kMaxHistoryTime = absl::Hours(7 * 24);
constexpr absl::Duration kDefaultHookTimeout = absl::Seconds(2);
constexpr absl::Duration kMaxHookTimeout = absl::Minutes(1);
constexpr int kDefaultListPage = 100;
constexpr int kMaxPage = 1000;

absl::StatusOr<int> PageSizeOf(int requested, int fallback) {
  if (requested < 0 || requested > kMaxPage) {
    return absl::InvalidArgumentError(absl::StrCat("page_size must be 0 … ", kMaxPage));
  }
  return requested == 0 ? fallback : requested;
}

template <class Request>
absl::Status ValidateMember(const Request& request) {
  if (absl::Status valid = ValidateName(request.connection_id(), "connection_id"); !valid.ok()) return valid;
  return ValidateName(request.room(), "room");
}

template <class Request>
absl::StatusOr<absl::Time> RequestDeadline(const grpc::ServerContextBase& context, const Request& request,
                                           absl::Duration fallback) {
  return DeadlineOf(context, request.has_timeout() ? &request.timeout() : nullptr, fallback, "timeout");
}

absl::StatusOr<std::string> WatchedRoomOf(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer copy = bytes;  // Shares the bytes; parsing empties it.
  v1::WatchRoomRequest request;
  if (!grpc::SerializationTraits<v1::WatchRoomRequest>::Deserialize(&copy, &request).ok()) {
    return absl::InvalidArgumentError("the request is no WatchRoomRequest, or has strings that are not UTF-8");
  }
  if (absl::Status valid = ValidateName(request.room(), "room"); !valid.ok()) return valid;
  return request.room();
}

}  // namespace

absl::StatusOr<internal::v1::RoomRecord> RoomRecordOf(const v1::RoomServiceCreateRequest& request) {
  internal::v1::RoomRecord record;
  if (request.has_history()) {
    const v1::RoomHistory& history = request.history();
    if (history.messages() > kMaxHistory) {
      return absl::InvalidArgumentError(absl::StrCat("history.messages must be at most ", kMaxHistory));
    }
    record.set_history_messages(history.messages() == 0 ? kMaxHistory : history.messages());
    if (history.has_keep_for()) {
      const absl::StatusOr<absl::Duration> keep_for =
          DurationOf(history.keep_for(), absl::Microseconds(1), kMaxHistoryTime, "history.keep_for");
      if (!keep_for.ok()) return keep_for.status();
      record.set_history_us(absl::ToInt64Microseconds(*keep_for));
    }
  }
  for (const std::string& hook : request.hooks().required()) {
    if (!IsHook(hook)) {
      return absl::InvalidArgumentError("hooks.required must be of join, leave, say.receive, say.deliver");
    }
    const auto& known = record.required_hooks();
    if (std::find(known.begin(), known.end(), hook) == known.end()) record.add_required_hooks(hook);
  }
  absl::StatusOr<absl::Duration> timeout = kDefaultHookTimeout;
  if (request.hooks().has_timeout()) {
    timeout = DurationOf(request.hooks().timeout(), absl::Microseconds(1), kMaxHookTimeout, "hooks.timeout");
    if (!timeout.ok()) return timeout.status();
  }
  record.set_hook_timeout_us(absl::ToInt64Microseconds(*timeout));
  return record;
}

grpc::ServerUnaryReactor* RoomService::Create(grpc::CallbackServerContext* context,
                                              const v1::RoomServiceCreateRequest* request,
                                              v1::RoomServiceCreateResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RoomService/Create", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateName(request->room(), "room"); !valid.ok()) return call->Finish(valid);
  absl::StatusOr<internal::v1::RoomRecord> record = RoomRecordOf(*request);
  if (!record.ok()) return call->Finish(record.status());
  rooms_.loop.Post([this, call, response, room = request->room(), record = *std::move(record)] {
    rooms_.store.Create(room, record, [call, response](const absl::StatusOr<absl::Time>& created_at) {
      if (created_at.ok()) *response->mutable_created_at() = TimeToProto(*created_at);
      call->Finish(created_at.status());
    });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* RoomService::Destroy(grpc::CallbackServerContext* context,
                                               const v1::RoomServiceDestroyRequest* request,
                                               v1::RoomServiceDestroyResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RoomService/Destroy", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateName(request->room(), "room"); !valid.ok()) return call->Finish(valid);
  rooms_.loop.Post([this, call, response, room = request->room()] {
    rooms_.store.Destroy(room, [call, response](const absl::StatusOr<int64_t>& members) {
      if (members.ok()) response->set_members_count(static_cast<uint64_t>(*members));
      call->Finish(members.status());
    });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* RoomService::Exists(grpc::CallbackServerContext* context,
                                              const v1::RoomServiceExistsRequest* request,
                                              v1::RoomServiceExistsResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RoomService/Exists", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateName(request->room(), "room"); !valid.ok()) return call->Finish(valid);
  rooms_.loop.Post([this, call, response, room = request->room()] {
    rooms_.store.Read(room, [call, response](const absl::StatusOr<RoomView>& view) {
      response->set_exists(view.ok());
      const bool answered = ReasonOf(view.status()) == v1::ERROR_REASON_ROOM_NOT_FOUND;
      call->Finish(answered ? absl::OkStatus() : view.status());
    });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* RoomService::List(grpc::CallbackServerContext* context,
                                            const v1::RoomServiceListRequest* request,
                                            v1::RoomServiceListResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RoomService/List", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (!request->prefix().empty()) {
    if (absl::Status valid = ValidateName(request->prefix(), "prefix"); !valid.ok()) return call->Finish(valid);
  }
  const absl::StatusOr<int> page_size = PageSizeOf(request->page_size(), kDefaultListPage);
  if (!page_size.ok()) return call->Finish(page_size.status());
  v1::RoomServiceListRequest page = *request;
  page.set_page_size(*page_size);
  rooms_.loop.Post([this, call, response, page = std::move(page)] {
    rooms_.reader.List(page, [call, response](absl::StatusOr<v1::RoomServiceListResponse> rooms) {
      const absl::Status status = rooms.status();
      if (status.ok()) *response = *std::move(rooms);
      call->Finish(status);
    });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* RoomService::Status(grpc::CallbackServerContext* context,
                                              const v1::RoomServiceStatusRequest* request,
                                              v1::RoomServiceStatusResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RoomService/Status", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateName(request->room(), "room"); !valid.ok()) return call->Finish(valid);
  const absl::StatusOr<int> page_size = PageSizeOf(request->page_size(), kMaxPage);
  if (!page_size.ok()) return call->Finish(page_size.status());
  v1::RoomServiceStatusRequest page = *request;
  page.set_page_size(*page_size);
  rooms_.loop.Post([this, call, response, page = std::move(page)] {
    rooms_.reader.Status(page, [call, response](absl::StatusOr<v1::RoomServiceStatusResponse> room) {
      const absl::Status status = room.status();
      if (status.ok()) *response = *std::move(room);
      call->Finish(status);
    });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* RoomService::AddMember(grpc::CallbackServerContext* context,
                                                 const v1::AddMemberRequest* request, v1::AddMemberResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RoomService/AddMember", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateMember(*request); !valid.ok()) return call->Finish(valid);
  const absl::StatusOr<absl::Time> deadline = RequestDeadline(*context, *request, default_timeout_);
  if (!deadline.ok()) return call->Finish(deadline.status());
  RelayToConnection(rooms_.loop, rooms_.rpc, call,
                    {.method = "node.connection.add",
                     .connection_id = request->connection_id(),
                     .request = request->SerializeAsString(),
                     .deadline = *deadline},
                    response);
  return call->reactor();
}

grpc::ServerUnaryReactor* RoomService::RemoveMember(grpc::CallbackServerContext* context,
                                                    const v1::RemoveMemberRequest* request,
                                                    v1::RemoveMemberResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RoomService/RemoveMember", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateMember(*request); !valid.ok()) return call->Finish(valid);
  const absl::StatusOr<absl::Time> deadline = RequestDeadline(*context, *request, default_timeout_);
  if (!deadline.ok()) return call->Finish(deadline.status());
  RelayToConnection(rooms_.loop, rooms_.rpc, call,
                    {.method = "node.connection.remove",
                     .connection_id = request->connection_id(),
                     .request = request->SerializeAsString(),
                     .deadline = *deadline},
                    response);
  return call->reactor();
}

grpc::ServerUnaryReactor* RoomService::Broadcast(grpc::CallbackServerContext* context,
                                                 const v1::BroadcastRequest* request, v1::BroadcastResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RoomService/Broadcast", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = ValidateName(request->room(), "room"); !valid.ok()) return call->Finish(valid);
  absl::StatusOr<Content> content = ValueOf(*request);
  if (!content.ok()) return call->Finish(content.status());
  const absl::StatusOr<absl::Time> deadline = RequestDeadline(*context, *request, default_timeout_);
  if (!deadline.ok()) return call->Finish(deadline.status());
  if (request->from_connection_id().empty()) {
    RoomBroadcast::Start(rooms_.loop, rooms_.store, rooms_.hooks, call,
                         {.room = request->room(), .content = *std::move(content), .deadline = *deadline}, response);
    return call->reactor();
  }
  if (absl::Status valid = ValidateName(request->from_connection_id(), "from_connection_id"); !valid.ok()) {
    return call->Finish(valid);
  }
  RelayToConnection(rooms_.loop, rooms_.rpc, call,
                    {.method = "node.connection.say",
                     .connection_id = request->from_connection_id(),
                     .request = request->SerializeAsString(),
                     .deadline = *deadline},
                    response);
  return call->reactor();
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* RoomService::WatchRoom(grpc::CallbackServerContext* context,
                                                                   const grpc::ByteBuffer* request) {
  absl::Status status = rooms_.authorizer.Admit("/actioncluster.v1.RoomService/WatchRoom", *context);
  std::string room;
  if (status.ok()) {
    absl::StatusOr<std::string> watched = WatchedRoomOf(*request);
    status = watched.status();
    if (watched.ok()) room = *std::move(watched);
  }
  return RoomWatchStream::Start(rooms_.loop, rooms_.watchers, rooms_.offload, status, std::move(room));
}

}  // namespace actioncluster

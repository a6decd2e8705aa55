#include "actioncluster/rooms.h"

#include <algorithm>
#include <utility>

#include "actioncluster/status.h"
#include "client/duration.h"

namespace actioncluster::client {
namespace {

using ConnectionStub = v1::ConnectionService::StubInterface;
using RoomStub = v1::RoomService::StubInterface;

// For the node's answer that the time is over, as with Call.
constexpr absl::Duration kMargin = absl::Seconds(1);

template <class Stub, class Request, class Response>
absl::StatusOr<Response> Send(Client& client, Stub& stub, const Request& request, absl::Duration deadline,
                              grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  grpc::ClientContext context;
  client.Prepare(context, deadline);
  Response response;
  const grpc::Status status = (stub.*call)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

template <class Request, class Response>
absl::StatusOr<Response> Send(Client& client, const Request& request,
                              grpc::Status (RoomStub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  return Send(client, client.rooms(), request, client.options().timeout, call);
}

template <class Request, class Response>
absl::StatusOr<Response> Send(Client& client, const Request& request,
                              grpc::Status (ConnectionStub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  return Send(client, client.connections(), request, client.options().timeout, call);
}

// Of what another node has to do: how long that may take travels with it.
template <class Stub, class Request, class Response>
absl::StatusOr<Response> SendTimed(Client& client, Stub& stub, const Request& request,
                                   grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  if (!request.has_timeout()) {
    Request complete = request;
    *complete.mutable_timeout() = ToProto(client.options().timeout);
    return SendTimed(client, stub, complete, call);
  }
  // A nonsensical timeout is the node's to refuse: it must get there.
  const absl::Duration timeout = std::max(FromProto(request.timeout()), absl::ZeroDuration());
  return Send(client, stub, request, timeout + kMargin, call);
}

}  // namespace

absl::StatusOr<v1::ApplyResponse> Connections::Apply(const v1::ApplyRequest& request) {
  return SendTimed(client_, client_.connections(), request, &ConnectionStub::Apply);
}

absl::StatusOr<v1::InvokeResponse> Connections::Invoke(const v1::InvokeRequest& request) {
  return SendTimed(client_, client_.connections(), request, &ConnectionStub::Invoke);
}

absl::StatusOr<v1::ConnectionServiceGetResponse> Connections::Get(const v1::ConnectionServiceGetRequest& request) {
  return Send(client_, request, &ConnectionStub::Get);
}

absl::StatusOr<v1::ConnectionServiceListResponse> Connections::List(const v1::ConnectionServiceListRequest& request) {
  return Send(client_, request, &ConnectionStub::List);
}

absl::StatusOr<v1::RoomServiceCreateResponse> Rooms::Create(const v1::RoomServiceCreateRequest& request) {
  return Send(client_, request, &RoomStub::Create);
}

absl::StatusOr<v1::RoomServiceDestroyResponse> Rooms::Destroy(const v1::RoomServiceDestroyRequest& request) {
  return Send(client_, request, &RoomStub::Destroy);
}

absl::StatusOr<v1::RoomServiceExistsResponse> Rooms::Exists(const v1::RoomServiceExistsRequest& request) {
  return Send(client_, request, &RoomStub::Exists);
}

absl::StatusOr<v1::RoomServiceListResponse> Rooms::List(const v1::RoomServiceListRequest& request) {
  return Send(client_, request, &RoomStub::List);
}

absl::StatusOr<v1::RoomServiceStatusResponse> Rooms::Status(const v1::RoomServiceStatusRequest& request) {
  return Send(client_, request, &RoomStub::Status);
}

absl::StatusOr<v1::AddMemberResponse> Rooms::AddMember(const v1::AddMemberRequest& request) {
  return SendTimed(client_, client_.rooms(), request, &RoomStub::AddMember);
}

absl::StatusOr<v1::RemoveMemberResponse> Rooms::RemoveMember(const v1::RemoveMemberRequest& request) {
  return SendTimed(client_, client_.rooms(), request, &RoomStub::RemoveMember);
}

absl::StatusOr<v1::BroadcastResponse> Rooms::Broadcast(const v1::BroadcastRequest& request) {
  return SendTimed(client_, client_.rooms(), request, &RoomStub::Broadcast);
}

absl::Status Rooms::Watch(const v1::WatchRoomRequest& request,
                          absl::FunctionRef<bool(const v1::WatchRoomResponse&)> on_change) {
  grpc::ClientContext context;
  client_.Prepare(context, absl::InfiniteDuration());
  const auto stream = client_.rooms().WatchRoom(&context, request);
  for (v1::WatchRoomResponse change; stream->Read(&change);) {
    if (on_change(change)) continue;
    context.TryCancel();
    while (stream->Read(&change)) continue;
    stream->Finish();
    return absl::OkStatus();
  }
  return FromGrpc(stream->Finish());
}

}  // namespace actioncluster::client

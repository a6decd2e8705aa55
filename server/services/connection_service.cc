#include "server/services/connection_service.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/grpc/content.h"
#include "server/grpc/unary_call.h"
#include "server/services/connection_ask.h"
#include "server/services/connection_listing.h"
#include "server/services/connection_stream.h"

namespace actioncluster {
namespace {

constexpr int kDefaultPage = 100;
constexpr int kMaxPage = 1000;

// As ValidateName, but it may be empty.
absl::Status ValidateLength(absl::string_view text, absl::string_view field) {
  return text.empty() ? absl::OkStatus() : ValidateName(text, field);
}

absl::Status Validate(const v1::ApplyRequest& request) {
  if (absl::Status valid = ValidateName(request.connection_id(), "connection_id"); !valid.ok()) return valid;
  if (absl::Status valid = ValidateLength(request.method(), "method"); !valid.ok()) return valid;
  return ArgumentsOf(request).status();
}

absl::Status Validate(const v1::InvokeRequest& request) {
  if (absl::Status valid = ValidateName(request.connection_id(), "connection_id"); !valid.ok()) return valid;
  if (absl::Status valid = ValidateName(request.method(), "method"); !valid.ok()) return valid;
  return ArgumentsOf(request).status();
}

absl::Status Validate(const v1::ConnectionServiceListRequest& request) {
  if (absl::Status valid = ValidateLength(request.node_id(), "node_id"); !valid.ok()) return valid;
  if (absl::Status valid = ValidateLength(request.room(), "room"); !valid.ok()) return valid;
  if (absl::Status valid = ValidateLength(request.type(), "type"); !valid.ok()) return valid;
  if (request.page_size() < 0 || request.page_size() > kMaxPage) {
    return absl::InvalidArgumentError(absl::StrCat("page_size must be 0 … ", kMaxPage));
  }
  return absl::OkStatus();
}

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ConnectionService::Open(
    grpc::CallbackServerContext* context) {
  return ConnectionStream::Start(*context, rooms_.streams, rooms_.offload,
                                 rooms_.authorizer.Admit("/actioncluster.v1.ConnectionService/Open", *context));
}

grpc::ServerUnaryReactor* ConnectionService::Apply(grpc::CallbackServerContext* context,
                                                   const v1::ApplyRequest* request, v1::ApplyResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.ConnectionService/Apply", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = Validate(*request); !valid.ok()) return call->Finish(valid);
  const absl::StatusOr<absl::Time> deadline =
      DeadlineOf(*context, request->has_timeout() ? &request->timeout() : nullptr, default_timeout_, "timeout");
  if (!deadline.ok()) return call->Finish(deadline.status());
  RelayToConnection(rooms_.loop, rooms_.rpc, call,
                    {.method = "node.connection.apply",
                     .connection_id = request->connection_id(),
                     .request = request->SerializeAsString(),
                     .deadline = *deadline},
                    response);
  return call->reactor();
}

grpc::ServerUnaryReactor* ConnectionService::Invoke(grpc::CallbackServerContext* context,
                                                    const v1::InvokeRequest* request, v1::InvokeResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.ConnectionService/Invoke", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = Validate(*request); !valid.ok()) return call->Finish(valid);
  const absl::StatusOr<absl::Time> deadline =
      DeadlineOf(*context, request->has_timeout() ? &request->timeout() : nullptr, default_timeout_, "timeout");
  if (!deadline.ok()) return call->Finish(deadline.status());
  RelayToConnection(rooms_.loop, rooms_.rpc, call,
                    {.method = "node.connection.invoke",
                     .connection_id = request->connection_id(),
                     .request = request->SerializeAsString(),
                     .deadline = *deadline},
                    response);
  return call->reactor();
}

grpc::ServerUnaryReactor* ConnectionService::Get(grpc::CallbackServerContext* context,
                                                 const v1::ConnectionServiceGetRequest* request,
                                                 v1::ConnectionServiceGetResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.ConnectionService/Get", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  v1::ApplyRequest apply;
  apply.set_connection_id(request->connection_id());
  if (absl::Status valid = Validate(apply); !valid.ok()) return call->Finish(valid);
  const absl::StatusOr<absl::Time> deadline = DeadlineOf(*context, nullptr, default_timeout_, "timeout");
  if (!deadline.ok()) return call->Finish(deadline.status());
  AskConnection(rooms_.loop, rooms_.rpc, call,
                {.method = "node.connection.apply",
                 .connection_id = request->connection_id(),
                 .request = apply.SerializeAsString(),
                 .deadline = *deadline},
                [call, response](absl::StatusOr<CallResult> result) {
                  v1::ApplyResponse applied;
                  if (result.ok() && !applied.ParseFromString(result->result.body)) {
                    result = absl::InternalError("a node has answered what is no answer");
                  }
                  *response->mutable_connection() = std::move(*applied.mutable_connection());
                  call->Finish(result.status());
                });
  return call->reactor();
}

grpc::ServerUnaryReactor* ConnectionService::List(grpc::CallbackServerContext* context,
                                                  const v1::ConnectionServiceListRequest* request,
                                                  v1::ConnectionServiceListResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.ConnectionService/List", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  if (absl::Status valid = Validate(*request); !valid.ok()) return call->Finish(valid);
  absl::StatusOr<ConnectionPlace> from = ConnectionPlace::Parse(request->page_token());
  if (!from.ok()) return call->Finish(from.status());
  const absl::StatusOr<absl::Time> deadline = DeadlineOf(*context, nullptr, absl::InfiniteDuration(), "timeout");
  if (!deadline.ok()) return call->Finish(deadline.status());
  v1::ConnectionServiceListRequest page = *request;
  if (page.page_size() == 0) page.set_page_size(kDefaultPage);
  ConnectionListing::Start(rooms_.loop, rooms_.membership, rooms_.rpc, call, page, *std::move(from), *deadline,
                           response);
  return call->reactor();
}

}  // namespace actioncluster

#include "server/services/rpc_service.h"

#include <string>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "server/grpc/content.h"
#include "server/grpc/unary_call.h"
#include "server/methods/node_methods.h"
#include "server/methods/offered_names.h"
#include "server/services/call_all_stream.h"
#include "server/services/serve_stream.h"

namespace actioncluster {
namespace {

absl::Status ValidateMethod(const std::string& method) {
  if (absl::Status valid = ValidateName(method, "method"); !valid.ok()) return valid;
  if (IsNodeMethod(method) && !IsPublicNodeMethod(method)) {
    return MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, absl::StrCat("nodes offer no ", method));
  }
  if (IsReservedName(method)) {
    return MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, absl::StrCat(method, " is not called by its name"));
  }
  return absl::OkStatus();
}

template <class Request>
absl::StatusOr<CallTarget> TargetOf(const Request& request) {
  switch (request.target_case()) {
    case Request::kNodeId:
      if (absl::Status valid = ValidateName(request.node_id(), "node_id"); !valid.ok()) return valid;
      return OneNode{.node_id = request.node_id(), .or_successor = true};
    case Request::kConnectionId:
      if (absl::Status valid = ValidateName(request.connection_id(), "connection_id"); !valid.ok()) return valid;
      return NodeOfConnection{request.connection_id()};
    case Request::kAny:
      if (request.any()) return AnyNode{};
      return AllNodes{};
    case Request::TARGET_NOT_SET:
      return AllNodes{};
  }
  return AllNodes{};
}

// What the requests have in common; the target is not set.
template <class Request>
absl::StatusOr<CallSpec> SpecOf(const Request& request, absl::StatusOr<absl::Time> deadline) {
  if (absl::Status valid = ValidateMethod(request.method()); !valid.ok()) return valid;
  if (!deadline.ok()) return deadline.status();
  absl::StatusOr<Content> arguments = ArgumentsOf(request);
  if (!arguments.ok()) return arguments.status();
  return CallSpec{
      .method = request.method(), .arguments = *std::move(arguments), .target = AllNodes{}, .deadline = *deadline};
}

// A slip would stop the whole cluster.
absl::Status RefuseShutdownOfAll(const CallSpec& spec) {
  if (spec.method != "node.shutdown" || !std::holds_alternative<AllNodes>(spec.target)) return absl::OkStatus();
  return absl::InvalidArgumentError("node.shutdown asks for a target: node_id, connection_id or any");
}

template <class Request>
absl::StatusOr<CallSpec> TargetedSpecOf(const Request& request, absl::StatusOr<absl::Time> deadline) {
  absl::StatusOr<CallSpec> spec = SpecOf(request, std::move(deadline));
  if (!spec.ok()) return spec;
  absl::StatusOr<CallTarget> target = TargetOf(request);
  if (!target.ok()) return target.status();
  spec->target = *std::move(target);
  if (absl::Status valid = RefuseShutdownOfAll(*spec); !valid.ok()) return valid;
  return spec;
}

}  // namespace

grpc::ServerUnaryReactor* RpcService::Call(grpc::CallbackServerContext* context, const v1::CallRequest* request,
                                           v1::CallResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RpcService/Call", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<CallSpec> spec = TargetedSpecOf(
      *request,
      DeadlineOf(*context, request->has_timeout() ? &request->timeout() : nullptr, default_timeout_, "timeout"));
  if (!spec.ok()) return call->Finish(spec.status());
  const CallId id = rooms_.rpc.Call(*std::move(spec), [this, call, response](absl::StatusOr<CallResult> result) {
    if (!result.ok()) {
      call->Finish(result.status());
      return;
    }
    const size_t bytes = result->result.body.size();
    rooms_.offload.Run(bytes, [call, response, result = *std::move(result)]() mutable {
      response->set_node_id(std::move(result.node_id));
      SetResult(std::move(result.result), response);
      call->Finish(absl::OkStatus());
    });
  });
  call->OnCancelled([this, id] { rooms_.rpc.Cancel(id); });
  return call->reactor();
}

grpc::ServerWriteReactor<v1::CallAllResponse>* RpcService::CallAll(grpc::CallbackServerContext* context,
                                                                   const v1::CallAllRequest* request) {
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RpcService/CallAll", *context);
  if (!admitted.ok()) return CallAllStream::Refuse(rooms_.offload, admitted);
  absl::StatusOr<CallSpec> spec =
      SpecOf(*request,
             DeadlineOf(*context, request->has_timeout() ? &request->timeout() : nullptr, default_timeout_, "timeout"));
  if (!spec.ok()) return CallAllStream::Refuse(rooms_.offload, spec.status());
  if (absl::Status valid = RefuseShutdownOfAll(*spec); !valid.ok()) return CallAllStream::Refuse(rooms_.offload, valid);
  return CallAllStream::Start(rooms_.rpc, rooms_.offload, *std::move(spec));
}

grpc::ServerUnaryReactor* RpcService::Notify(grpc::CallbackServerContext* context, const v1::NotifyRequest* request,
                                             v1::NotifyResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RpcService/Notify", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  absl::StatusOr<CallSpec> spec = TargetedSpecOf(*request, DeadlineOf(*context, nullptr, default_timeout_, "timeout"));
  if (!spec.ok()) return call->Finish(spec.status());
  rooms_.rpc.Notify(*std::move(spec), [call, response](absl::StatusOr<int> receivers) {
    if (receivers.ok()) response->set_receivers(*receivers);
    call->Finish(receivers.status());
  });
  return call->reactor();
}

grpc::ServerBidiReactor<v1::ServeRequest, v1::ServeResponse>* RpcService::Serve(grpc::CallbackServerContext* context) {
  return ServeStream::Start(rooms_.loop, rooms_.membership, rooms_.host, rooms_.offload,
                            rooms_.authorizer.Admit("/actioncluster.v1.RpcService/Serve", *context));
}

grpc::ServerUnaryReactor* RpcService::ListMethods(grpc::CallbackServerContext* context,
                                                  const v1::ListMethodsRequest* request,
                                                  v1::ListMethodsResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.RpcService/ListMethods", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  rooms_.loop.Post([this, call, response, prefix = request->prefix()] {
    rooms_.membership.Sync([this, call, response, prefix](const absl::Status& status) {
      if (!status.ok()) {
        call->Finish(status);
        return;
      }
      for (const auto& [name, node_ids] : rooms_.membership.directory().Methods()) {
        if (!absl::StartsWith(name, prefix)) continue;
        v1::ListMethodsResponse::Method* method = response->add_methods();
        method->set_name(name);
        for (const std::string& node_id : node_ids) method->add_node_ids(node_id);
      }
      call->Finish(absl::OkStatus());
    });
  });
  return call->reactor();
}

}  // namespace actioncluster

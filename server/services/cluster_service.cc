#include "server/services/cluster_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "google/protobuf/struct.pb.h"
#include "server/services/node_proto.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kDefaultDrainTimeout = absl::Seconds(10);
// The other node counts down the timeout itself; its answer needs a moment more.
constexpr absl::Duration kAnswerTime = absl::Seconds(2);

}  // namespace

grpc::ServerUnaryReactor* ClusterService::ListNodes(grpc::CallbackServerContext* context, const v1::ListNodesRequest*,
                                                    v1::ListNodesResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.ClusterService/ListNodes", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  rooms_.loop.Post([this, call, response] {
    rooms_.membership.List([call, response](absl::StatusOr<std::vector<Membership::Snapshot>> nodes) {
      if (nodes.ok()) {
        std::sort(nodes->begin(), nodes->end(),
                  [](const auto& a, const auto& b) { return a.record.id() < b.record.id(); });
        for (const Membership::Snapshot& node : *nodes) *response->add_nodes() = NodeToProto(node);
      }
      call->Finish(nodes.status());
    });
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* ClusterService::GetNode(grpc::CallbackServerContext* context,
                                                  const v1::GetNodeRequest* request, v1::GetNodeResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.ClusterService/GetNode", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  rooms_.loop.Post([this, call, response, asked = request->node_id()] {
    const std::string node_id = asked.empty() ? rooms_.membership.self().id : asked;
    if (node_id.empty()) {
      call->Finish(BackplaneUnavailable("this node has not joined yet"));
      return;
    }
    rooms_.membership.List([this, call, response, node_id](absl::StatusOr<std::vector<Membership::Snapshot>> nodes) {
      if (!nodes.ok()) {
        call->Finish(nodes.status());
        return;
      }
      const auto node = std::find_if(nodes->begin(), nodes->end(),
                                     [&](const Membership::Snapshot& n) { return n.record.id() == node_id; });
      if (node == nodes->end()) {
        // Not there is not yet gone: after an outage of Redis it may only not have come back.
        const absl::Status verdict = rooms_.membership.Verdict();
        call->Finish(verdict.ok()
                         ? MakeError(v1::ERROR_REASON_NODE_NOT_FOUND, absl::StrCat("no live node is called ", node_id))
                         : verdict);
        return;
      }
      *response->mutable_node() = NodeToProto(*node);
      call->Finish(absl::OkStatus());
    });
  });
  return call->reactor();
}

grpc::ServerWriteReactor<v1::WatchNodesResponse>* ClusterService::WatchNodes(grpc::CallbackServerContext* context,
                                                                             const v1::WatchNodesRequest*) {
  return NodeStream::Start(rooms_.loop, rooms_.watchers, rooms_.offload,
                           rooms_.authorizer.Admit("/actioncluster.v1.ClusterService/WatchNodes", *context));
}

grpc::ServerUnaryReactor* ClusterService::Drain(grpc::CallbackServerContext* context, const v1::DrainRequest* request,
                                                v1::DrainResponse* response) {
  auto* call = UnaryCall::Start();
  absl::Status admitted = rooms_.authorizer.Admit("/actioncluster.v1.ClusterService/Drain", *context);
  if (!admitted.ok()) return call->Finish(admitted);
  const absl::StatusOr<absl::Time> deadline =
      DeadlineOf(*context, request->has_timeout() ? &request->timeout() : nullptr, kDefaultDrainTimeout, "timeout");
  if (!deadline.ok()) return call->Finish(deadline.status());
  rooms_.loop.Post([this, call, response, deadline = *deadline, node_id = request->node_id()] {
    const absl::Duration timeout = std::max(deadline - MonotonicNow(), absl::ZeroDuration());
    if (!node_id.empty() && node_id != rooms_.membership.self().id) return DrainOther(call, node_id, timeout, response);
    rooms_.drain.Begin(timeout, [call, response](uint32_t running) {
      response->set_calls_running(running);
      call->Finish(absl::OkStatus());
    });
  });
  return call->reactor();
}

void ClusterService::DrainOther(UnaryCall* call, const std::string& node_id, absl::Duration timeout,
                                v1::DrainResponse* response) {
  google::protobuf::ListValue arguments;
  arguments.add_values()->set_number_value(absl::ToDoubleSeconds(timeout));
  const CallId id = rooms_.rpc.Call({.method = "node.drain",
                                     .arguments = {.kind = Content::Kind::kJson, .body = arguments.SerializeAsString()},
                                     .target = OneNode{node_id},
                                     .deadline = MonotonicNow() + timeout + kAnswerTime},
                                    [call, response](absl::StatusOr<CallResult> result) {
                                      google::protobuf::Value running;
                                      if (result.ok() && running.ParseFromString(result->result.body)) {
                                        response->set_calls_running(static_cast<uint32_t>(running.number_value()));
                                      }
                                      call->Finish(result.status());
                                    });
  // Or a client that has given up would hold up the stop of this node.
  call->OnCancelled([this, id] { rooms_.rpc.Cancel(id); });
}

}  // namespace actioncluster

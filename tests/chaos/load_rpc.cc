#include "tests/chaos/load_rpc.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "actioncluster/json.h"
#include "actioncluster/status.h"
#include "glog/logging.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {
namespace {

constexpr size_t kAny = 3;
constexpr size_t kClients = kAny + 1;
constexpr char kMethod[] = "chaos.echo";

}  // namespace

RpcLoad::RpcLoad(LoadOptions options) : Load("calls", std::move(options), kClients), numbers_(kClients) {
  for (size_t client = 0; client < kClients; ++client) clients_.push_back(NewClient(client));
}

void RpcLoad::Start() {
  for (size_t host = 0; host < options().addresses.size(); ++host) {
    serving_.push_back(NewClient(host));
    client::Handler handler = client::Returning([this](const v1::ServeResponse::Call& call) { return Answer(call); });
    hosts_.push_back(std::make_unique<client::MethodHost>(
        *serving_.back(), std::map<std::string, client::Handler>{{kMethod, std::move(handler)}}));
    const absl::Status attached = hosts_.back()->AwaitAttached(cluster::kPatience);
    CHECK(attached.ok()) << attached;
  }
  for (size_t client = 0; client < kAny; ++client) AddClient([this](size_t i) { CallAny(i); });
  AddClient([this](size_t i) { CallNode(i); });
}

bool RpcLoad::Stop(absl::Duration limit) {
  if (!StopClients(limit)) return false;
  for (const auto& host : hosts_) host->Stop(limit);
  return true;
}

absl::StatusOr<google::protobuf::Value> RpcLoad::Answer(const v1::ServeResponse::Call& call) {
  absl::MutexLock lock(&mutex_);
  ++executed_[call.args().values(0).string_value()];
  return call.args().values(0);
}

// By the stub, so that the call has the very deadline that the node is told, and not a second more.
absl::StatusOr<v1::CallResponse> RpcLoad::Call(size_t client, const v1::CallRequest& request) {
  grpc::ClientContext context;
  clients_[client]->Prepare(context, options().timeout);
  v1::CallResponse response;
  const grpc::Status status = clients_[client]->rpc().Call(&context, request, &response);
  if (!status.ok()) return client::FromGrpc(status);
  return response;
}

void RpcLoad::CallAny(size_t client) {
  const std::string id = absl::StrCat(client, "-", ++numbers_[client]);
  v1::CallRequest request;
  request.set_method(kMethod);
  *request.mutable_args() = client::Args(id);
  request.set_any(true);
  (void)meter_.Do(client, options().timeout, [&] {
    const absl::StatusOr<v1::CallResponse> response = Call(client, request);
    if (response.ok()) {
      absl::MutexLock lock(&mutex_);
      unexecuted_ += response->result().string_value() != id || !executed_.contains(id) ? 1 : 0;
    }
    return response.status();
  });
}

void RpcLoad::CallNode(size_t client) {
  v1::CallRequest request;
  request.set_method("node.ping");
  request.set_node_id(options().node_ids[Choose(random(client), 0, options().node_ids.size() - 1)]);
  (void)meter_.Do(client, options().timeout, [&] { return Call(client, request).status(); });
}

void RpcLoad::Judge(KindResult& result) {
  absl::MutexLock lock(&mutex_);
  result.executed = static_cast<int64_t>(executed_.size());
  result.lost = unexecuted_;
  for (const auto& [id, times] : executed_) result.duplicated += times - 1;
}

}  // namespace actioncluster::chaos

#include "tests/bench/idle_streams.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "actioncluster/v1/connections.grpc.pb.h"
#include "glog/logging.h"
#include "tests/bench/table.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"
#include "tests/cluster/ports.h"

namespace actioncluster::bench {
namespace {

using cluster::RawClient;

constexpr int kStreamsPerChannel = 100;
constexpr int kWarmUp = 200;  // Streams that are not counted: the first ones bring threads and tables along.
constexpr int64_t kPage = 4096;

class BareStream final : public grpc::ServerBidiReactor<v1::OpenRequest, v1::OpenResponse> {
 public:
  BareStream() { StartRead(&request_); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    response_.mutable_welcome()->mutable_connection()->set_id(request_.hello().id());
    StartWrite(&response_);
    StartRead(&request_);
  }
  void OnDone() override { delete this; }

  v1::OpenRequest request_;
  v1::OpenResponse response_;
};

class BareStreams final : public v1::ConnectionService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::OpenRequest, v1::OpenResponse>* Open(grpc::CallbackServerContext*) override {
    return new BareStream;
  }
};

int64_t Resident(pid_t pid) {
  const std::vector<std::string> words = absl::StrSplit(cluster::ReadFile(absl::StrCat("/proc/", pid, "/statm")), ' ');
  int64_t pages = 0;
  CHECK(absl::SimpleAtoi(words.at(1), &pages));
  return pages * kPage;
}

// What each of so many streams takes of the process's memory, in bytes; `enter` is done by each.
double BytesEach(pid_t pid, const std::function<std::shared_ptr<grpc::Channel>()>& connect, int count,
                 const std::function<void(RawClient& client)>& enter) {
  std::vector<std::unique_ptr<v1::ConnectionService::Stub>> stubs;
  std::vector<std::unique_ptr<RawClient>> clients;
  const auto open = [&](int more) {
    const size_t first = clients.size();
    for (int i = 0; i < more; ++i) {
      if (clients.size() % kStreamsPerChannel == 0) stubs.push_back(v1::ConnectionService::NewStub(connect()));
      clients.push_back(std::make_unique<RawClient>(
          *stubs.back(), cluster::HelloOf(absl::StrCat("client-", clients.size())), RawClient::Options{}));
    }
    for (size_t i = first; i < clients.size(); ++i)
      CHECK(clients[i]->AwaitWelcomeOrEnd().has_value()) << cluster::Describe(clients[i]->AwaitEnd());
    for (size_t i = first; i < clients.size(); ++i) enter(*clients[i]);
  };
  open(kWarmUp);
  const int64_t before = Resident(pid);
  open(count);
  return static_cast<double>(Resident(pid) - before) / count;
}

}  // namespace

int ServeStreams(const std::string& address) {
  BareStreams streams;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&streams);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::puts("ready");
  std::fflush(stdout);
  server->Wait();
  return 0;
}

bool MeasureIdle(int connections) {
  double bare = 0;
  {
    const cluster::Ports port(1);
    const std::string address = absl::StrCat("127.0.0.1:", port.first());
    const auto server = StartRole({"streams", address});
    const auto connect = [&address] {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    };
    bare = BytesEach(server->pid(), connect, connections, [](RawClient&) {});
  }
  std::printf("memory: a bare stream %.1f KiB\n", bare / 1024);
  for (const bool in_room : {false, true}) {
    cluster::Cluster nodes(1, {.lease = absl::Seconds(5), .flags = {}, .redis = {}});
    const cluster::Node& node = nodes.node(1);
    cluster::CreateRoom(node, "hall");
    const double each = BytesEach(
        node.pid(), [&node] { return node.NewChannel(); }, connections,
        [in_room](RawClient& client) {
          if (in_room) client.Done("roomAdd", R"(["hall"])");
        });
    std::printf("memory: a connection%s %.1f KiB, %.1f KiB over a bare stream\n", in_room ? " in a room" : "",
                each / 1024, (each - bare) / 1024);
    std::fflush(stdout);
  }
  return true;
}

}  // namespace actioncluster::bench

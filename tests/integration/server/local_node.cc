#include "tests/integration/server/local_node.h"

#include <grpcpp/create_channel.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "server/services/cache_service.h"
#include "server/services/cluster_service.h"
#include "server/services/connection_service.h"
#include "server/services/pubsub_service.h"
#include "server/services/room_service.h"
#include "server/services/rpc_service.h"
#include "server/services/task_service.h"

namespace actioncluster {
namespace {

std::string NewAddress() {
  static std::atomic<int> number = 0;
  return absl::StrCat("unix:/tmp/actioncluster-test-", getpid(), "-", ++number, ".sock");
}

}  // namespace

struct LocalNode::Services {
  std::optional<RpcService> rpc;
  std::optional<ClusterService> cluster;
  std::optional<PubSubService> pubsub;
  std::optional<TaskService> task;
  std::optional<CacheService> cache;
  std::optional<ConnectionService> connection;
  std::optional<RoomService> room;
};

LocalNode::LocalNode(const redis::Endpoint& endpoint, const Settings& settings)
    : services_(std::make_unique<Services>()) {
  redis::LinkOptions link;
  link.endpoint = endpoint;
  absl::StatusOr<Sealer> sealer = Sealer::Create("a server token of tests", settings.cluster_namespace);
  CHECK(sealer.ok()) << sealer.status();
  address_ = NewAddress();
  MembershipOptions self;
  self.self.add_addresses(address_);
  const fakes::Waiter<absl::Status> joined;
  io_.Run([&] {
    rooms_ = std::make_unique<Rooms>(
        io_.loop(), settings, std::move(link), *std::move(sealer), std::move(self),
        Rooms::Hooks{
            .shutdown = [this] { shutdowns_.Add(true); }, .on_serving = [](bool) {}, .named = [](const NodeRef&) {}});
    rooms_->membership.Join(joined.Callback());
  });
  const absl::Status status = joined.Next();
  CHECK(status.ok()) << status;
  id_ = io_.Run([this] { return rooms_->membership.self().id; });
  offload_.emplace();
  services_->rpc.emplace(RpcService::Rooms{.loop = io_.loop(),
                                           .rpc = rooms_->rpc,
                                           .membership = rooms_->membership,
                                           .host = rooms_->host,
                                           .authorizer = authorizer_,
                                           .offload = *offload_},
                         settings.rpc_timeout);
  services_->cluster.emplace(ClusterService::Rooms{.loop = io_.loop(),
                                                   .membership = rooms_->membership,
                                                   .rpc = rooms_->rpc,
                                                   .drain = rooms_->drain,
                                                   .watchers = rooms_->watchers,
                                                   .authorizer = authorizer_,
                                                   .offload = *offload_});
  services_->pubsub.emplace(PubSubService::Rooms{.loop = io_.loop(),
                                                 .pubsub = rooms_->pubsub,
                                                 .subscribers = rooms_->subscribers,
                                                 .authorizer = authorizer_,
                                                 .offload = *offload_});
  services_->task.emplace(TaskService::Rooms{.loop = io_.loop(),
                                             .store = rooms_->tasks,
                                             .watchers = rooms_->task_watchers,
                                             .workers = rooms_->workers,
                                             .rpc = rooms_->rpc,
                                             .clock = rooms_->bus.clock(),
                                             .authorizer = authorizer_,
                                             .offload = *offload_});
  services_->cache.emplace(
      CacheService::Rooms{.loop = io_.loop(),
                          .cache = rooms_->cache,
                          .scan = rooms_->cache_scan,
                          .restorer = rooms_->cache_restorer,
                          .near = rooms_->near_cache.get(),
                          .pipelines = rooms_->cache_pipelines,
                          .waits = rooms_->cache_waits,
                          .authorizer = authorizer_,
                          .offload = *offload_,
                          .restore_dir = settings.data_dir.empty() ? testing::TempDir() : settings.data_dir},
      CacheLimitsOf(settings));
  services_->connection.emplace(ConnectionService::Rooms{.loop = io_.loop(),
                                                         .membership = rooms_->membership,
                                                         .rpc = rooms_->rpc,
                                                         .streams = rooms_->connection_streams,
                                                         .authorizer = authorizer_,
                                                         .offload = *offload_},
                                settings.rpc_timeout);
  services_->room.emplace(RoomService::Rooms{.loop = io_.loop(),
                                             .store = rooms_->room_store,
                                             .hooks = rooms_->room_hooks,
                                             .reader = rooms_->room_reader,
                                             .watchers = rooms_->room_watchers,
                                             .rpc = rooms_->rpc,
                                             .authorizer = authorizer_,
                                             .offload = *offload_},
                          settings.rpc_timeout);
  absl::StatusOr<std::unique_ptr<PublicServer>> server =
      PublicServer::Start(address_, PublicServer::Port::kOwn,
                          {&*services_->rpc, &*services_->cluster, &*services_->pubsub, &*services_->task,
                           &*services_->cache, &*services_->connection, &*services_->room},
                          MaxReceiveBytes(settings));
  CHECK(server.ok()) << server.status();
  server_ = *std::move(server);
  const std::shared_ptr<grpc::Channel> channel = NewChannel();
  rpc_stub_ = v1::RpcService::NewStub(channel);
  cluster_stub_ = v1::ClusterService::NewStub(channel);
  pubsub_stub_ = v1::PubSubService::NewStub(channel);
  task_stub_ = v1::TaskService::NewStub(channel);
  cache_stub_ = v1::CacheService::NewStub(channel);
  connection_stub_ = v1::ConnectionService::NewStub(channel);
  room_stub_ = v1::RoomService::NewStub(channel);
}

std::shared_ptr<grpc::Channel> LocalNode::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 << 20);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
}

LocalNode::~LocalNode() {
  const fakes::Waiter<absl::Status> left;
  io_.Run([&] {
    rooms_->CloseStreams(absl::UnavailableError("the test ends"));
    rooms_->workers.Flush(absl::Seconds(2), [this, &left] { rooms_->membership.Leave(left.Callback()); });
  });
  const absl::Status status = left.Next();
  LOG_IF(ERROR, !status.ok()) << status;
  server_.reset();
  offload_.reset();
  io_.Run([this] { rooms_.reset(); });
}

}  // namespace actioncluster

#include "server/node.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/redis/endpoint.h"
#include "glog/logging.h"
#include "server/config/version.h"
#include "server/grpc/authorizer.h"
#include "server/grpc/offload.h"
#include "server/grpc/public_server.h"
#include "server/rooms.h"
#include "server/services/cache_service.h"
#include "server/services/cluster_service.h"
#include "server/services/connection_service.h"
#include "server/services/pubsub_service.h"
#include "server/services/room_service.h"
#include "server/services/rpc_service.h"
#include "server/services/task_service.h"
#include "server/supervisor/worker_files.h"

namespace actioncluster {
namespace {

// How long calls that still run then, and streams that are told to end, may take before they are cut.
constexpr absl::Duration kGrace = absl::Seconds(1);
// How long outcomes of tasks may take to be recorded when the node stops.
constexpr absl::Duration kHandIn = absl::Seconds(2);
// Past the drain, all of a stop is quick; a process that does not get there is ended by SIGALRM.
constexpr absl::Duration kStopLimit = absl::Seconds(10);

// The main thread's ear: signals, and nudges from other threads, as one queue.
class Ear {
 public:
  // Blocks the signals for this thread and all that it starts.
  Ear() {
    sigemptyset(&set_);
    for (const int signal : {SIGTERM, SIGINT, kNudge}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  // Any thread.
  static void Nudge() { kill(getpid(), kNudge); }
  enum class Heard { kNothing, kNudge, kStop };
  // Nothing: none of the signals within `patience`.
  Heard Wait(absl::Duration patience) const {
    const timespec limit = absl::ToTimespec(std::max(patience, absl::ZeroDuration()));
    const int signal = sigtimedwait(&set_, nullptr, &limit);
    if (signal < 0) return Heard::kNothing;  // EAGAIN, or EINTR by a stop and a continuation.
    return signal == kNudge ? Heard::kNudge : Heard::kStop;
  }

 private:
  static constexpr int kNudge = SIGUSR1;
  sigset_t set_;
};

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "localhost";
}

// The host that others are told.
std::string AdvertisedHost(const Settings& settings) {
  if (!settings.advertise.empty()) return settings.advertise;
  return settings.host == "0.0.0.0" || settings.host == "::" ? HostName() : settings.host;
}

std::string Address(const std::string& host, int port) {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

class Node {
 public:
  Node(const Settings& settings, WorkerSlot slot)
      : settings_(settings),
        slot_(std::move(slot)),
        own_address_(Address(settings.host, settings.port + slot_.index)),
        shared_address_(Address(settings.host, settings.port)) {}

  absl::Status Run();

 private:
  absl::Status Build();
  absl::Status Serve();
  // False: something still runs, so that nothing that it stands on may go.
  bool Stop() ABSL_LOCKS_EXCLUDED(mutex_);
  void Drain() ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends streams, and hands in what workers have said and had.
  void EndStreams();
  void Leave();
  bool AwaitServers(absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);

  // Runs `work` on the I/O thread and waits for it.
  void OnLoop(absl::AnyInvocable<void() &&> work) {
    absl::Notification done;
    loop_.Post([&] {
      std::move(work)();
      done.Notify();
    });
    done.WaitForNotification();
  }
  void SetServing(bool serving) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Listen(const std::string& address, PublicServer::Port port) ABSL_LOCKS_EXCLUDED(mutex_);

  const Settings& settings_;
  WorkerSlot slot_;
  const std::string own_address_;
  const std::string shared_address_;
  const Ear ear_;

  Loop loop_;
  std::thread io_thread_;
  std::unique_ptr<WorkerFiles> files_;  // I/O thread, while it runs.
  std::unique_ptr<Rooms> rooms_;        // The pointer is main's, what it points to the I/O thread's.

  std::optional<Authorizer> authorizer_;
  std::optional<Offload> offload_;     // Converts large bodies.
  std::optional<Offload> deliveries_;  // Writes to subscribers and clients.
  std::optional<RpcService> rpc_service_;
  std::optional<ClusterService> cluster_service_;
  std::optional<PubSubService> pubsub_service_;
  std::optional<TaskService> task_service_;
  std::optional<CacheService> cache_service_;
  std::optional<ConnectionService> connection_service_;
  std::optional<RoomService> room_service_;

  absl::Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> joined_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<PublicServer>> servers_ ABSL_GUARDED_BY(mutex_);
};

absl::Status Node::Run() {
  if (absl::Status built = Build(); !built.ok()) return built;
  absl::Status served = Serve();
  if (Stop()) return served;
  // What clients are to hear is that their connection is gone. gRPC would say CANCELLED, and that is for what was never begun, so that they may repeat it.
  OnLoop([this] {
    LOG(WARNING) << "node ends with calls or streams that do not";
    files_.reset();
  });
  _exit(served.ok() ? 0 : 1);
}

absl::Status Node::Build() {
  absl::StatusOr<redis::Endpoint> endpoint = redis::ParseEndpoint(settings_.redis);
  if (!endpoint.ok()) return endpoint.status();
  absl::StatusOr<std::string> server_token = ReadTokenFile(settings_.server_token_file);
  if (!server_token.ok()) return server_token.status();
  absl::StatusOr<Sealer> sealer = Sealer::Create(*server_token, settings_.cluster_namespace);
  if (!sealer.ok()) return sealer.status();
  std::string api_token;
  if (!settings_.api_token_file.empty()) {
    absl::StatusOr<std::string> token = ReadTokenFile(settings_.api_token_file);
    if (!token.ok()) return token.status();
    api_token = *std::move(token);
  }
  absl::StatusOr<std::unique_ptr<WorkerFiles>> files = WorkerFiles::Open(settings_.data_dir, slot_.index);
  if (!files.ok()) return files.status();
  files_ = *std::move(files);

  redis::LinkOptions link;
  link.endpoint = *std::move(endpoint);
  link.tls_files = RedisTlsFiles(settings_);
  link.client_name = absl::StrCat("actioncluster-", getpid());
  link.ack_replicas = settings_.ack_replicas;
  link.ack_timeout = settings_.ack_timeout;
  MembershipOptions self{.succeeds_boot = files_->last_boot(), .lease = settings_.lease, .self = {}};
  self.self.set_host(HostName());
  self.self.set_pid(getpid());
  self.self.set_version(std::string(Version()));
  self.self.add_addresses(Address(AdvertisedHost(settings_), settings_.port + slot_.index));
  self.self.add_addresses(Address(AdvertisedHost(settings_), settings_.port));

  authorizer_.emplace(api_token);
  offload_.emplace();
  deliveries_.emplace();
  // Until the node has a name, and so a log file, its log is the supervisor's standard error: people read that.
  FLAGS_minloglevel = google::GLOG_WARNING;
  io_thread_ = std::thread([this] { loop_.Run(); });
  OnLoop([&] {
    rooms_ = std::make_unique<Rooms>(loop_, settings_, link, *std::move(sealer), std::move(self),
                                     Rooms::Hooks{.shutdown = [] { kill(getpid(), SIGTERM); },
                                                  .on_serving = [this](bool serving) { SetServing(serving); },
                                                  .named =
                                                      [this](const NodeRef& node) {
                                                        const absl::Status named = files_->Named(node.id, node.boot);
                                                        FLAGS_minloglevel = google::GLOG_INFO;
                                                        LOG_IF(ERROR, !named.ok()) << "pid and log files: " << named;
                                                        LOG(INFO)
                                                            << "node serves id=" << node.id << " boot=" << node.boot
                                                            << " own=" << own_address_ << " shared=" << shared_address_;
                                                      }});
  });
  rpc_service_.emplace(RpcService::Rooms{.loop = loop_,
                                         .rpc = rooms_->rpc,
                                         .membership = rooms_->membership,
                                         .host = rooms_->host,
                                         .authorizer = *authorizer_,
                                         .offload = *offload_},
                       settings_.rpc_timeout);
  cluster_service_.emplace(ClusterService::Rooms{.loop = loop_,
                                                 .membership = rooms_->membership,
                                                 .rpc = rooms_->rpc,
                                                 .drain = rooms_->drain,
                                                 .watchers = rooms_->watchers,
                                                 .authorizer = *authorizer_,
                                                 .offload = *offload_});
  pubsub_service_.emplace(PubSubService::Rooms{.loop = loop_,
                                               .pubsub = rooms_->pubsub,
                                               .subscribers = rooms_->subscribers,
                                               .authorizer = *authorizer_,
                                               .offload = *deliveries_});
  task_service_.emplace(TaskService::Rooms{.loop = loop_,
                                           .store = rooms_->tasks,
                                           .watchers = rooms_->task_watchers,
                                           .workers = rooms_->workers,
                                           .rpc = rooms_->rpc,
                                           .clock = rooms_->bus.clock(),
                                           .authorizer = *authorizer_,
                                           .offload = *offload_});
  cache_service_.emplace(CacheService::Rooms{.loop = loop_,
                                             .cache = rooms_->cache,
                                             .scan = rooms_->cache_scan,
                                             .restorer = rooms_->cache_restorer,
                                             .near = rooms_->near_cache.get(),
                                             .pipelines = rooms_->cache_pipelines,
                                             .waits = rooms_->cache_waits,
                                             .authorizer = *authorizer_,
                                             .offload = *offload_,
                                             .restore_dir = settings_.data_dir},
                         CacheLimitsOf(settings_));
  connection_service_.emplace(ConnectionService::Rooms{.loop = loop_,
                                                       .membership = rooms_->membership,
                                                       .rpc = rooms_->rpc,
                                                       .streams = rooms_->connection_streams,
                                                       .authorizer = *authorizer_,
                                                       .offload = *deliveries_},
                              settings_.rpc_timeout);
  room_service_.emplace(RoomService::Rooms{.loop = loop_,
                                           .store = rooms_->room_store,
                                           .hooks = rooms_->room_hooks,
                                           .reader = rooms_->room_reader,
                                           .watchers = rooms_->room_watchers,
                                           .rpc = rooms_->rpc,
                                           .authorizer = *authorizer_,
                                           .offload = *deliveries_},
                        settings_.rpc_timeout);
  return absl::OkStatus();
}

// Its own port first, as that may be taken; the shared one only when the node can serve what comes.
absl::Status Node::Serve() {
  if (absl::Status listening = Listen(own_address_, PublicServer::Port::kOwn); !listening.ok()) return listening;
  loop_.Post([this] {
    rooms_->membership.Join([this](absl::Status status) {
      absl::MutexLock lock(&mutex_);
      joined_ = std::move(status);
      Ear::Nudge();
    });
  });
  bool shared = false;
  bool ready = false;
  absl::Time alive_at = MonotonicNow();
  for (Ear::Heard heard; (heard = ear_.Wait(alive_at - MonotonicNow())) != Ear::Heard::kStop;) {
    if (MonotonicNow() >= alive_at) {
      // An I/O thread that hangs keeps us here: that is what silence says.
      OnLoop([] {});
      if (slot_.on_alive != nullptr) slot_.on_alive();
      alive_at = MonotonicNow() + kAliveEvery;
    }
    if (heard == Ear::Heard::kNothing) continue;
    bool serving;
    {
      absl::MutexLock lock(&mutex_);
      if (!joined_.has_value()) continue;
      if (!joined_->ok()) return *joined_;
      serving = serving_;
    }
    if (!shared) {
      if (absl::Status listening = Listen(shared_address_, PublicServer::Port::kShared); !listening.ok())
        return listening;
      shared = true;
    }
    if (!serving || ready) continue;
    ready = true;
    std::string node_id;
    OnLoop([&] { node_id = rooms_->membership.self().id; });
    slot_.on_ready(node_id, absl::StrJoin({own_address_, shared_address_}, " "));
  }
  return absl::OkStatus();
}

void Node::Drain() {
  {
    absl::MutexLock lock(&mutex_);
    // Who has not joined has nothing to finish, and nobody to tell.
    if (!joined_.has_value() || !joined_->ok()) return;
  }
  absl::Notification drained;
  loop_.Post([&] {
    const auto done = [&drained](uint32_t running) {
      LOG_IF(WARNING, running > 0) << "stopping with calls or tasks that still run running=" << running;
      drained.Notify();
    };
    rooms_->drain.Begin(settings_.drain_timeout, done, DrainSequence::Calls::kAreOver);
  });
  drained.WaitForNotification();
}

bool Node::Stop() {
  alarm(static_cast<unsigned>(absl::ToInt64Seconds(settings_.drain_timeout + kStopLimit)));
  {
    // First, so that clients make their calls elsewhere while all is here that those need which have come.
    absl::MutexLock lock(&mutex_);
    for (const auto& server : servers_) server->BeginShutdown();
  }
  Drain();
  EndStreams();
  // Calls that came as the drain ended must not find this node out of the cluster.
  bool ended = AwaitServers(kGrace);
  Leave();
  // Calls that wait for other nodes end by that.
  ended = ended || AwaitServers(kGrace);
  if (!ended) return false;
  {
    absl::MutexLock lock(&mutex_);
    servers_.clear();
  }
  offload_.reset();
  deliveries_.reset();
  OnLoop([this] {
    rooms_.reset();
    LOG(INFO) << "node stopped";
    files_.reset();
  });
  loop_.Stop();
  io_thread_.join();
  return true;
}

void Node::EndStreams() {
  absl::Notification handed_in;
  loop_.Post([&] {
    rooms_->CloseStreams(BackplaneUnavailable("this node is stopping"));
    // Before the boot is gone.
    rooms_->workers.Flush(kHandIn, [&handed_in] { handed_in.Notify(); });
  });
  handed_in.WaitForNotification();
}

void Node::Leave() {
  absl::Notification left;
  loop_.Post([&] {
    const bool joined = !rooms_->membership.self().boot.empty();
    rooms_->membership.Leave([this, joined, &left](const absl::Status& status) {
      LOG_IF(WARNING, !status.ok()) << "the lease is not given back, and will run out: " << status;
      // A node that never joined still knows of a boot to succeed.
      if (status.ok() && joined) files_->Left();
      left.Notify();
    });
  });
  left.WaitForNotification();
}

bool Node::AwaitServers(absl::Duration limit) {
  const absl::Time until = MonotonicNow() + limit;
  std::vector<PublicServer*> servers;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& server : servers_) servers.push_back(server.get());
  }
  return std::all_of(servers.begin(), servers.end(),
                     [&](PublicServer* server) { return server->AwaitShutdown(until - MonotonicNow()); });
}

void Node::SetServing(bool serving) {
  absl::MutexLock lock(&mutex_);
  serving_ = serving;
  for (const auto& server : servers_) server->SetServing(serving);
  Ear::Nudge();
}

absl::Status Node::Listen(const std::string& address, PublicServer::Port port) {
  absl::StatusOr<std::unique_ptr<PublicServer>> server =
      PublicServer::Start(address, port,
                          {&*rpc_service_, &*cluster_service_, &*pubsub_service_, &*task_service_, &*cache_service_,
                           &*connection_service_, &*room_service_},
                          MaxReceiveBytes(settings_));
  if (!server.ok()) return server.status();
  absl::MutexLock lock(&mutex_);
  (*server)->SetServing(serving_);
  servers_.push_back(*std::move(server));
  return absl::OkStatus();
}

}  // namespace

absl::Status RunNode(const Settings& settings, WorkerSlot slot) { return Node(settings, std::move(slot)).Run(); }

}  // namespace actioncluster

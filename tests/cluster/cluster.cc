#include "tests/cluster/cluster.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/client_interceptor.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "glog/logging.h"
#include "tests/cluster/calls.h"
#include "tests/fakes/stop_process.h"

namespace actioncluster::cluster {
namespace {

constexpr size_t kTail = 6000;
constexpr int kMaxReceived = 16 << 20;  // More than the largest values of the cache.

std::string Tail(const std::string& text) { return text.size() <= kTail ? text : text.substr(text.size() - kTail); }

// Shows the token with each call.
class TokenShower final : public grpc::experimental::Interceptor {
 public:
  explicit TokenShower(std::string token) : token_(std::move(token)) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace("authorization", absl::StrCat("Bearer ", token_));
    }
    methods->Proceed();
  }

 private:
  const std::string token_;
};

class TokenShowers final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenShowers(std::string token) : token_(std::move(token)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo*) override {
    return new TokenShower(token_);
  }

 private:
  const std::string token_;
};

// Another channel must not hold back a connection that this one needs at once: no shared subchannels, short pauses.
std::shared_ptr<grpc::Channel> Connect(const std::string& address, const std::string& api_token) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  arguments.SetMaxReceiveMessageSize(kMaxReceived);
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
  if (!api_token.empty()) interceptors.push_back(std::make_unique<TokenShowers>(api_token));
  return grpc::experimental::CreateCustomChannelWithInterceptors(address, grpc::InsecureChannelCredentials(), arguments,
                                                                 std::move(interceptors));
}

void PrintTails(const Node& node) {
  std::cerr << "---- " << node.id() << ": log\n"
            << Tail(node.log()) << "---- " << node.id() << ": start said\n"
            << Tail(node.program().Out()) << Tail(node.program().Err()) << "----\n";
}

// Whose logs to print when the program fails at a CHECK.
Cluster* current = nullptr;

__attribute__((noreturn)) void PrintTailsAndAbort() {
  if (current != nullptr) {
    for (const Node& node : current->nodes()) PrintTails(node);
  }
  std::abort();
}

// The names that a start says it runs, in the order of their ports.
std::vector<std::string> Names(const std::string& said) {
  std::vector<std::string> names;
  for (const absl::string_view line : absl::StrSplit(said, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (words.size() > 3 && words[2] == "listens") names.emplace_back(words[1]);
  }
  return names;
}

}  // namespace

Node::Node(std::shared_ptr<Program> program, std::string id, std::string data_dir, std::string host, int port,
           std::string api_token)
    : program_(std::move(program)),
      id_(std::move(id)),
      data_dir_(std::move(data_dir)),
      host_(std::move(host)),
      port_(port),
      api_token_(std::move(api_token)),
      channel_(NewChannel()),
      rpc_(v1::RpcService::NewStub(channel_)),
      cluster_(v1::ClusterService::NewStub(channel_)),
      pubsub_(v1::PubSubService::NewStub(channel_)),
      tasks_(v1::TaskService::NewStub(channel_)),
      cache_(v1::CacheService::NewStub(channel_)),
      connections_(v1::ConnectionService::NewStub(channel_)),
      rooms_(v1::RoomService::NewStub(channel_)) {}

std::string Node::address() const { return absl::StrCat(host_.empty() ? "127.0.0.1" : host_, ":", port_); }

std::shared_ptr<grpc::Channel> Node::NewChannel() const { return Connect(address(), api_token_); }

bool Node::IsServing() const { return Health(channel_) == "SERVING"; }

pid_t Node::pid() const {
  pid_t pid = 0;
  return absl::SimpleAtoi(absl::StripAsciiWhitespace(ReadFile(pid_path())), &pid) ? pid : 0;
}

std::string Node::log() const { return ReadFile(absl::StrCat(data_dir_, "/", id_, ".log")); }

void Node::Kill() const {
  const pid_t victim = pid();
  CHECK_GT(victim, 0) << pid_path();
  // `start` must not see its death: it would start another.
  fakes::StopProcess(program_->pid());
  PCHECK(kill(victim, SIGKILL) == 0);
  CHECK(Await([&] { return !IsAlive(victim); }));
  program_->Signal(SIGKILL);
  program_->Wait();
}

void Node::Pause() const {
  CHECK_GT(pid(), 0) << pid_path();
  fakes::StopProcess(pid());
}

void Node::Resume() const {
  CHECK_GT(pid(), 0) << pid_path();
  PCHECK(kill(pid(), SIGCONT) == 0);
}

Cluster::Cluster(int nodes, Options options) : options_(std::move(options)), redis_url_(options_.redis_url) {
  if (redis_url_.empty() && !options_.embedded_redis) redis_url_ = redis_.emplace(options_.redis).url();
  current = this;
  google::InstallFailureFunction(&PrintTailsAndAbort);
  WriteFile(dir_ / "server-token", "the servers of this test share this");
  WriteFile(dir_ / "api-token", options_.api_token);
  for (int i = 0; i < nodes; ++i) Start();
}

Cluster::~Cluster() {
  current = nullptr;
  if (!testing::Test::HasFailure()) return;
  for (const Node& node : nodes_) PrintTails(node);
}

std::vector<std::string> Cluster::Flags(int workers, int port, const std::string& data_dir,
                                        const std::string& redis_url) const {
  std::vector<std::string> flags = {"--port", absl::StrCat(port), "--data-dir", data_dir};
  const auto add = [&flags](const std::vector<std::string>& more) {
    flags.insert(flags.end(), more.begin(), more.end());
  };
  if (workers > 1) add({"--workers", absl::StrCat(workers)});
  if (!options_.embedded_redis) {
    add({"--redis", redis_url, "--server-token-file", dir_ / "server-token", "--lease",
         absl::FormatDuration(options_.lease)});
  }
  if (!options_.api_token.empty()) add({"--api-token-file", dir_ / "api-token"});
  add(options_.flags);
  return flags;
}

Node& Cluster::Start(StartOptions options) {
  const int port = ports_.emplace_back(1 + options.workers).first();
  const std::string data_dir = options.data_dir.empty() ? dir_ / absl::StrCat("data-", ++starts_) : options.data_dir;
  std::vector<std::string> flags =
      Flags(options.workers, port, data_dir, options.redis_url.empty() ? redis_url_ : options.redis_url);
  if (!options.host.empty()) flags.insert(flags.end(), {"--host", options.host});
  flags.insert(flags.end(), options.flags.begin(), options.flags.end());
  auto program = std::make_shared<Program>(StartCommand(flags), options.environment, options.network);
  const bool ready = program->AwaitOut(options.workers == 1 ? "node is ready" : "nodes are ready");
  CHECK(ready) << "actioncluster does not start: " << program->Out() << program->Err();
  const std::vector<std::string> names = Names(program->Out());
  CHECK_EQ(names.size(), static_cast<size_t>(options.workers)) << program->Out();
  const size_t first = nodes_.size();
  for (int i = 0; i < options.workers; ++i) {
    const Node& added = nodes_.emplace_back(program, names[static_cast<size_t>(i)], data_dir, options.host,
                                            port + 1 + i, options_.api_token);
    if (Await([&] { return added.IsServing(); })) continue;
    PrintTails(added);
    LOG(FATAL) << added.id() << " said that it is ready, and does not serve";
  }
  return nodes_[first];
}

void Cluster::StartAgain(Node& node) {
  auto program = std::make_shared<Program>(StartCommand(Flags(1, node.port_ - 1, node.data_dir(), redis_url_)));
  const bool ready = program->AwaitOut("node is ready");
  CHECK(ready) << "actioncluster does not start again: " << program->Out() << program->Err();
  const std::vector<std::string> names = Names(program->Out());
  CHECK_EQ(names.size(), 1U) << program->Out();
  node.program_ = std::move(program);
  node.id_ = names[0];
  CHECK(Await([&] { return node.IsServing(); })) << node.id() << " said that it is ready, and does not serve";
}

std::optional<std::vector<std::string>> Cluster::ListedBy(const Node& node) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::ListNodesResponse response;
  if (!node.cluster().ListNodes(&context, {}, &response).ok()) return std::nullopt;
  std::vector<std::string> ids;
  for (const v1::Node& listed : response.nodes()) ids.push_back(listed.id());
  return ids;
}

std::optional<v1::Node> Cluster::Find(const Node& by, const std::string& id) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::ListNodesResponse response;
  if (!by.cluster().ListNodes(&context, {}, &response).ok()) return std::nullopt;
  const auto found = std::ranges::find_if(response.nodes(), [&](const v1::Node& node) { return node.id() == id; });
  return found == response.nodes().end() ? std::nullopt : std::make_optional(*found);
}

std::vector<std::string> StartCommand(const std::vector<std::string>& flags) {
  std::vector<std::string> command = {ACTIONCLUSTER_PROGRAM, "start"};
  command.insert(command.end(), flags.begin(), flags.end());
  return command;
}

void ExpectCleanStop(Program& program) {
  const std::vector<pid_t> descendants = program.Descendants();
  program.Signal(SIGTERM);
  EXPECT_EQ(program.Wait(), std::make_optional(0)) << program.Out() << program.Err();
  ExpectGone(descendants, absl::ZeroDuration());
}

void ExpectGone(const std::vector<pid_t>& pids, absl::Duration limit) {
  EXPECT_FALSE(pids.empty());
  for (const pid_t pid : pids) {
    if (Await([pid] { return !IsAlive(pid); }, limit)) continue;
    ADD_FAILURE() << pid << " is left: " << ReadFile(absl::StrCat("/proc/", pid, "/comm"));
    kill(pid, SIGKILL);
  }
}

}  // namespace actioncluster::cluster

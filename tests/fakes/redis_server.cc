#include "tests/fakes/redis_server.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/fakes/stop_process.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::fakes {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(2);

// The file as it is shipped: a line for the nodes' user, without a password.
std::string ShippedUsers() {
  std::ifstream file(ACTIONCLUSTER_USERS_FILE);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  CHECK(absl::StartsWith(text, absl::StrCat("user ", kNodesUser, " on "))) << ACTIONCLUSTER_USERS_FILE;
  return std::string(absl::StripSuffix(text, "\n"));
}

}  // namespace

RedisServer::RedisServer(Options options) : options_(std::move(options)) {
  char directory[] = "/tmp/actioncluster-redis-XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  directory_ = directory;
  unix_path_ = absl::StrCat(directory_, "/redis.sock");
  if (options_.tcp || options_.cluster || !options_.sentinel.empty()) port_ = FreePort();
  if (options_.cluster) bus_port_ = FreePort();
  if (options_.sentinel.empty()) {
    std::ofstream(UsersFile()) << Users();
  } else {
    // It keeps there what it learns, so it is written once.
    std::ofstream(SentinelFile()) << options_.sentinel;
  }
  Start();
}

RedisServer::~RedisServer() {
  if (pid_ != 0 && !paused_ && options_.sentinel.empty()) CheckThatNothingWasRefused();
  Kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

redis::Endpoint RedisServer::endpoint() const {
  return {.unix_path = unix_path_, .host = {}, .user = kNodesUser, .password = kNodesPassword};
}

redis::Endpoint RedisServer::tcp_endpoint() const {
  return {.unix_path = {}, .host = options_.address, .port = port_, .user = kNodesUser, .password = kNodesPassword};
}

std::string RedisServer::url() const { return NodesUrl(unix_path_); }

redis::Endpoint RedisServer::administrator() const {
  return {.unix_path = unix_path_, .host = {}, .user = {}, .password = options_.password};
}

std::string RedisServer::SentinelFile() const { return absl::StrCat(directory_, "/sentinel.conf"); }

std::string RedisServer::UsersFile() const { return absl::StrCat(directory_, "/users.acl"); }

std::string RedisServer::Users() const {
  const std::string password = options_.password.empty() ? "nopass" : absl::StrCat(">", options_.password);
  return absl::StrCat(ShippedUsers(), " >", kNodesPassword, "\nuser default on ", password, " ",
                      options_.default_rights, "\n");
}

void RedisServer::Start() {
  CHECK_EQ(pid_, 0);
  Fork();
  AwaitReady();
  if (options_.cluster) MakeCluster();
}

void RedisServer::Fork() {
  std::vector<std::string> args = {
      "redis-server", "--port",    absl::StrCat(port_), "--unixsocket", unix_path_, "--dir",
      directory_,     "--logfile", "redis.log",         "--save",       "",         "--appendonly",
      "no",           "--bind",    options_.address};
  const auto add = [&args](std::vector<std::string> more) { args.insert(args.end(), more.begin(), more.end()); };
  if (options_.sentinel.empty()) {
    add({"--aclfile", UsersFile()});
  } else {
    args.insert(args.begin() + 1, {SentinelFile(), "--sentinel"});
    if (!options_.password.empty()) add({"--requirepass", options_.password});
  }
  if (options_.cluster) add({"--cluster-enabled", "yes", "--cluster-port", absl::StrCat(bus_port_)});
  add(options_.args);
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  CHECK_GE(pid_, 0);
  if (pid_ == 0) {
    // Only what is safe in the child of a program with threads.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    if (options_.network.has_value() && setns(*options_.network, CLONE_NEWNET) != 0) _exit(126);
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    execvp(argv[0], argv.data());
    _exit(127);
  }
}

bool RedisServer::TryConnect() {
  Disconnect();
  redisContext* connection = redisConnectUnixWithTimeout(unix_path_.c_str(), timeval{.tv_sec = 20, .tv_usec = 0});
  connection_ = connection;
  if (connection == nullptr || connection->err != 0) return false;
  redisSetTimeout(connection, timeval{.tv_sec = 20, .tv_usec = 0});
  if (!options_.password.empty() && Command({"AUTH", options_.password}).view().is_error()) return false;
  const std::optional<redis::Reply> pong = TryCommand({"PING"});
  return pong.has_value() && !pong->view().is_error();
}

void RedisServer::Disconnect() {
  if (connection_ != nullptr) redisFree(connection_);
  connection_ = nullptr;
}

void RedisServer::AwaitReady() {
  const absl::Time limit = absl::Now() + kPatience;
  while (!TryConnect()) {
    CHECK(absl::Now() < limit) << "redis-server did not start, see " << directory_ << "/redis.log";
    CHECK_EQ(waitpid(pid_, nullptr, WNOHANG), 0) << "redis-server ended, see " << directory_ << "/redis.log";
    absl::SleepFor(kPoll);
  }
}

void RedisServer::MakeCluster() {
  // After a restart the slots are still its own.
  Command({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"});
  const absl::Time limit = absl::Now() + kPatience;
  while (true) {
    const redis::Reply info = Command({"CLUSTER", "INFO"});
    const auto text = info.view().String();
    if (text.ok() && absl::StrContains(*text, "cluster_state:ok")) return;
    CHECK(absl::Now() < limit) << "the cluster of one does not form";
    absl::SleepFor(kPoll);
  }
}

void RedisServer::Kill() {
  Disconnect();
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
  paused_ = false;
}

void RedisServer::Pause() {
  StopProcess(pid_);
  paused_ = true;
}

void RedisServer::Resume() {
  CHECK_EQ(kill(pid_, SIGCONT), 0);
  paused_ = false;
}

void RedisServer::CheckThatNothingWasRefused() {
  // On a new connection: what is written to one that a failover has closed ends this process by SIGPIPE.
  if (!TryConnect()) return;
  const std::optional<redis::Reply> log = TryCommand({"ACL", "LOG"});
  if (!log.has_value()) return;
  for (size_t i = 0; i < log->view().size(); ++i) {
    const redis::ReplyView entry = log->view()[i];
    const auto field = [&entry](absl::string_view name) -> absl::string_view {
      for (size_t at = 0; at + 1 < entry.size(); at += 2) {
        if (entry[at].String().value_or("") == name) return entry[at + 1].String().value_or("");
      }
      return "";
    };
    // A wrong password is another matter.
    CHECK(field("username") != kNodesUser || field("reason") == "auth")
        << "nodes may not use the " << field("reason") << " " << field("object") << ", by " << field("context");
  }
}

redis::Reply RedisServer::Command(const std::vector<std::string>& args) {
  std::optional<redis::Reply> reply = TryCommand(args);
  CHECK(reply.has_value()) << args[0] << ": " << connection_->errstr;
  return *std::move(reply);
}

std::optional<redis::Reply> RedisServer::TryCommand(const std::vector<std::string>& args) {
  if (connection_ == nullptr || connection_->err != 0) CHECK(TryConnect()) << "no redis-server for " << args[0];
  std::vector<const char*> data;
  std::vector<size_t> sizes;
  for (const std::string& arg : args) {
    data.push_back(arg.data());
    sizes.push_back(arg.size());
  }
  void* reply = redisCommandArgv(connection_, static_cast<int>(args.size()), data.data(), sizes.data());
  if (reply == nullptr) return std::nullopt;
  return redis::Reply(static_cast<redisReply*>(reply));
}

std::string NodesUrl(const std::string& unix_path) {
  return absl::StrCat("unix://", kNodesUser, ":", kNodesPassword, "@", unix_path);
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  CHECK_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  CHECK_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  close(fd);
  return ntohs(address.sin_port);
}

RedisServer& EmptyRedis(bool cluster) {
  // Each only where it is wanted.
  const auto single = []() -> RedisServer& {
    static RedisServer server;
    return server;
  };
  const auto of_one = []() -> RedisServer& {
    static RedisServer server(RedisServer::Options{.cluster = true, .password = "", .args = {}});
    return server;
  };
  RedisServer& redis = cluster ? of_one() : single();
  redis.Command({"FLUSHALL"});
  return redis;
}

}  // namespace actioncluster::fakes

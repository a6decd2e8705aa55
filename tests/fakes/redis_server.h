#ifndef ACTIONCLUSTER_TESTS_FAKES_REDIS_SERVER_H_
#define ACTIONCLUSTER_TESTS_FAKES_REDIS_SERVER_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "backplane/redis/endpoint.h"
#include "backplane/redis/reply.h"

struct redisContext;

namespace actioncluster::fakes {

// Nodes, and all code of theirs, are tested as the user of deploy/redis-users.acl: with the rights that stand there and no others, to the keys and channels of this
// namespace.
inline constexpr char kNodesUser[] = "actioncluster";
inline constexpr char kNodesPassword[] = "the-nodes-password";
inline constexpr char kNamespace[] = "actioncluster";

// A real redis-server of the test's own, on a unix socket in a fresh directory, without persistence. It has the user for nodes, and the default user, who is the
// test itself: `Command` is said by him. Starts in the constructor, ready when that returns; killed in the destructor, or when the thread that made it ends. Fails the
// program if it does not start, and if it was alive at its end and had refused something to nodes for which they lack the right: who provokes that says ACL LOG RESET.
// One thread at a time.
class RedisServer {
 public:
  struct Options {
    bool tcp = false;                   // Also on a free port of `address`.
    bool cluster = false;               // A cluster of one process that has all slots; implies tcp.
    std::string password;               // The default user's; empty: he needs none.
    std::string sentinel = {};          // Not empty: a sentinel, with these lines for a start; implies tcp.
    std::optional<int> network = {};    // The network namespace (a file) it lives in, if not this process's own;
    std::string address = "127.0.0.1";  // and its address there.
    std::vector<std::string> args;      // Appended, as on redis-server's command line.
    // The default user's, who must be able to say PING. A sentinel's may do everything.
    std::string default_rights = "~* &* +@all";
  };

  RedisServer() : RedisServer(Options()) {}
  explicit RedisServer(Options options);
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  const std::string& unix_path() const { return unix_path_; }
  int port() const { return port_; }  // 0 without tcp.
  pid_t pid() const { return pid_; }
  // For nodes: by unix socket or TCP, as their user.
  redis::Endpoint endpoint() const;
  redis::Endpoint tcp_endpoint() const;
  // `unix://…`, so too.
  std::string url() const;
  // For connections that are the test's own, and may do everything: by unix socket, as the default user.
  redis::Endpoint administrator() const;

  // SIGKILL. The data is gone, the directory and the address stay.
  void Kill();
  // After Kill: again at the same address.
  void Start();
  // SIGSTOP: connections stay, nothing answers once it has returned.
  void Pause();
  void Resume();

  // Executes a command on a connection of its own, as the default user, and waits; an error reply is a reply. Fails the
  // program if there is no reply. Not while paused.
  redis::Reply Command(const std::vector<std::string>& args);
  // So too, but nothing if the connection is lost meanwhile, as sentinels do to it: nobody knows whether it was executed. The next one is on a new connection.
  std::optional<redis::Reply> TryCommand(const std::vector<std::string>& args);

 private:
  std::string SentinelFile() const;
  std::string UsersFile() const;
  // That with all users.
  std::string Users() const;
  void Fork();
  bool TryConnect();
  void Disconnect();
  void AwaitReady();
  void MakeCluster();
  void CheckThatNothingWasRefused();

  const Options options_;
  std::string directory_;
  std::string unix_path_;
  int port_ = 0;
  int bus_port_ = 0;
  pid_t pid_ = 0;
  bool paused_ = false;
  redisContext* connection_ = nullptr;
};

// For `--redis`: nodes at this socket, as their user.
std::string NodesUrl(const std::string& unix_path);

// A port of 127.0.0.1 that nobody listens at now. Another process may take it before it is used.
int FreePort();

// One server for all tests of a program, a single one or a cluster of one process, empty at each call: a cluster takes two seconds to form.
RedisServer& EmptyRedis(bool cluster);

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_REDIS_SERVER_H_

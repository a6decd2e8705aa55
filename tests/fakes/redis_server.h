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

// A real redis-server of the test's own, on a unix socket in a fresh directory, without persistence. Starts in the
// constructor, ready when that returns; killed in the destructor, or when the thread that made it ends. Fails the
// program if it does not start. One thread at a time.
class RedisServer {
 public:
  struct Options {
    bool tcp = false;               // Also on a free port of 127.0.0.1.
    bool cluster = false;           // A cluster of one process that has all slots; implies tcp.
    std::string password;           // requirepass
    std::string sentinel = {};      // Not empty: a sentinel, with these lines for a start; implies tcp.
    std::vector<std::string> args;  // Appended, as on redis-server's command line.
  };

  RedisServer() : RedisServer(Options()) {}
  explicit RedisServer(Options options);
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  const std::string& unix_path() const { return unix_path_; }
  int port() const { return port_; }  // 0 without tcp.
  pid_t pid() const { return pid_; }
  // By unix socket, with the password.
  redis::Endpoint endpoint() const;
  redis::Endpoint tcp_endpoint() const;
  // `unix:///…`, with the password.
  std::string url() const;

  // SIGKILL. The data is gone, the directory and the address stay.
  void Kill();
  // After Kill: again at the same address.
  void Start();
  // SIGSTOP: connections stay, nothing answers once it has returned.
  void Pause();
  void Resume();

  // Executes a command on a connection of its own and waits; an error reply is a reply. Fails the program if there is
  // no reply. Not while paused.
  redis::Reply Command(const std::vector<std::string>& args);
  // So too, but nothing if the connection is lost meanwhile, as sentinels do to it: nobody knows whether it was executed. The next one is on a new connection.
  std::optional<redis::Reply> TryCommand(const std::vector<std::string>& args);

 private:
  std::string SentinelFile() const;
  void Fork();
  bool TryConnect();
  void Disconnect();
  void AwaitReady();
  void MakeCluster();

  const Options options_;
  std::string directory_;
  std::string unix_path_;
  int port_ = 0;
  int bus_port_ = 0;
  pid_t pid_ = 0;
  redisContext* connection_ = nullptr;
};

// A port of 127.0.0.1 that nobody listens at now. Another process may take it before it is used.
int FreePort();

// One server for all tests of a program, a single one or a cluster of one process, empty at each call: a cluster takes two seconds to form.
RedisServer& EmptyRedis(bool cluster);

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_REDIS_SERVER_H_

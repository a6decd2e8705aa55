#ifndef ACTIONCLUSTER_TESTS_FAKES_REDIS_RELAY_H_
#define ACTIONCLUSTER_TESTS_FAKES_REDIS_RELAY_H_

#include <atomic>
#include <list>
#include <string>
#include <thread>

namespace actioncluster::fakes {

// Stands between nodes and their Redis, and passes on what both say; until what Redis says to subscribers is held back, as by a network that is dead in one direction: these connections stay open, and take
// what they are sent. Runs on a thread of its own; its methods are for any.
class RedisRelay {
 public:
  // To the Redis at this socket.
  explicit RedisRelay(std::string unix_path);
  ~RedisRelay();
  RedisRelay(const RedisRelay&) = delete;
  RedisRelay& operator=(const RedisRelay&) = delete;

  // Of 127.0.0.1.
  int port() const { return port_; }

  // Also from connections that subscribe from now on.
  void HoldSubscribers() { Hold(true); }
  // What was held back comes now.
  void LetGo() { Hold(false); }

 private:
  struct Pair {
    int node;
    int redis;
    bool subscribes;
  };

  void Hold(bool hold);
  void Run();
  void Accept();
  // False: one of them has closed it.
  bool PassOn(Pair& pair, bool node_spoke, bool redis_spoke) const;

  const std::string unix_path_;
  int listener_ = -1;
  int port_ = 0;
  int wake_ = -1;
  std::atomic<bool> holds_ = false;
  std::atomic<bool> stops_ = false;
  std::list<Pair> pairs_;  // The thread's.
  std::thread thread_;
};

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_REDIS_RELAY_H_

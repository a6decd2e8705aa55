#ifndef ACTIONCLUSTER_TESTS_FAKES_REDIS_PROXY_H_
#define ACTIONCLUSTER_TESTS_FAKES_REDIS_PROXY_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "backplane/redis/endpoint.h"

namespace actioncluster::fakes {

// The network between nodes and their Redis: passes connections to a unix socket of its own on to Redis's, until it is told to be bad at it. Runs on a thread of its own; the functions
// are for any.
class RedisProxy {
 public:
  enum class Mode {
    kOpen,
    kRefuse,  // Connections that come are hung up on; those that stand stay.
    kSilent,  // Nothing gets through, and nobody is told: connections stay, new ones are not answered. What was sent arrives when it is open again.
    kDeaf,  // So is what Redis says on connections that subscribe, as on a network that is dead in one direction; all else gets through.
    kCut,   // All connections are broken, and new ones too.
  };

  // To the Redis at this socket, which may come and go, from `path`; empty: beside it.
  explicit RedisProxy(const std::string& redis, const std::string& path = "");
  ~RedisProxy();
  RedisProxy(const RedisProxy&) = delete;
  RedisProxy& operator=(const RedisProxy&) = delete;

  // For nodes, as their user of the Redis behind it.
  redis::Endpoint endpoint() const;
  std::string url() const;

  // It holds when this returns.
  void SetMode(Mode mode) ABSL_LOCKS_EXCLUDED(mutex_);
  // Each byte takes so much longer, either way, from a moment later on.
  void SetDelay(absl::Duration delay);
  // What is sent next with `needle` in it Redis carries out, but the connection ends before its reply.
  void LoseReplyTo(const std::string& needle) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Chunk {
    std::string bytes;
    absl::Time due;
  };
  // What comes from one end and goes to the other.
  struct Way {
    int from = -1;
    int to = -1;
    std::deque<Chunk> chunks = {};
    size_t waiting = 0;  // Bytes in them.
    bool ended = false;  // Nothing more comes.
  };
  struct Connection {
    Way there;
    Way back;
    bool subscribes = false;
    bool loses = false;  // The client was hung up on; Redis carries out what it was sent.
    bool broken = false;
  };

  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether this way is open now.
  static bool Passes(const Connection& connection, const Way& way, Mode mode);
  void Accept(Mode mode);
  void Pump(Connection& connection, Mode mode, absl::Time now);
  void Read(Way& way, Connection& connection, absl::Time now);
  // What a client has sent.
  void Look(Connection& connection, absl::string_view bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  static void Write(Way& way, Connection& connection, absl::Time now);
  void Await(Mode mode);
  static void Close(Connection& connection);
  void Wake();

  const std::string redis_;
  const std::string path_;
  int listener_ = -1;
  int wake_ = -1;
  std::atomic<int64_t> delay_us_ = 0;
  std::atomic<bool> stopping_ = false;
  absl::Mutex mutex_;
  Mode mode_ ABSL_GUARDED_BY(mutex_) = Mode::kOpen;
  int modes_set_ ABSL_GUARDED_BY(mutex_) = 0;
  int modes_held_ ABSL_GUARDED_BY(mutex_) = 0;  // Of these, those that the thread has brought about.
  std::string needle_ ABSL_GUARDED_BY(mutex_);
  std::list<Connection> connections_;  // The thread's.
  std::thread thread_;
};

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_REDIS_PROXY_H_

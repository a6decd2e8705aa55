#ifndef ACTIONCLUSTER_TESTS_FAKES_REDIS_PROXY_H_
#define ACTIONCLUSTER_TESTS_FAKES_REDIS_PROXY_H_

#include <atomic>
#include <list>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "backplane/redis/endpoint.h"

namespace actioncluster::fakes {

// Stands between a node and its Redis, on a unix socket of its own, and breaks connections at the moments that matter. Passes all else on. One thread at a time.
class RedisProxy {
 public:
  // `upstream`: the path of Redis's socket, which may come and go.
  explicit RedisProxy(const std::string& upstream);
  ~RedisProxy();
  RedisProxy(const RedisProxy&) = delete;
  RedisProxy& operator=(const RedisProxy&) = delete;

  redis::Endpoint endpoint() const;

  // Connections that come from now on are hung up on; those that stand stay.
  void Refuse(bool refuse) { refuse_ = refuse; }
  // What is sent next with `needle` in it Redis carries out, but the connection ends before its reply.
  void LoseReplyTo(const std::string& needle) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Pair {
    int client;  // -1: it was hung up on, and what Redis still says is dropped.
    int upstream;
  };

  void Run();
  void Accept();
  // Passes on what there is to read. False: that is the end.
  bool FromClient(Pair& pair) ABSL_LOCKS_EXCLUDED(mutex_);
  static bool FromUpstream(const Pair& pair);

  const std::string upstream_;
  const std::string path_;
  int listening_;
  int wake_[2];  // Closing the second end ends the thread.
  std::atomic<bool> refuse_ = false;
  absl::Mutex mutex_;
  std::string needle_ ABSL_GUARDED_BY(mutex_);
  std::list<Pair> pairs_;  // The thread's.
  std::thread thread_;
};

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_REDIS_PROXY_H_

#ifndef ACTIONCLUSTER_TESTS_BENCH_PUBSUB_H_
#define ACTIONCLUSTER_TESTS_BENCH_PUBSUB_H_

#include <memory>
#include <string>

#include "backplane/redis/endpoint.h"
#include "tests/bench/closed_loop.h"
#include "tests/fakes/loop_thread.h"

// Request and reply over pub/sub, without anything around them: what a call between nodes costs at least.
namespace actioncluster::bench {

// A responder's process: says `ready` on standard output, and answers whatever is asked until it is killed.
int ServePubSub(const std::string& redis_url);

// Asks all responders that there are; the first reply ends the operation. Makes its connections when it is constructed, and has them when that returns.
class Asker {
 public:
  explicit Asker(const redis::Endpoint& endpoint);
  ~Asker();

  // While the asker lives.
  Operation operation();

 private:
  struct Core;
  fakes::LoopThread io_;
  std::unique_ptr<Core> core_;  // Made, used and destroyed on the loop.
};

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_PUBSUB_H_

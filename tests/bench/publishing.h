#ifndef ACTIONCLUSTER_TESTS_BENCH_PUBLISHING_H_
#define ACTIONCLUSTER_TESTS_BENCH_PUBLISHING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/v1/pubsub.grpc.pb.h"
#include "tests/bench/closed_loop.h"
#include "tests/fakes/subscription.h"

namespace actioncluster::bench {

// Publishes a few bytes of one type, and awaits that all its subscribers, in this process, have heard them.
class Publishing {
 public:
  // Subscribed when it returns. The stubs outlive it: `from` publishes, the subscribers are attached by `to`. None: only Publish itself is awaited.
  Publishing(v1::PubSubService::Stub& from, v1::PubSubService::Stub& to, const std::string& type, int subscribers);

  // While this lives.
  Operation operation();

 private:
  struct Message {
    int awaited;  // Subscribers that have not heard it.
    absl::AnyInvocable<void(bool) &&> done;
  };

  void Publish(absl::AnyInvocable<void(bool) &&> done);
  void OnHeard(const std::string& data);

  v1::PubSubService::Stub& from_;
  const std::string type_;
  const int subscribers_;
  absl::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, Message> messages_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<fakes::Subscription>> subscriptions_;  // Gone first.
};

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_PUBLISHING_H_

#ifndef ACTIONCLUSTER_TESTS_CHAOS_NETWORK_H_
#define ACTIONCLUSTER_TESTS_CHAOS_NETWORK_H_

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/chaos/wire.h"

namespace actioncluster::chaos {

// Gives this process a network namespace of its own, with nothing but a loopback device, so that what it does to networks nobody else sees; it and what it starts live there from now on. As root, or as any user whom the system lets make user
// namespaces. Before there are other threads. UNAVAILABLE: the system refuses, and why.
absl::Status EnterOwnNetwork();

// A network of namespaces: one of Redis, one of each node, and that of this process, in which clients are. Each has one device and one address, and knows nothing of the wire behind it, which is a thread of this process: so packets are
// late or lost while both kernels believe that their peer is there, and established connections wait for what does not come. All of it ends with this process and what it has started. The functions are for any thread, and what they set
// holds for each packet from then on.
class Network {
 public:
  // After EnterOwnNetwork, and one at a time. UNAVAILABLE: the system refuses, and why.
  static absl::StatusOr<std::unique_ptr<Network>> Create(size_t nodes);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Of Redis and of nodes, from 0: what to start them in, and where they can be reached.
  int redis_namespace() const { return ends_[kRedis].space; }
  int node_namespace(size_t node) const { return ends_[kFirstNode + node].space; }
  static std::string redis_address() { return Wire::AddressOf(kRedis); }
  static std::string node_address(size_t node) { return Wire::AddressOf(kFirstNode + node); }

  // The way between a node and Redis. Clients reach the node all the time; nodes do not speak to each other but by Redis.
  void SetWay(size_t node, Wire::Way way) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetDelay(size_t node, absl::Duration delay) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr size_t kClients = 0;
  static constexpr size_t kRedis = 1;
  static constexpr size_t kFirstNode = 2;

  struct End {
    int space = -1;   // The namespace.
    int device = -1;  // Gives the packets that are sent in it, and takes those that arrive.
  };

  explicit Network(size_t nodes) : ends_(kFirstNode + nodes), wire_(ends_.size()) {}

  void Run();
  // Passes all on that an end has sent so far.
  void Drain(size_t from) ABSL_LOCKS_EXCLUDED(mutex_);
  void DeliverDue(absl::Time now);

  std::vector<End> ends_;
  int wake_ = -1;
  std::atomic<bool> stopping_ = false;
  absl::Mutex mutex_;
  Wire wire_ ABSL_GUARDED_BY(mutex_);
  std::multimap<absl::Time, Wire::Delivery> late_;  // The thread's.
  std::thread thread_;
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_NETWORK_H_

#ifndef ACTIONCLUSTER_TESTS_CHAOS_LOAD_H_
#define ACTIONCLUSTER_TESTS_CHAOS_LOAD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "actioncluster/client.h"
#include "tests/chaos/ledger.h"
#include "tests/chaos/meter.h"

namespace actioncluster::chaos {

// What every kind of load is told.
struct LoadOptions {
  std::vector<std::string> addresses;         // Of all nodes.
  std::vector<std::string> node_ids = {};     // Likewise.
  std::string api_token = {};                 // Theirs.
  double rate = 20;                           // Operations a second, over all its clients.
  uint64_t seed = 1;                          // Of its pace, and of what it chooses.
  std::string directory;                      // For files.
  absl::Duration timeout = absl::Seconds(2);  // Of one call.
};

// Clients that use one part of the cluster as applications do, each on a thread of its own, at a steady pace, and that remember what they were told. Made, started, stopped and judged by
// one thread; the meter is for any.
class Load {
 public:
  Load(std::string kind, LoadOptions options, size_t clients);
  virtual ~Load() = default;
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  const std::string& kind() const { return kind_; }
  const Meter& meter() const { return meter_; }

  virtual void Start() = 0;
  // No operation begins any more. False: one that is under way does not end within the limit.
  virtual bool Stop(absl::Duration limit) { return StopClients(limit); }
  // After Stop, when all is well again: awaits that what is under way inside the cluster has come to its end. False: it does not within the limit.
  virtual bool Settle(absl::Duration limit) = 0;
  // After Settle: compares what is there with what was acknowledged.
  virtual void Judge(KindResult& result) = 0;

 protected:
  // One more client, which takes one step after another until it is stopped.
  void AddClient(std::function<void(size_t client)> step);
  bool StopClients(absl::Duration limit);
  // Of a client's own, which has the nodes in another order than the client before it.
  std::unique_ptr<client::Client> NewClient(size_t client) const;

  const LoadOptions& options() const { return options_; }
  // Of a client's thread.
  std::mt19937_64& random(size_t client) { return randoms_[client]; }
  bool stopping() const { return stopping_.HasBeenNotified(); }
  // False: it was stopped meanwhile.
  bool Pause(absl::Duration duration) const { return !stopping_.WaitForNotificationWithTimeout(duration); }

  Meter meter_;

 private:
  void Run(size_t client, const std::function<void(size_t client)>& step);

  const std::string kind_;
  const LoadOptions options_;
  const size_t clients_;
  std::vector<std::mt19937_64> randoms_;
  absl::Notification stopping_;
  std::atomic<size_t> running_ = 0;
  std::vector<std::jthread> threads_;
};

// A number from `least` to `most`, both included.
uint64_t Choose(std::mt19937_64& random, uint64_t least, uint64_t most);

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_LOAD_H_

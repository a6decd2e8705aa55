#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_MEMBERSHIP_MEMBER_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_MEMBERSHIP_MEMBER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "backplane/bus/bus.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/client.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {

// A node as far as membership goes: a thread, a command connection, a bus and a Membership.
class Member {
 public:
  struct Options {
    absl::Duration lease = absl::Seconds(5);
    std::string token = "the token of the test cluster";
    std::string succeeds_boot = "";
    std::optional<redis::Endpoint> subscriber = {};  // Another way to Redis for the bus; by default the same.
  };

  explicit Member(const fakes::RedisServer& redis) : Member(redis, Options()) {}
  Member(const fakes::RedisServer& redis, Options options);
  ~Member();

  absl::Status Join();
  void JoinWell();  // Expects OK, and that it serves.
  void JoinLater(const fakes::Waiter<absl::Status>& done);
  absl::Status Leave();
  // As if it was killed: without leaving.
  void Destroy();
  // As if it was stopped for so long: its thread does nothing.
  void Pause(absl::Duration duration);

  NodeRef self();
  bool Serving();
  absl::Status SetMethods(std::vector<std::string> methods);
  void SetMethodsLater(std::vector<std::string> methods, const fakes::Waiter<absl::Status>& done);
  absl::Status SetDraining(bool draining);
  absl::Status Refresh();
  // Refreshes until a "no" may be believed.
  void AwaitRefreshed();
  // Names of the nodes, as Redis has them, and as the copy has them.
  std::vector<std::string> Listed();
  std::vector<Membership::Snapshot> Snapshots();
  std::vector<std::string> Known();
  std::vector<std::string> Offering(const std::string& method);

  // `joined node-1`, as they happened; and whether it serves.
  const fakes::Waiter<std::string>& events() const { return events_; }
  void AwaitEvent(const std::string& event) const;
  const fakes::Waiter<bool>& serving() const { return serving_; }
  void AwaitServing(bool serving) const;

  const Keys& keys() const { return keys_; }

 private:
  struct Parts {
    Parts(Loop& loop, const redis::LinkOptions& link, const Keys& keys, const Options& options);

    redis::Client client;
    Bus bus;
    Membership membership;
  };

  const Keys keys_{fakes::kNamespace};
  const fakes::Waiter<std::string> events_;
  const fakes::Waiter<bool> serving_;
  fakes::LoopThread thread_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_MEMBERSHIP_MEMBER_H_

#ifndef ACTIONCLUSTER_TESTS_CLUSTER_OUTAGE_PROBES_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_OUTAGE_PROBES_H_

#include <grpcpp/support/status.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "actioncluster/v1/errors.pb.h"
#include "tests/cluster/cluster.h"

// What clients may ask of a node, whatever has become of Redis. All for any thread.
namespace actioncluster::cluster {

// What came back.
struct Heard {
  grpc::StatusCode code = grpc::OK;
  std::string reason;
  std::string message;
  absl::Duration took;

  explicit Heard(const grpc::Status& status);
  // Of an answer in parts, one of them: an empty one is good.
  explicit Heard(const v1::Error& error);

  // That Redis is away is said, by its reason.
  bool IsOutage() const { return code == grpc::UNAVAILABLE && reason == "BACKPLANE_UNAVAILABLE"; }
  // It was done, now or by a call before whose answer was lost.
  bool IsDone() const { return code == grpc::OK || reason == "ALREADY_MEMBER"; }
  friend void PrintTo(const Heard& heard, std::ostream* out);
};

struct Probe {
  std::string name;  // The rpc, and which way of using it.
  // The limit is the call's deadline.
  std::function<Heard(const Node& node, absl::Duration limit)> ask;
};

// What is watched by probes alone: as long as the node has a watcher, another needs no Redis.
inline constexpr char kWatchedRoom[] = "watched";

// What needs Redis. It relies on what PrepareProbes makes, and on the connection `ann` and an application that offers `echo`, both at `home`, which is not the node that is asked.
std::vector<Probe> ProbesThatNeedRedis(const Node& home);
void PrepareProbes(const Node& node);

// As the probe asks, with the time that it took.
Heard Ask(const Probe& probe, const Node& node, absl::Duration limit);

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_OUTAGE_PROBES_H_

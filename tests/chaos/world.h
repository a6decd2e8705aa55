#ifndef ACTIONCLUSTER_TESTS_CHAOS_WORLD_H_
#define ACTIONCLUSTER_TESTS_CHAOS_WORLD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/chaos/backing.h"
#include "tests/chaos/ledger.h"
#include "tests/chaos/load.h"
#include "tests/chaos/load_tasks.h"
#include "tests/chaos/network.h"
#include "tests/cluster/clock_file.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {

// What is common to all drills.
struct DrillOptions {
  uint64_t seed = 1;
  absl::Duration length = absl::Seconds(10);  // No fault begins later.
  int64_t faults = 0;                         // Not 0: so many, however long it takes.
  int nodes = 3;
  int ack_replicas = 0;
  double rate = 200;
  absl::Duration lease = absl::Seconds(2);
  std::string logs = "";  // Not empty: a directory, where the nodes' logs are left.
};

// What a drill is about, and what is done to it: Redis, nodes, clients. To be used from the main thread.
struct World {
  DrillOptions options;
  cluster::TempDir directory;
  std::unique_ptr<Network> network;     // In the drills that do something to it.
  std::unique_ptr<SingleRedis> single;  // One of these two.
  std::unique_ptr<SentinelRedis> sentinel;
  std::vector<std::unique_ptr<cluster::ClockFile>> clocks;  // Each node's, in the drills that set them.
  std::unique_ptr<cluster::Cluster> cluster;
  std::vector<std::unique_ptr<Load>> loads;
  TaskLoad* tasks = nullptr;  // Among them.
  std::vector<int64_t> lags;  // Of the replica, in bytes, whenever the master was killed.

  Backing& backing() { return single != nullptr ? static_cast<Backing&>(*single) : *sentinel; }
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_WORLD_H_

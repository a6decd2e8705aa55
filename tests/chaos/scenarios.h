#ifndef ACTIONCLUSTER_TESTS_CHAOS_SCENARIOS_H_
#define ACTIONCLUSTER_TESTS_CHAOS_SCENARIOS_H_

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/chaos/faults.h"
#include "tests/chaos/world.h"

namespace actioncluster::chaos {

// A kind of system, and what happens to it.
struct Scenario {
  enum class Redis { kSingle, kSentinel };
  enum class Nodes {
    kEachByItself,
    kOneSupervisor,  // All by one start.
    kInNetworks,     // Each, and Redis, in a network namespace of its own.
    kWithOwnClocks,  // Each has a wall clock that can be set.
  };

  std::string name;
  std::string about;  // For people.
  Redis redis = Redis::kSingle;
  Nodes nodes = Nodes::kEachByItself;
  std::function<Fault(World& world, std::mt19937_64& random)> fault = nullptr;  // The next one; none: nothing happens.
  // What Redis has acknowledged can be gone, unless nodes await replicas.
  bool may_lose = false;
};

const std::vector<Scenario>& Scenarios();

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_SCENARIOS_H_

#ifndef ACTIONCLUSTER_TESTS_CHAOS_FAULTS_H_
#define ACTIONCLUSTER_TESTS_CHAOS_FAULTS_H_

#include <cstdint>
#include <functional>
#include <random>
#include <string>

#include "absl/time/time.h"
#include "tests/chaos/world.h"

namespace actioncluster::chaos {

// One thing that is done to the system, and undone. All in the main thread.
struct Fault {
  std::string what;                            // For people.
  std::function<void()> begin;                 // Returns when it has happened.
  absl::Duration hold = absl::ZeroDuration();  // How long it is like that.
  std::function<std::string()> judge = [] {
    return "";
  };                                     // Just before its end: what is not as it should be; empty: nothing.
  std::function<void()> end = [] {};     // Returns when all is as it was.
  std::function<void()> repair = [] {};  // After clients have recovered: makes the next one possible.
  // From when clients are expected to succeed again: from its end, or, as the rest of the system goes on without what was killed, from its begin.
  bool recovers_from_begin = false;
};

// Each chooses by the random numbers whom it hits and how long.
Fault KillNode(World& world, std::mt19937_64& random);
Fault PauseNode(World& world, std::mt19937_64& random);
Fault KillWorker(World& world, std::mt19937_64& random);
Fault KillRedis(World& world, std::mt19937_64& random);
Fault FailOver(World& world, std::mt19937_64& random);
Fault FailOverUnprepared(World& world, std::mt19937_64& random);
Fault KillMaster(World& world, std::mt19937_64& random);
Fault KillMasterThatIsAhead(World& world, std::mt19937_64& random);
Fault RestartAll(World& world, std::mt19937_64& random);
Fault CutNodeOff(World& world, std::mt19937_64& random);
Fault CutRedisOff(World& world, std::mt19937_64& random);
Fault Delay(World& world, std::mt19937_64& random);
Fault StepClock(World& world, std::mt19937_64& random);

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_FAULTS_H_

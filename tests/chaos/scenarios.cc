#include "tests/chaos/scenarios.h"

namespace actioncluster::chaos {

const std::vector<Scenario>& Scenarios() {
  using Nodes = Scenario::Nodes;
  using Redis = Scenario::Redis;
  static const auto* const scenarios = new std::vector<Scenario>{
      {.name = "none", .about = "nothing happens; memory, files and keys are watched"},
      {.name = "node-kills", .about = "nodes are killed, and started again", .fault = &KillNode},
      {.name = "node-pauses", .about = "nodes are stopped for longer than their lease, and go on", .fault = &PauseNode},
      {.name = "worker-kills", .about = "workers are killed, and started again", .fault = &KillWorker},
      {.name = "redis-kill",
       .about = "Redis is killed, and started again with its append-only file",
       .fault = &KillRedis},
      {.name = "failover-planned",
       .about = "Sentinel is asked to fail over, while the master's writes are paused",
       .redis = Redis::kSentinel,
       .fault = &FailOver},
      {.name = "failover-asked",
       .about = "Sentinel is asked to fail over, just so",
       .redis = Redis::kSentinel,
       .fault = &FailOverUnprepared,
       .may_lose = true},
      {.name = "failover-kill",
       .about = "Redis's master is killed, and comes back as a replica",
       .redis = Redis::kSentinel,
       .fault = &KillMaster,
       .may_lose = true},
      {.name = "failover-behind",
       .about = "Redis's master is killed when its replica has been cut off for a moment",
       .redis = Redis::kSentinel,
       .fault = &KillMasterThatIsAhead,
       .may_lose = true},
      {.name = "rolling-restart",
       .about = "all nodes are restarted, one after the other",
       .nodes = Nodes::kOneSupervisor,
       .fault = &RestartAll},
      {.name = "partition-node",
       .about = "a node's network namespace is cut off from Redis's for longer than its lease",
       .nodes = Nodes::kInNetworks,
       .fault = &CutNodeOff},
      {.name = "partition-redis",
       .about = "Redis's network namespace is cut off from those of all nodes, and no packet is acknowledged",
       .nodes = Nodes::kInNetworks,
       .fault = &CutRedisOff},
      {.name = "delay",
       .about = "packets between a node's network namespace and Redis's are late",
       .nodes = Nodes::kInNetworks,
       .fault = &Delay},
      {.name = "clock-steps",
       .about = "nodes' clocks jump, by a second to a day",
       .nodes = Nodes::kWithOwnClocks,
       .fault = &StepClock},
  };
  return *scenarios;
}

}  // namespace actioncluster::chaos

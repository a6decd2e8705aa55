#include "tests/chaos/faults.h"

#include <array>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"

namespace actioncluster::chaos {
namespace {

constexpr absl::Duration kRestart = absl::Minutes(2);

cluster::Node& ChooseNode(World& world, std::mt19937_64& random) {
  return world.cluster->nodes()[Choose(random, 0, world.cluster->nodes().size() - 1)];
}

// Longer than the lease, by up to a second.
absl::Duration PastTheLease(const World& world, std::mt19937_64& random) {
  return world.options.lease + absl::Milliseconds(Choose(random, 200, 1000));
}

// Which nodes' health is not what it should be, by their indices.
std::string OtherThan(const World& world, absl::FunctionRef<bool(size_t)> serves) {
  std::string wrong;
  for (size_t i = 0; i < world.cluster->nodes().size(); ++i) {
    const std::string health = cluster::Health(world.cluster->nodes()[i].channel());
    if (health != (serves(i) ? "SERVING" : "NOT_SERVING"))
      absl::StrAppend(&wrong, "node ", i + 1, " says ", health, ". ");
  }
  return wrong;
}

// Where writes wait for a replica nothing can be acknowledged before there is one again: then that is the fault's end.
Fault WithItsReplica(const World& world, Fault fault) {
  if (world.options.ack_replicas > 0) std::swap(fault.end, fault.repair);
  return fault;
}

}  // namespace

Fault KillNode(World& world, std::mt19937_64& random) {
  cluster::Node& node = ChooseNode(world, random);
  return {.what = absl::StrCat("kill ", node.address()),
          .begin = [&node] { node.Kill(); },
          .hold = absl::Milliseconds(Choose(random, 0, 1500)),
          .end = [&world, &node] { world.cluster->StartAgain(node); },
          .recovers_from_begin = true};
}

Fault PauseNode(World& world, std::mt19937_64& random) {
  cluster::Node& node = ChooseNode(world, random);
  return {.what = absl::StrCat("pause ", node.address()),
          .begin = [&node] { node.Pause(); },
          .hold = PastTheLease(world, random),
          .end = [&node] { node.Resume(); }};
}

Fault KillWorker(World& world, std::mt19937_64& random) {
  const size_t worker = Choose(random, 0, TaskLoad::kWorkers - 1);
  return {.what = absl::StrCat("kill worker ", worker),
          .begin = [&world, worker] { world.tasks->KillWorker(worker); },
          .hold = absl::Milliseconds(Choose(random, 0, 500)),
          .end = [&world, worker] { world.tasks->StartWorker(worker); },
          .recovers_from_begin = true};
}

Fault KillRedis(World& world, std::mt19937_64& random) {
  return {.what = "kill Redis",
          .begin = [&world] { world.single->master().Kill(); },
          .hold = absl::Milliseconds(Choose(random, 0, 1500)),
          .end = [&world] { world.single->master().Start(); }};
}

Fault FailOver(World& world, std::mt19937_64&) {
  return WithItsReplica(world, {.what = "fail over, writes paused",
                                .begin = [&world] { world.sentinel->FailOver(true); },
                                .repair = [&world] { world.sentinel->BringBack(); }});
}

Fault FailOverUnprepared(World& world, std::mt19937_64&) {
  return WithItsReplica(world, {.what = "fail over",
                                .begin = [&world] { world.sentinel->FailOver(false); },
                                .repair = [&world] { world.sentinel->BringBack(); }});
}

Fault KillMaster(World& world, std::mt19937_64&) {
  return WithItsReplica(world,
                        {.what = "kill the master",
                         .begin = [&world] { world.lags.push_back(world.sentinel->KillMaster(absl::ZeroDuration())); },
                         .repair = [&world] { world.sentinel->BringBack(); }});
}

Fault KillMasterThatIsAhead(World& world, std::mt19937_64& random) {
  // Less than what takes the sentinels to give the replica up.
  const absl::Duration cut_off = absl::Milliseconds(Choose(random, 50, 500));
  return WithItsReplica(
      world,
      {.what = absl::StrCat("kill the master, whose replica was cut off ", absl::FormatDuration(cut_off), " ago"),
       .begin = [&world, cut_off] { world.lags.push_back(world.sentinel->KillMaster(cut_off)); },
       .repair = [&world] { world.sentinel->BringBack(); }});
}

Fault RestartAll(World& world, std::mt19937_64&) {
  // By the program's own name, in the data directory of the nodes.
  const auto restart = [&world] {
    std::vector<std::string> command = cluster::StartCommand({});
    command.back() = "restart";
    command.insert(command.end(), {"--data-dir", world.cluster->node(1).data_dir()});
    cluster::Program program(command);
    CHECK_EQ(program.Wait(kRestart).value_or(-1), 0) << program.Out() << program.Err();
  };
  return {.what = "restart all, one after the other", .begin = restart, .recovers_from_begin = true};
}

Fault CutNodeOff(World& world, std::mt19937_64& random) {
  const size_t cut = Choose(random, 0, world.cluster->nodes().size() - 1);
  const Wire::Way way = Choose(random, 0, 1) == 0 ? Wire::Way::kSilent : Wire::Way::kRefusing;
  return {.what = absl::StrCat("node ", cut + 1, " has no way to Redis, ",
                               way == Wire::Way::kSilent ? "silently" : "and hears so"),
          .begin = [&world, cut, way] { world.network->SetWay(cut, way); },
          .hold = PastTheLease(world, random),
          .judge = [&world, cut] { return OtherThan(world, [cut](size_t node) { return node != cut; }); },
          .end = [&world, cut] { world.network->SetWay(cut, Wire::Way::kOpen); }};
}

Fault CutRedisOff(World& world, std::mt19937_64& random) {
  const auto set = [&world](Wire::Way way) {
    for (size_t node = 0; node < world.cluster->nodes().size(); ++node) world.network->SetWay(node, way);
  };
  // The longer it lasts, the later do both ends send again what was not acknowledged.
  return {.what = "no node has a way to Redis",
          .begin = [set] { set(Wire::Way::kSilent); },
          .hold = PastTheLease(world, random) + absl::Milliseconds(Choose(random, 0, 2500)),
          .judge = [&world] { return OtherThan(world, [](size_t) { return false; }); },
          .end = [set] { set(Wire::Way::kOpen); }};
}

Fault Delay(World& world, std::mt19937_64& random) {
  const absl::Duration delay = absl::Milliseconds(Choose(random, 20, 300));
  const size_t node = Choose(random, 0, world.cluster->nodes().size() - 1);
  return {.what = absl::StrCat("node ", node + 1, " has Redis ", absl::FormatDuration(2 * delay), " away"),
          .begin = [&world, node, delay] { world.network->SetDelay(node, delay); },
          .hold = PastTheLease(world, random),
          .end = [&world, node] { world.network->SetDelay(node, absl::ZeroDuration()); }};
}

Fault StepClock(World& world, std::mt19937_64& random) {
  constexpr std::array<int64_t, 8> kSteps = {-86'400, -3'600, -60, -1, 1, 60, 3'600, 86'400};
  const size_t node = Choose(random, 0, world.clocks.size() - 1);
  const int64_t step = kSteps[Choose(random, 0, kSteps.size() - 1)];
  cluster::ClockFile& clock = *world.clocks[node];
  return {.what = absl::StrCat("node ", node + 1, "'s clock jumps by ", step, " s"),
          .begin = [&clock, step] { clock.Step(step); },
          .recovers_from_begin = true};
}

}  // namespace actioncluster::chaos

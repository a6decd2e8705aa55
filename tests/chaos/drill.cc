#include "tests/chaos/drill.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/chaos/load_counters.h"
#include "tests/chaos/load_lists.h"
#include "tests/chaos/load_rooms.h"
#include "tests/chaos/load_rpc.h"
#include "tests/chaos/load_values.h"

namespace actioncluster::chaos {
namespace {

using cluster::Await;
using cluster::Cluster;
using cluster::Node;

constexpr absl::Duration kRecoveryLimit = absl::Seconds(60);  // Then it does not recover at all.
constexpr absl::Duration kStopLimit = absl::Seconds(30);
constexpr absl::Duration kSettleLimit = absl::Seconds(60);
constexpr int kSamples = 60;
constexpr char kApiToken[] =
    "the-clients-of-this-drill-show-this";  // Nodes whose Redis is found by sentinels ask for one.

// Only where the scenario asks for one.
absl::Status MakeNetwork(const Scenario& scenario, World& world) {
  if (scenario.nodes != Scenario::Nodes::kInNetworks) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Network>> network = Network::Create(static_cast<size_t>(world.options.nodes));
  if (network.ok()) world.network = *std::move(network);
  return network.status();
}

void SetUp(const Scenario& scenario, World& world) {
  if (world.network != nullptr) {
    world.single = std::make_unique<SingleRedis>(world.network->redis_namespace(), Network::redis_address());
  } else if (scenario.redis == Scenario::Redis::kSingle) {
    world.single = std::make_unique<SingleRedis>();
  } else {
    world.sentinel = std::make_unique<SentinelRedis>();
  }
  Cluster::Options options;
  options.lease = world.options.lease;
  cluster::WriteFile(world.directory / "api-token", kApiToken);
  options.flags = {"--task-lease", absl::FormatDuration(world.options.lease), "--api-token-file",
                   world.directory / "api-token"};
  if (world.options.ack_replicas > 0)
    options.flags.insert(options.flags.end(), {"--ack-replicas", absl::StrCat(world.options.ack_replicas)});
  options.redis_url = world.backing().url();
  world.cluster = std::make_unique<Cluster>(0, options);
  if (scenario.nodes == Scenario::Nodes::kOneSupervisor) {
    world.cluster->Start({.workers = world.options.nodes});
    return;
  }
  for (int i = 0; i < world.options.nodes; ++i) {
    Cluster::StartOptions start;
    if (world.network != nullptr) {
      start.network = world.network->node_namespace(static_cast<size_t>(i));
      start.host = Network::node_address(static_cast<size_t>(i));
    }
    if (scenario.nodes == Scenario::Nodes::kWithOwnClocks) {
      world.clocks.push_back(std::make_unique<cluster::ClockFile>(world.directory / absl::StrCat("clock-", i)));
      start.environment = world.clocks.back()->environment();
    }
    world.cluster->Start(std::move(start));
  }
}

void AddLoads(World& world) {
  LoadOptions options;
  for (const Node& node : world.cluster->nodes()) {
    options.addresses.push_back(node.address());
    options.node_ids.push_back(node.id());
  }
  options.api_token = kApiToken;
  options.directory = world.directory / ".";
  const auto share = [&](double part) {
    LoadOptions of_one = options;
    of_one.rate = part * world.options.rate;
    of_one.seed = world.options.seed * 1000 + 100 * world.loads.size();
    return of_one;
  };
  world.loads.push_back(std::make_unique<CounterLoad>(share(0.10)));
  world.loads.push_back(std::make_unique<ValueLoad>(share(0.20)));
  world.loads.push_back(std::make_unique<ListLoad>(share(0.20)));
  auto tasks = std::make_unique<TaskLoad>(share(0.15));
  world.tasks = tasks.get();
  world.loads.push_back(std::move(tasks));
  world.loads.push_back(std::make_unique<RpcLoad>(share(0.25)));
  world.loads.push_back(std::make_unique<RoomLoad>(share(0.10)));
}

// The number after this name, in a text of lines.
int64_t Field(const std::string& text, const std::string& name) {
  for (absl::string_view line : absl::StrSplit(text, absl::ByAnyChar("\r\n"), absl::SkipEmpty())) {
    if (!absl::ConsumePrefix(&line, absl::StrCat(name, ":"))) continue;
    int64_t number = 0;
    const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    return !words.empty() && absl::SimpleAtoi(words[0], &number) ? number : 0;
  }
  return 0;
}

Sample TakeSample(World& world, absl::Duration at) {
  Sample sample = {.at = at};
  for (const Node& node : world.cluster->nodes()) {
    const std::string process = absl::StrCat("/proc/", node.pid());
    sample.node_bytes += 1024 * Field(cluster::ReadFile(process + "/status"), "VmRSS");
    std::error_code ignored;
    for (auto file = std::filesystem::directory_iterator(process + "/fd", ignored);
         file != std::filesystem::directory_iterator(); ++file)
      ++sample.node_files;
  }
  fakes::RedisServer& redis = world.backing().master();
  sample.redis_keys = redis.Command({"DBSIZE"}).view().Integer().value_or(0);
  sample.redis_bytes =
      Field(std::string(redis.Command({"INFO", "memory"}).view().String().value_or("")), "used_memory");
  return sample;
}

// Between the first load and the last fault.
class Course {
 public:
  Course(const Scenario& scenario, World& world, Ledger& ledger)
      : scenario_(scenario), world_(world), ledger_(ledger), random_(world.options.seed) {
    for (const auto& load : world.loads) ledger.kinds.push_back({.kind = load->kind()});
  }

  void Run() {
    const absl::Duration every = std::clamp(world_.options.length / kSamples, absl::Seconds(1), absl::Minutes(1));
    absl::Time sample = begun_;
    while (!IsOver() && ledger_.problems.empty()) {
      if (absl::Now() >= sample && world_.options.length >= absl::Minutes(1)) {
        ledger_.samples.push_back(TakeSample(world_, absl::Now() - begun_));
        sample += every;
      }
      // The pace of what happens; nothing is waited for by it.
      absl::SleepFor(absl::Milliseconds(Choose(random_, 200, 1200)));
      if (scenario_.fault != nullptr) Hit(scenario_.fault(world_, random_));
    }
    ledger_.took = absl::Now() - begun_;
  }

  // Each client has had a success since then.
  bool AwaitRecovery(absl::Time since) const {
    return Await(
        [&] {
          return std::ranges::all_of(world_.loads,
                                     [since](const auto& load) { return load->meter().AllSucceededSince(since); });
        },
        kRecoveryLimit);
  }

 private:
  bool IsOver() const {
    if (world_.options.faults > 0) return ledger_.faults >= world_.options.faults;
    return absl::Now() > begun_ + world_.options.length;
  }

  void Hit(const Fault& fault) {
    const absl::Time before = absl::Now();
    fault.begin();
    const absl::Time begun = absl::Now();
    absl::SleepFor(fault.hold);
    if (const std::string wrong = fault.judge(); !wrong.empty()) {
      ledger_.problems.push_back(absl::StrCat(fault.what, ": ", wrong));
    }
    fault.end();
    const absl::Time ended = absl::Now();
    const absl::Time since = fault.recovers_from_begin ? begun : ended;
    if (!AwaitRecovery(since)) ledger_.problems.push_back(absl::StrCat("some clients do not recover: ", fault.what));
    ++ledger_.faults;
    ledger_.fault_length = std::max(ledger_.fault_length, ended - before);
    absl::Duration longest = absl::ZeroDuration();
    for (size_t i = 0; i < world_.loads.size(); ++i) {
      for (const absl::Duration one : world_.loads[i]->meter().RecoveriesFrom(since)) {
        ledger_.kinds[i].recoveries.push_back(one);
        longest = std::max(longest, one);
      }
    }
    std::cerr << absl::FormatTime("%H:%M:%E3S ", before, absl::UTCTimeZone()) << scenario_.name << " " << ledger_.faults
              << ": " << fault.what << ", for "
              << absl::FormatDuration(absl::Trunc(ended - before, absl::Milliseconds(1))) << "; all recovered after "
              << absl::FormatDuration(absl::Trunc(longest, absl::Milliseconds(1))) << std::endl;
    fault.repair();
    if (world_.sentinel != nullptr && !world_.sentinel->failure().empty())
      ledger_.problems.push_back(absl::StrCat("Redis: ", world_.sentinel->failure()));
  }

  const Scenario& scenario_;
  World& world_;
  Ledger& ledger_;
  std::mt19937_64 random_;
  const absl::Time begun_ = absl::Now();
};

// False: some do not end, so that nothing can be taken down any more.
bool StopLoads(World& world, Ledger& ledger) {
  bool stopped = true;
  for (const auto& load : world.loads) {
    if (load->Stop(kStopLimit)) continue;
    ledger.problems.push_back(absl::StrCat(load->kind(), ": some clients do not end"));
    stopped = false;
  }
  return stopped;
}

void Account(World& world, Ledger& ledger) {
  for (size_t i = 0; i < world.loads.size(); ++i) {
    Load& load = *world.loads[i];
    KindResult& result = ledger.kinds[i];
    result.attempted = load.meter().attempted();
    result.acknowledged = load.meter().acknowledged();
    result.failed = load.meter().failed();
    result.stuck = load.meter().stuck();
    result.longest_gap = load.meter().longest_gap();
    if (!load.Settle(kSettleLimit)) ledger.problems.push_back(absl::StrCat(load.kind(), ": does not come to rest"));
    load.Judge(result);
  }
}

void KeepLogs(const World& world, const std::string& scenario) {
  for (const Node& node : world.cluster->nodes()) {
    cluster::WriteFile(absl::StrCat(world.options.logs, "/", scenario, "-", node.id(), ".log"), node.log(), 0644);
  }
}

}  // namespace

Ledger RunDrill(const Scenario& scenario, const DrillOptions& options) {
  auto world = std::make_unique<World>();
  world->options = options;
  Ledger ledger = {.scenario = scenario.name,
                   .seed = options.seed,
                   .nodes = options.nodes,
                   .lease = options.lease,
                   .ack_replicas = options.ack_replicas,
                   .may_lose = scenario.may_lose && options.ack_replicas == 0};
  if (const absl::Status status = MakeNetwork(scenario, *world); !status.ok()) {
    ledger.problems.emplace_back(status.message());
    return ledger;
  }
  SetUp(scenario, *world);
  AddLoads(*world);
  for (const auto& load : world->loads) load->Start();
  Course course(scenario, *world, ledger);
  if (course.AwaitRecovery(absl::UnixEpoch())) {
    course.Run();
  } else {
    ledger.problems.emplace_back("some clients never succeed");
  }
  ledger.lags = world->lags;
  if (world->sentinel != nullptr) ledger.unasked_failovers = world->sentinel->unasked();
  if (StopLoads(*world, ledger)) {
    Account(*world, ledger);
    if (!options.logs.empty()) KeepLogs(*world, scenario.name);
  } else {
    for (size_t i = 0; i < world->loads.size(); ++i) ledger.kinds[i].stuck = world->loads[i]->meter().stuck();
    if (!options.logs.empty()) KeepLogs(*world, scenario.name);
    (void)world.release();  // Their threads use it.
  }
  return ledger;
}

}  // namespace actioncluster::chaos

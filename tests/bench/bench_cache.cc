// What the cache costs through a node, in ratios to a bare gRPC echo of the same run; and how long Loads take while the whole cache is scanned:
//
//   cmake --preset release && ninja -C build/release bench_cache && build/release/bench_cache [--seconds 3] [--in-flight 1,64] [--keys 1000000] [--scans ListKeys,Size,Dump,Clear] [--rounds 3]
//
// It starts an echo server, a redis-server of its own and nodes, each a process, and measures one thing after the other in a closed
// loop. The machine swings, so compare ratios, of a run on a quiet machine. Takes some minutes with a million keys; `--keys 0`: without scans; `--scans`: nothing but these. CPU is µs for each
// operation, by process.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/cache.h"
#include "actioncluster/client.h"
#include "glog/logging.h"
#include "tests/bench/cache_load.h"
#include "tests/bench/cache_scans.h"
#include "tests/bench/echo.h"
#include "tests/bench/table.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::bench {
namespace {

constexpr int kThreads = 64;

struct Options {
  TableOptions table;
  ScanOptions scans;
};

std::vector<Process> ProcessesOf(cluster::Cluster& nodes) {
  std::vector<Process> processes = {{"client", getpid()}, {"redis", nodes.redis().pid()}};
  for (const cluster::Node& node : nodes.nodes()) processes.push_back({node.id().substr(14), node.pid()});
  return processes;
}

// Threads that each call and wait, through the C++ client.
void MeasureClient(Table& table, cluster::Cluster& nodes) {
  for (const bool coalesce : {true, false}) {
    client::ClientOptions options;
    options.addresses = {nodes.node(1).address()};
    options.coalesce = coalesce;
    const auto client = client::Client::Create(options);
    CHECK(client.ok()) << client.status();
    client::Cache cache(**client);
    const auto load = [&cache] {
      static std::atomic<uint64_t> next = 0;
      v1::LoadRequest request;
      request.set_key(CacheKeys::Name(next++));
      return cache.Load(request).ok();
    };
    const auto save = [&cache] {
      static std::atomic<uint64_t> next = 0;
      v1::SaveRequest request;
      request.set_key(CacheKeys::Name(next++));
      request.set_data(CacheKeys::Value());
      return cache.Save(request).ok();
    };
    const std::string how = coalesce ? ", client that coalesces" : ", client that does not";
    const std::vector<Process> processes = ProcessesOf(nodes);
    for (const int threads : {1, kThreads}) {
      table.MeasureLoop(absl::StrCat("Load", how), threads, 1, processes,
                        [&](absl::Duration length) { return RunThreads(threads, length, load); });
    }
    table.MeasureLoop(absl::StrCat("Save", how), kThreads, 1, processes,
                      [&](absl::Duration length) { return RunThreads(kThreads, length, save); });
  }
}

void MeasureCalls(Table& table) {
  cluster::Cluster nodes(2, {.lease = absl::Seconds(5), .flags = {"--near-cache-bytes", "67108864"}, .redis = {}});
  v1::CacheService::Stub& one = nodes.node(1).cache();
  v1::CacheService::Stub& two = nodes.node(2).cache();
  CacheKeys::Fill(one);
  const std::vector<Process> processes = ProcessesOf(nodes);
  table.Measure("Load", processes, LoadCall(one));
  table.Measure("Load, near", processes, LoadCall(one, true));
  table.Measure("Load, its read noted", processes, TrackedLoadCall(one));
  table.Measure("Save", processes, SaveCall(one));
  table.Measure("Increment", processes, IncrementCall(one));
  table.Measure("LoadMany of 100", 4, 100, processes, LoadManyCall(one, 100));
  {
    LoadFrames frames(one);
    for (const int loads : {16, 100}) {
      for (const int in_flight : {1, 4})
        table.Measure(absl::StrCat("Pipeline, ", loads, " Loads a frame"), in_flight, loads, processes,
                      frames.operation(loads));
    }
  }
  table.Measure("Lock and Unlock", processes, LockAndUnlock(one));
  table.Measure("Push, Pop at the other node", processes, PushAndPop(one, two));
  table.Measure("Pop that waits, Push elsewhere", processes, WaitAndPush(one, two));
  MeasureClient(table, nodes);
}

// Takes an option and its value out of `args`; nothing if it is not there.
std::optional<std::string> TakeOption(std::vector<std::string>* args, const std::string& name) {
  for (size_t i = 0; i + 1 < args->size(); i += 2) {
    if ((*args)[i] != name) continue;
    std::string value = (*args)[i + 1];
    const auto at = args->begin() + static_cast<std::ptrdiff_t>(i);
    args->erase(at, at + 2);
    return value;
  }
  return std::nullopt;
}

bool Parse(std::vector<std::string> args, Options* options) {
  const auto keys = TakeOption(&args, "--keys");
  if (keys.has_value() && (!absl::SimpleAtoi(*keys, &options->scans.keys) || options->scans.keys < 0)) return false;
  const auto rounds = TakeOption(&args, "--rounds");
  if (rounds.has_value() && (!absl::SimpleAtoi(*rounds, &options->scans.rounds) || options->scans.rounds < 1))
    return false;
  if (const auto scans = TakeOption(&args, "--scans")) options->scans.which = absl::StrSplit(*scans, ',');
  if (!Parse(args, &options->table)) return false;
  options->scans.in_flight = options->table.in_flight;
  return true;
}

int Main(std::vector<std::string> args) {
  if (args.size() == 2 && args[0] == "echo") return ServeEcho(args[1]);
  Options options;
  if (!Parse(std::move(args), &options)) {
    std::fputs(
        "Usage: bench_cache [--seconds S] [--in-flight N,N,...] [--keys N] [--scans NAME,NAME,...] [--rounds N]\n",
        stderr);
    return 2;
  }
  Table table(options.table);
  if (options.scans.which.empty()) {
    MeasureEcho(table);
    MeasureCalls(table);
  }
  if (options.scans.keys > 0) MeasureScans(options.scans);
  return table.failed() ? 1 : 0;
}

}  // namespace
}  // namespace actioncluster::bench

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::WARNING;
  google::InitGoogleLogging(argv[0]);
  return actioncluster::bench::Main(std::vector<std::string>(argv + 1, argv + argc));
}

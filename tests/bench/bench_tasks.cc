// What a task through the cluster costs, in ratios to a bare gRPC echo of the same run, beside other queues on Redis:
//
//   cmake --preset release && ninja -C build/release bench_tasks && build/release/bench_tasks [--seconds 3] [--in-flight 1,64] [--peers DIR]
//
// DIR has been made by tests/bench/peers/install. It starts an echo server, a redis-server of its own, two nodes, each a process, and has clients and workers in
// its own; and measures one thing after the other in a closed loop. The machine swings, so compare ratios, of a run on a quiet machine. Takes about a minute. CPU is
// µs for each task, by process.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "glog/logging.h"
#include "tests/bench/echo.h"
#include "tests/bench/table.h"
#include "tests/bench/task_load.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"
#include "tests/fakes/redis_server.h"

namespace actioncluster::bench {
namespace {

constexpr int kBatch = 100;
constexpr absl::Duration kPeerLimit = absl::Minutes(2);

void MeasureTasks(Table& table) {
  using Until = TaskLoad::Until;
  cluster::Cluster nodes(2, {.lease = absl::Seconds(5)});
  v1::TaskService::Stub& one = nodes.node(1).tasks();
  v1::TaskService::Stub& two = nodes.node(2).tasks();
  const std::vector<Process> processes = {{"client", getpid()},
                                          {"node-1", nodes.node(1).pid()},
                                          {"node-2", nodes.node(2).pid()},
                                          {"redis", nodes.redis().pid()}};
  {
    TaskLoad load(one, {.queue = "enqueue"});
    table.Measure("Enqueue", processes, load.operation(Until::kEnqueued));
    table.Measure("EnqueueMany of 100", 1, kBatch, processes, load.operation(Until::kEnqueued, kBatch));
    table.Measure("EnqueueMany of 100", 4, kBatch, processes, load.operation(Until::kEnqueued, kBatch));
  }
  {
    TaskLoad load(one, {.queue = "idle", .workers = {&two}});
    table.Measure("Enqueue to start, other node, idle", 1, 1, processes, load.operation(Until::kStarted));
  }
  for (const uint32_t concurrency : {64U, 256U}) {
    TaskLoad load(one, {.queue = absl::StrCat("other-", concurrency), .workers = {&two}, .concurrency = concurrency});
    const std::string worker = absl::StrCat(", worker of ", concurrency);
    table.Measure(absl::StrCat("Enqueue to end", worker), processes, load.operation(Until::kRecorded));
    table.Measure(absl::StrCat("100 to end", worker), 4, kBatch, processes, load.operation(Until::kRecorded, kBatch));
  }
  TaskLoad load(one, {.queue = "both", .workers = {&one, &two}, .concurrency = 256});
  table.Measure("Enqueue to end, a worker on each", processes, load.operation(Until::kRecorded));
  table.Measure("100 to end, a worker on each", 8, kBatch, processes, load.operation(Until::kRecorded, kBatch));
}

// A peer says a line for each measurement: `IN_FLIGHT PER_SECOND P50_US P99_US WHAT`.
void MeasurePeer(Table& table, const std::vector<std::string>& command) {
  fakes::RedisServer redis;
  std::vector<std::string> args = command;
  args.insert(args.end(), {redis.unix_path(), absl::StrCat(table.options().seconds)});
  cluster::Program peer(args);
  if (peer.Wait(kPeerLimit) != std::make_optional(0)) std::printf("%s: %s", args[1].c_str(), peer.Err().c_str());
  const std::string said = peer.Out();
  for (const absl::string_view line : absl::StrSplit(said, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 4));
    int in_flight = 0;
    double per_second = 0;
    double p50 = 0;
    double p99 = 0;
    if (words.size() != 5 || !absl::SimpleAtoi(words[0], &in_flight) || !absl::SimpleAtod(words[1], &per_second) ||
        !absl::SimpleAtod(words[2], &p50) || !absl::SimpleAtod(words[3], &p99)) {
      continue;
    }
    table.Print(words[4], in_flight, per_second, p50, p99);
    std::printf("\n");
    std::fflush(stdout);
  }
}

int Main(std::vector<std::string> args) {
  if (args.size() == 2 && args[0] == "echo") return ServeEcho(args[1]);
  TableOptions options;
  std::string peers;
  if (args.size() >= 2 && args[args.size() - 2] == "--peers") {
    peers = args.back();
    args.resize(args.size() - 2);
  }
  if (!Parse(args, &options)) {
    std::fputs("Usage: bench_tasks [--seconds S] [--in-flight N,N,...] [--peers DIR]\n", stderr);
    return 2;
  }
  Table table(std::move(options));
  MeasureEcho(table);
  MeasureTasks(table);
  if (!peers.empty()) {
    for (const char* script : {"bullmq.mjs", "resque.mjs"})
      MeasurePeer(table, {"node", absl::StrCat(peers, "/", script)});
    if (access(absl::StrCat(peers, "/asynq").c_str(), X_OK) == 0) MeasurePeer(table, {absl::StrCat(peers, "/asynq")});
  }
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

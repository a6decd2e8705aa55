// What a call or a message through the cluster costs, in ratios to a bare gRPC echo and to bare pub/sub of the same run:
//
//   cmake --preset release && ninja -C build/release bench_rpc && build/release/bench_rpc [--seconds 3] [--in-flight 1,64]
//
// It starts an echo server, a redis-server of its own, four nodes and the applications, each a process, and measures one thing after the other in a closed
// loop. The machine swings, so compare ratios, of a run on a quiet machine. Takes about a minute. CPU is µs for each operation, by process.
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "glog/logging.h"
#include "tests/bench/application.h"
#include "tests/bench/echo.h"
#include "tests/bench/node_calls.h"
#include "tests/bench/publishing.h"
#include "tests/bench/pubsub.h"
#include "tests/bench/table.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"

namespace actioncluster::bench {
namespace {

void MeasurePubSub(Table& table) {
  fakes::RedisServer redis;
  const std::string url =
      absl::StrCat("unix://", redis.unix_path());  // Channels of its own are not for the nodes' user.
  Asker asker(redis.administrator());
  std::deque<std::unique_ptr<cluster::Program>> responders;
  responders.push_back(StartRole({"pubsub", url}));
  const std::vector<Process> processes = {
      {"asker", getpid()}, {"responder", responders[0]->pid()}, {"redis", redis.pid()}};
  table.Measure("pub/sub request and reply", processes, asker.operation());
  for (int i = 0; i < 2; ++i) responders.push_back(StartRole({"pubsub", url}));
  table.Measure("pub/sub, first of 3", processes, asker.operation());
}

void MeasureNodes(Table& table) {
  cluster::Cluster nodes(4, {.lease = absl::Seconds(5), .flags = {}});
  std::deque<std::unique_ptr<cluster::Program>> applications;
  applications.push_back(StartRole({"application", nodes.node(1).address(), "local"}));
  applications.push_back(StartRole({"application", nodes.node(2).address(), "one", "three"}));
  applications.push_back(StartRole({"application", nodes.node(3).address(), "three"}));
  applications.push_back(StartRole({"application", nodes.node(4).address(), "three"}));
  const Process caller = {"caller", getpid()};
  const Process redis = {"redis", nodes.redis().pid()};
  const Process first = {"node-1", nodes.node(1).pid()};
  const Process second = {"node-2", nodes.node(2).pid()};
  const Process application = {"app-2", applications[1]->pid()};
  v1::RpcService::Stub& stub = nodes.node(1).rpc();
  table.Measure("Call, answered on the asked node", {caller, first, {"app-1", applications[0]->pid()}, redis},
                UnaryCall(stub, "local"));
  const std::vector<Process> both = {caller, first, second, application, redis};
  table.Measure("Call, answered on another node", both, UnaryCall(stub, "one"));
  table.Measure("Call, first of 3 nodes", both, UnaryCall(stub, "three"));
  table.Measure("CallAll of 3 nodes", both, GatheringCall(stub, "three", 3));

  v1::PubSubService::Stub& from = nodes.node(1).pubsub();
  v1::PubSubService::Stub& to = nodes.node(2).pubsub();
  const std::vector<Process> publishing = {caller, first, second, redis};
  Publishing unheard(from, to, "unheard", 0);
  table.Measure("Publish, nobody subscribed", publishing, unheard.operation());
  Publishing heard(from, to, "heard", 1);
  table.Measure("Publish, heard on another node", publishing, heard.operation());
  Publishing shared(from, to, "shared", 100);
  table.Measure("Publish, heard by 100 there", publishing, shared.operation());
}

int Main(const std::vector<std::string>& args) {
  if (args.size() == 2 && args[0] == "echo") return ServeEcho(args[1]);
  if (args.size() == 2 && args[0] == "pubsub") return ServePubSub(args[1]);
  if (args.size() >= 2 && args[0] == "application") return ServeApplication(args[1], {args.begin() + 2, args.end()});
  TableOptions options;
  if (!Parse(args, &options)) {
    std::fputs("Usage: bench_rpc [--seconds S] [--in-flight N,N,...]\n", stderr);
    return 2;
  }
  Table table(std::move(options));
  MeasureEcho(table);
  MeasurePubSub(table);
  MeasureNodes(table);
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

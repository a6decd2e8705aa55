// What a call or a message through the cluster costs, in ratios to a bare gRPC echo and to bare pub/sub of the same run:
//
//   cmake --preset release && ninja -C build/release bench_rpc && build/release/bench_rpc [--seconds 3] [--in-flight 1,64]
//
// It starts an echo server, a redis-server of its own, four nodes and the applications, each a process, and measures one thing after the other in a closed
// loop. The machine swings, so compare ratios, of a run on a quiet machine. Takes about a minute. CPU is µs for each operation, by process.
#include <grpcpp/create_channel.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "glog/logging.h"
#include "tests/bench/application.h"
#include "tests/bench/closed_loop.h"
#include "tests/bench/cpu_time.h"
#include "tests/bench/echo.h"
#include "tests/bench/node_calls.h"
#include "tests/bench/publishing.h"
#include "tests/bench/pubsub.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/ports.h"
#include "tests/cluster/program.h"

namespace actioncluster::bench {
namespace {

constexpr absl::Duration kWarmUp = absl::Milliseconds(500);

struct Options {
  double seconds = 3;
  std::vector<int> in_flight = {1, 64};
};

// A process whose CPU time is shown.
struct Process {
  std::string name;
  pid_t pid;
};

// Measures, and prints a line for each measurement.
class Table {
 public:
  explicit Table(Options options) : options_(std::move(options)) {
    std::printf("%-36s %9s %9s %7s %8s %8s  %s\n", "what", "in flight", "a second", "x echo", "p50 us", "p99 us",
                "CPU us");
  }

  void Measure(const std::string& what, const std::vector<Process>& processes, const Operation& operation) {
    for (const int in_flight : options_.in_flight) Measure(what, in_flight, processes, operation);
  }
  bool failed() const { return failed_; }

 private:
  void Measure(const std::string& what, int in_flight, const std::vector<Process>& processes,
               const Operation& operation) {
    RunClosedLoop(in_flight, kWarmUp, operation);
    std::vector<absl::Duration> before;
    for (const Process& process : processes) before.push_back(CpuTimeOf(process.pid));
    const Measurement measured = RunClosedLoop(in_flight, absl::Seconds(options_.seconds), operation);
    // The first measurement is the echo.
    const double echo = echo_.emplace(in_flight, measured.PerSecond()).first->second;
    std::printf("%-36s %9d %9.0f %7.2f %8.0f %8.0f ", what.c_str(), in_flight, measured.PerSecond(),
                measured.PerSecond() / echo, absl::ToDoubleMicroseconds(measured.p50),
                absl::ToDoubleMicroseconds(measured.p99));
    for (size_t i = 0; i < processes.size(); ++i) {
      const absl::Duration used = CpuTimeOf(processes[i].pid) - before[i];
      std::printf(" %s %.1f", processes[i].name.c_str(),
                  absl::ToDoubleMicroseconds(used) / static_cast<double>(measured.operations));
    }
    if (measured.failures > 0) std::printf("  FAILED: %llu", static_cast<unsigned long long>(measured.failures));
    std::printf("\n");
    std::fflush(stdout);
    failed_ = failed_ || measured.failures > 0;
  }

  const Options options_;
  std::map<int, double> echo_;  // By in flight.
  bool failed_ = false;
};

// This program again, in another role, when it is ready.
std::unique_ptr<cluster::Program> StartRole(const std::vector<std::string>& role) {
  std::vector<std::string> args = {"/proc/self/exe"};
  args.insert(args.end(), role.begin(), role.end());
  auto program = std::make_unique<cluster::Program>(args);
  CHECK(program->AwaitOut("ready")) << role[0] << " does not start: " << program->Err();
  return program;
}

void MeasureEcho(Table& table) {
  const cluster::Ports port(1);
  const std::string address = absl::StrCat("127.0.0.1:", port.first());
  const auto server = StartRole({"echo", address});
  const auto stub = v1::RpcService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  table.Measure("gRPC unary echo", {{"caller", getpid()}, {"server", server->pid()}}, UnaryCall(*stub, "echo"));
}

void MeasurePubSub(Table& table) {
  fakes::RedisServer redis;
  Asker asker(redis.endpoint());
  std::deque<std::unique_ptr<cluster::Program>> responders;
  responders.push_back(StartRole({"pubsub", redis.url()}));
  const std::vector<Process> processes = {
      {"asker", getpid()}, {"responder", responders[0]->pid()}, {"redis", redis.pid()}};
  table.Measure("pub/sub request and reply", processes, asker.operation());
  for (int i = 0; i < 2; ++i) responders.push_back(StartRole({"pubsub", redis.url()}));
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

bool Parse(const std::vector<std::string>& args, Options* options) {
  if (args.size() % 2 != 0) return false;
  for (size_t i = 0; i < args.size(); i += 2) {
    if (args[i] == "--seconds") {
      if (!absl::SimpleAtod(args[i + 1], &options->seconds) || !(options->seconds > 0)) return false;
    } else if (args[i] == "--in-flight") {
      options->in_flight.clear();
      for (const absl::string_view number : absl::StrSplit(args[i + 1], ',')) {
        int value = 0;
        if (!absl::SimpleAtoi(number, &value) || value < 1) return false;
        options->in_flight.push_back(value);
      }
    } else {
      return false;
    }
  }
  return true;
}

int Main(const std::vector<std::string>& args) {
  if (args.size() == 2 && args[0] == "echo") return ServeEcho(args[1]);
  if (args.size() == 2 && args[0] == "pubsub") return ServePubSub(args[1]);
  if (args.size() >= 2 && args[0] == "application") return ServeApplication(args[1], {args.begin() + 2, args.end()});
  Options options;
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

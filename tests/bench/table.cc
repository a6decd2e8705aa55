#include "tests/bench/table.h"

#include <grpcpp/create_channel.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "glog/logging.h"
#include "tests/bench/cpu_time.h"
#include "tests/bench/echo.h"
#include "tests/cluster/ports.h"

namespace actioncluster::bench {
namespace {

constexpr absl::Duration kWarmUp = absl::Milliseconds(500);

}  // namespace

bool Parse(const std::vector<std::string>& args, TableOptions* options) {
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

Table::Table(TableOptions options) : options_(std::move(options)) {
  std::printf("%-36s %9s %9s %7s %8s %8s  %s\n", "what", "in flight", "a second", "x echo", "p50 us", "p99 us",
              "CPU us");
}

void Table::Measure(const std::string& what, const std::vector<Process>& processes, const Operation& operation) {
  for (const int in_flight : options_.in_flight) Measure(what, in_flight, 1, processes, operation);
}

void Table::Measure(const std::string& what, int in_flight, int each, const std::vector<Process>& processes,
                    const Operation& operation) {
  MeasureLoop(what, in_flight, each, processes,
              [&](absl::Duration length) { return RunClosedLoop(in_flight, length, operation); });
}

void Table::MeasureLoop(const std::string& what, int in_flight, int each, const std::vector<Process>& processes,
                        absl::FunctionRef<Measurement(absl::Duration length)> loop) {
  loop(kWarmUp);
  std::vector<absl::Duration> before;
  before.reserve(processes.size());
  for (const Process& process : processes) before.push_back(CpuTimeOf(process.pid));
  const Measurement measured = loop(absl::Seconds(options_.seconds));
  std::vector<absl::Duration> used;
  used.reserve(processes.size());
  for (size_t i = 0; i < processes.size(); ++i) used.push_back(CpuTimeOf(processes[i].pid) - before[i]);
  Print(what, in_flight, measured.PerSecond() * each, absl::ToDoubleMicroseconds(measured.p50),
        absl::ToDoubleMicroseconds(measured.p99));
  for (size_t i = 0; i < processes.size(); ++i) {
    std::printf(" %s %.1f", processes[i].name.c_str(),
                absl::ToDoubleMicroseconds(used[i]) / static_cast<double>(measured.operations) / each);
  }
  if (measured.failures > 0) std::printf("  FAILED: %llu", static_cast<unsigned long long>(measured.failures));
  std::printf("\n");
  std::fflush(stdout);
  failed_ = failed_ || measured.failures > 0;
}

void Table::Print(const std::string& what, int in_flight, double per_second, double p50_us, double p99_us) {
  if (first_.empty()) first_ = what;
  if (what == first_) echo_[in_flight] = per_second;
  const auto found = echo_.find(in_flight);
  const double echo = found == echo_.end() ? echo_.rbegin()->second : found->second;
  std::printf("%-36s %9d %9.0f %7.2f %8.0f %8.0f ", what.c_str(), in_flight, per_second, per_second / echo, p50_us,
              p99_us);
}

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

}  // namespace actioncluster::bench

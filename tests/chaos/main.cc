// Fault drills: real nodes under the load of real clients, to which something happens again and again; and then what became of what was acknowledged:
//
//   cmake --preset release && ninja -C build/release chaos && build/release/chaos --scenario node-kills [--seed 1] [--length 10s | --faults 50] [--nodes 3] [--ack-replicas N] [--rate 200]
//     [--lease 2s] [--markdown] [--logs DIR]
//   build/release/chaos --list
//
// What happens, when, and to whom follows from the seed; what it meets depends on the machine. The status is 0 only if no invariant is broken. See tests/drills/README.md for long ones.
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "glog/logging.h"
#include "tests/chaos/drill.h"
#include "tests/chaos/ledger.h"
#include "tests/chaos/load_tasks.h"
#include "tests/chaos/network.h"
#include "tests/chaos/scenarios.h"

namespace actioncluster::chaos {
namespace {

struct Arguments {
  std::string scenario = "all";
  bool list = false;
  bool markdown = false;
  DrillOptions drill;
};

// The values of options by their names; those that take none are `yes`. Nothing: they are not understood.
std::optional<std::map<std::string, std::string>> Split(const std::vector<std::string>& args) {
  std::map<std::string, std::string> values;
  for (size_t i = 0; i < args.size(); ++i) {
    if (!absl::StartsWith(args[i], "--")) return std::nullopt;
    const bool alone = args[i] == "--list" || args[i] == "--markdown";
    if (!alone && i + 1 == args.size()) return std::nullopt;
    const std::string name = args[i];
    values[name] = alone ? "yes" : args[++i];
  }
  return values;
}

std::optional<Arguments> Parse(const std::vector<std::string>& args) {
  Arguments parsed;
  const auto values = Split(args);
  if (!values.has_value()) return std::nullopt;
  DrillOptions& drill = parsed.drill;
  for (const auto& [name, value] : *values) {
    const bool good = (name == "--scenario" && !(parsed.scenario = value).empty()) ||
                      (name == "--list" && (parsed.list = true)) ||
                      (name == "--markdown" && (parsed.markdown = true)) ||
                      (name == "--seed" && absl::SimpleAtoi(value, &drill.seed)) ||
                      (name == "--length" && absl::ParseDuration(value, &drill.length)) ||
                      (name == "--faults" && absl::SimpleAtoi(value, &drill.faults) && drill.faults > 0) ||
                      (name == "--nodes" && absl::SimpleAtoi(value, &drill.nodes) && drill.nodes > 1) ||
                      (name == "--ack-replicas" && absl::SimpleAtoi(value, &drill.ack_replicas)) ||
                      (name == "--rate" && absl::SimpleAtod(value, &drill.rate) && drill.rate > 0) ||
                      (name == "--lease" && absl::ParseDuration(value, &drill.lease)) ||
                      (name == "--logs" && !(drill.logs = value).empty());
    if (!good) return std::nullopt;
  }
  return parsed;
}

int Main(const std::vector<std::string>& args) {
  if (!args.empty() && args[0] == "worker") return RunWorker({args.begin() + 1, args.end()});
  const std::optional<Arguments> arguments = Parse(args);
  if (!arguments.has_value()) {
    std::cerr << "Usage: chaos [--scenario NAME|all] [--seed N] [--length TIME | --faults N] [--nodes N] "
                 "[--ack-replicas N] [--rate N] [--lease TIME] [--markdown] [--logs DIR] | --list\n";
    return 2;
  }
  if (arguments->markdown && !arguments->list) PrintMarkdownHead(std::cout);
  const auto asked_for = [&](const Scenario& scenario) {
    return arguments->scenario == "all" || arguments->scenario == scenario.name;
  };
  if (!arguments->list && std::ranges::any_of(Scenarios(), [&](const Scenario& scenario) {
        return asked_for(scenario) && scenario.nodes == Scenario::Nodes::kInNetworks;
      })) {
    if (const absl::Status status = EnterOwnNetwork(); !status.ok()) {
      std::cerr << status.message() << "\n";
      return 1;
    }
  }
  bool found = false;
  bool good = true;
  for (const Scenario& scenario : Scenarios()) {
    if (arguments->list) {
      std::cout << scenario.name << ": " << scenario.about << "\n";
      continue;
    }
    if (!asked_for(scenario)) continue;
    found = true;
    const Ledger ledger = RunDrill(scenario, arguments->drill);
    Print(ledger, arguments->markdown ? std::cerr : std::cout);
    if (arguments->markdown) PrintMarkdown(ledger, std::cout);
    good = good && Broken(ledger).empty();
  }
  if (!found && !arguments->list) std::cerr << "there is no scenario " << arguments->scenario << "\n";
  return arguments->list || (found && good) ? 0 : 1;
}

}  // namespace
}  // namespace actioncluster::chaos

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  signal(SIGPIPE, SIG_IGN);  // Connections to Redis break under our hands.
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::WARNING;
  google::InitGoogleLogging(argv[0]);
  const int status = actioncluster::chaos::Main(std::vector<std::string>(argv + 1, argv + argc));
  std::cout.flush();
  // Without destructors: what is stuck would hold them up.
  std::_Exit(status);
}

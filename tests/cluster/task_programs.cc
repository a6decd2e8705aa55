#include "tests/cluster/task_programs.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::cluster {

WorkerProgram::WorkerProgram(const TempDir& dir, Options options)
    : options_(std::move(options)), ledger_(dir / absl::StrCat("ledger-", options_.name)) {
  Start();
}

void WorkerProgram::Start() {
  std::vector<std::string> command = {TASK_WORKER};
  // Debian's interpreter, as its grpcio is no other's.
  if (options_.language == Language::kPython) command = {"/usr/bin/python3", PYTHON_WORKER};
  command.insert(command.end(), {ledger_, options_.name, options_.queues, absl::StrCat(options_.concurrency)});
  command.insert(command.end(), options_.addresses.begin(), options_.addresses.end());
  program_ = std::make_unique<Program>(command, std::vector<std::string>{absl::StrCat("PYTHONPATH=", PYTHON_STUBS)});
}

void WorkerProgram::KillAndStart() {
  program_ = nullptr;
  Start();
}

TaskEvent WorkerProgram::AwaitEvent(TaskEvent::Kind kind) const {
  std::optional<TaskEvent> found;
  const bool came = Await([&] {
    for (TaskEvent& event : Events()) {
      if (event.kind == kind) found = std::move(event);
    }
    return found.has_value();
  });
  CHECK(came) << options_.name << ": " << ReadFile(ledger_) << program_->Err();
  return *std::move(found);
}

std::vector<std::string> AddressesFrom(Cluster& cluster, size_t first) {
  std::vector<std::string> addresses;
  addresses.reserve(cluster.nodes().size());
  for (const Node& node : cluster.nodes()) addresses.push_back(node.address());
  std::ranges::rotate(addresses, addresses.begin() + static_cast<std::ptrdiff_t>(first % addresses.size()));
  return addresses;
}

TaskLedger LedgerOf(const std::vector<std::unique_ptr<WorkerProgram>>& workers) {
  std::map<std::string, std::string> paths;
  for (const auto& worker : workers) paths.emplace(worker->name(), worker->ledger());
  return TaskLedger(paths);
}

}  // namespace actioncluster::cluster

// A worker in a process of its own, as tests/interop/worker.py in another language: attached to one node after the other, until it is killed.
//
// Usage: cluster_task_worker LEDGER NAME QUEUES CONCURRENCY ADDRESS...; QUEUES with commas between. Prints `started NODE` whenever it is attached. What it does is
// in the task's name:
//   work   is done, and says by whom and with which token
//   echo   is done with its input
//   flaky  fails in its first attempt, then as work
//   chain  as work; an `echo` of its id follows in each of the queues that its input names
//   wait   waits until the file that its input names is there, or it is revoked; then as work

#include <grpcpp/create_channel.h>
#include <unistd.h>

#include <deque>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/cluster/task_calls.h"
#include "tests/cluster/task_ledger.h"
#include "tests/cluster/task_worker.h"

namespace actioncluster::cluster {
namespace {

using Task = TaskWorker::Task;
using Outcomes = TaskWorker::Outcomes;
using Kind = TaskEvent::Kind;

constexpr absl::Duration kPause = absl::Milliseconds(20);
constexpr absl::Duration kLook = absl::Milliseconds(5);

struct Settings {
  std::string ledger;
  std::string name;
  std::vector<std::string> queues;
  uint32_t concurrency;
  std::deque<std::string> addresses;
};

// Attached to one node, and then gone. Kept for as long as one of its tasks runs.
class Attached : public std::enable_shared_from_this<Attached> {
 public:
  Attached(const Settings& settings, const LedgerFile& ledger) : settings_(settings), ledger_(ledger) {}

  // Until the stream ends.
  void Work(const std::string& address) {
    const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    TaskWorker::Options options;
    options.queues = settings_.queues;
    options.concurrency = settings_.concurrency;
    options.name = settings_.name;
    options.on_revoked = [this](const TaskWorker::Revoked& revoked) { OnRevoked(revoked); };
    options.on_recorded = [this](const TaskWorker::Recorded& recorded) {
      ledger_.Write({.kind = Kind::kRecorded,
                     .token = recorded.token(),
                     .reason = absl::StrCat(recorded.state()),
                     .task_id = recorded.task_id()});
    };
    worker_ = std::make_unique<TaskWorker>(channel, std::move(options),
                                           [this](const Task& task, Outcomes& outcomes) { Begin(task, outcomes); });
    if (!worker_->ok()) return;
    std::cout << "started " << worker_->started().node_id() << std::endl;
    worker_->AwaitEnd();
  }

 private:
  void OnRevoked(const TaskWorker::Revoked& revoked) {
    ledger_.Write(
        {.kind = Kind::kRevoked, .token = revoked.token(), .reason = revoked.reason(), .task_id = revoked.task_id()});
    absl::MutexLock lock(&mutex_);
    revoked_.emplace(revoked.task_id(), revoked.token());
  }

  void Begin(const Task& task, Outcomes& outcomes) {
    ledger_.Write({.kind = Kind::kBegun,
                   .token = task.token(),
                   .attempt = static_cast<int>(task.attempt()),
                   .lost_leases = static_cast<int>(task.lost_leases()),
                   .task_id = task.id()});
    if (task.name() == "wait") {
      std::thread([self = shared_from_this(), task] { self->Wait(task); }).detach();
    } else {
      End(task, outcomes);
    }
  }

  void Wait(const Task& task) {
    while (access(task.data().c_str(), F_OK) != 0 && !IsRevoked(task)) absl::SleepFor(kLook);
    Outcomes outcomes;
    End(task, outcomes);
    worker_->Send(outcomes);
  }

  bool IsRevoked(const Task& task) {
    absl::MutexLock lock(&mutex_);
    return revoked_.contains({task.id(), task.token()});
  }

  void End(const Task& task, Outcomes& outcomes) const {
    const bool fails = task.name() == "flaky" && task.attempt() == 1;
    ledger_.Write({.kind = fails ? Kind::kFailed : Kind::kCompleted, .token = task.token(), .task_id = task.id()});
    if (fails) return AddFailed(task, "as it was told", outcomes);
    AddDone(task, task.name() == "echo" ? task.data() : absl::StrCat(settings_.name, " ", task.token()), outcomes);
    if (task.name() != "chain") return;
    for (const absl::string_view queue : absl::StrSplit(task.data(), ',')) {
      *outcomes.mutable_completed()->rbegin()->add_enqueue() =
          Retained(WithData(task.id(), NewTask("echo", std::string(queue))));
    }
  }

  const Settings& settings_;
  const LedgerFile& ledger_;
  absl::Mutex mutex_;
  std::set<std::pair<std::string, int64_t>> revoked_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<TaskWorker> worker_;
};

int Main(const std::vector<std::string>& args) {
  Settings settings;
  if (args.size() < 5 || !absl::SimpleAtoi(args[3], &settings.concurrency)) {
    std::cerr << "Usage: cluster_task_worker LEDGER NAME QUEUES CONCURRENCY ADDRESS...\n";
    return 2;
  }
  settings.ledger = args[0];
  settings.name = args[1];
  settings.queues = absl::StrSplit(args[2], ',');
  settings.addresses = {args.begin() + 4, args.end()};
  const LedgerFile ledger(settings.ledger);
  while (true) {
    std::make_shared<Attached>(settings, ledger)->Work(settings.addresses.front());
    settings.addresses.push_back(settings.addresses.front());
    settings.addresses.pop_front();
    absl::SleepFor(kPause);  // All may be gone.
  }
}

}  // namespace
}  // namespace actioncluster::cluster

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  google::InitGoogleLogging(argv[0]);
  return actioncluster::cluster::Main(std::vector<std::string>(argv + 1, argv + argc));
}

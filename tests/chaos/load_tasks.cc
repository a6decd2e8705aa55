#include "tests/chaos/load_tasks.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actioncluster/worker.h"
#include "glog/logging.h"
#include "tests/cluster/ask.h"
#include "tests/cluster/task_ledger.h"

namespace actioncluster::chaos {
namespace {

using client::TaskContent;
using client::TaskContext;
using client::Tasks;
using cluster::LedgerFile;
using cluster::TaskEvent;

constexpr size_t kClients = 2;
constexpr char kQueue[] = "chaos";
constexpr uint32_t kConcurrency = 8;
constexpr absl::Duration kWork =
    absl::Milliseconds(20);  // How long a task takes, so that some run whenever something happens.
constexpr absl::Duration kRepeats = absl::Seconds(50);  // An id is known for a minute after the task's end.

}  // namespace

TaskLoad::TaskLoad(LoadOptions options)
    : Load("tasks", std::move(options), kClients), clients_(kClients), workers_(kWorkers) {
  for (size_t client = 0; client < kClients; ++client) clients_[client].client = NewClient(client);
}

std::string TaskLoad::LedgerOf(size_t worker) const { return absl::StrCat(options().directory, "/ledger-", worker); }

void TaskLoad::StartWorker(size_t worker) {
  std::vector<std::string> command = {"/proc/self/exe", "worker", LedgerOf(worker), absl::StrCat("worker-", worker),
                                      options().api_token};
  std::vector<std::string> addresses = options().addresses;
  std::ranges::rotate(addresses, addresses.begin() + static_cast<std::ptrdiff_t>(worker % addresses.size()));
  command.insert(command.end(), addresses.begin(), addresses.end());
  workers_[worker] = std::make_unique<cluster::Program>(command);
}

void TaskLoad::Start() {
  for (size_t worker = 0; worker < kWorkers; ++worker) StartWorker(worker);
  for (const auto& worker : workers_) CHECK(worker->AwaitOut("attached")) << worker->Err();
  for (size_t client = 0; client < kClients; ++client) AddClient([this](size_t i) { Step(i); });
}

void TaskLoad::Step(size_t number) {
  Client& client = clients_[number];
  const absl::Time now = absl::Now();
  client.since = std::min(client.since, now);
  if (now > client.since + kRepeats) {
    ++client.number;
    client.since = now;
  }
  v1::EnqueueRequest request;
  request.set_queue(kQueue);
  request.set_name("work");
  request.set_id(absl::StrCat(number, "-", client.number));
  const absl::Status status = meter_.Do(number, options().timeout, [&] {
    const absl::StatusOr<v1::EnqueueResponse> response = Tasks(*client.client).Enqueue(request);
    if (response.ok()) client.acknowledged.push_back(response->task_id());
    return response.status();
  });
  if (!status.ok()) return;
  ++client.number;
  client.since = absl::InfiniteFuture();
}

std::optional<v1::QueueCounts> TaskLoad::Counts() {
  const absl::StatusOr<v1::ListQueuesResponse> response = Tasks(*clients_[0].client).ListQueues();
  if (!response.ok()) return std::nullopt;
  for (const v1::Queue& queue : response->queues()) {
    if (queue.name() == kQueue) return queue.counts();
  }
  return v1::QueueCounts();
}

bool TaskLoad::Settle(absl::Duration limit) {
  return cluster::Await(
      [this] {
        const std::optional<v1::QueueCounts> counts = Counts();
        if (counts.has_value()) counts_ = *counts;
        return counts.has_value() && counts->ready() + counts->scheduled() + counts->active() == 0;
      },
      limit);
}

void TaskLoad::Judge(KindResult& result) {
  std::map<std::string, std::string> paths;
  for (size_t worker = 0; worker < kWorkers; ++worker) paths.emplace(absl::StrCat("worker-", worker), LedgerOf(worker));
  const cluster::TaskLedger ledger(paths);
  std::set<std::string> done;
  for (const auto& [task, events] : ledger.tasks()) {
    if (std::ranges::find(events, TaskEvent::Kind::kCompleted, &TaskEvent::kind) == events.end()) continue;
    done.insert(task);
    // A start again that no lost lease explains is among the ledger's problems.
    const int64_t starts = std::ranges::count(events, TaskEvent::Kind::kBegun, &TaskEvent::kind);
    result.duplicated += starts - 1;
    const auto leases = std::ranges::max_element(events, {}, &TaskEvent::lost_leases);
    result.excused += std::min<int64_t>(starts - 1, leases->lost_leases);
  }
  result.executed = static_cast<int64_t>(done.size());
  std::set<std::string> acknowledged;
  for (const Client& client : clients_) acknowledged.insert(client.acknowledged.begin(), client.acknowledged.end());
  result.lost = std::ranges::count_if(acknowledged, [&](const std::string& task) { return !done.contains(task); });
  // What has not come to its end.
  result.stuck += static_cast<int64_t>(counts_.ready() + counts_.scheduled() + counts_.active());
  result.problems = ledger.problems();
  if (counts_.failed() > 0) result.problems.push_back(absl::StrCat(counts_.failed(), " dead letters"));
  if (counts_.total_completed() != counts_.total_enqueued()) {
    result.problems.push_back(
        absl::StrCat(counts_.total_completed(), " completions are recorded, of ", counts_.total_enqueued(), " tasks"));
  }
}

int RunWorker(const std::vector<std::string>& args) {
  if (args.size() < 4) return 2;
  const LedgerFile ledger(args[0]);
  client::ClientOptions options;
  options.api_token = args[2];
  options.addresses = {args.begin() + 3, args.end()};
  const absl::StatusOr<std::unique_ptr<client::Client>> client = client::Client::Create(std::move(options));
  CHECK(client.ok()) << client.status();
  const auto run = [&ledger](TaskContext& context) -> absl::StatusOr<TaskContent> {
    TaskEvent event = {.kind = TaskEvent::Kind::kBegun,
                       .token = context.task().token(),
                       .attempt = static_cast<int>(context.task().attempt()),
                       .lost_leases = static_cast<int>(context.task().lost_leases()),
                       .task_id = context.task().id()};
    ledger.Write(event);
    absl::SleepFor(kWork);
    event.kind = TaskEvent::Kind::kCompleted;
    ledger.Write(event);
    return TaskContent();
  };
  client::WorkerOptions worker;
  worker.queues = {kQueue};
  worker.concurrency = kConcurrency;
  worker.name = args[1];
  worker.on_event = [](const client::AttachmentEvent& event) {
    if (event.kind == client::AttachmentEvent::Kind::kAttached)
      std::cout << "attached to " << event.node_id << std::endl;
  };
  const client::Worker running(**client, run, std::move(worker));
  while (true) pause();
}

}  // namespace actioncluster::chaos

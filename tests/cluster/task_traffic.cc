#include "tests/cluster/task_traffic.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/ask.h"
#include "tests/cluster/task_calls.h"

namespace actioncluster::cluster {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(5);
constexpr absl::Duration kPause = absl::Milliseconds(10);  // Before a call is repeated, and while it is held.

std::unique_ptr<grpc::ClientContext> NewContext() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + kLimit));
  return context;
}

// Of what is worth repeating.
bool IsOutage(const grpc::Status& status) {
  return status.error_code() == grpc::UNAVAILABLE || status.error_code() == grpc::DEADLINE_EXCEEDED ||
         status.error_code() == grpc::CANCELLED;
}

}  // namespace

TaskTraffic::TaskTraffic(Cluster& cluster, Options options) : options_(std::move(options)) {
  for (const Node& node : cluster.nodes()) stubs_.push_back(&node.tasks());
  nodes_.resize(static_cast<size_t>(options_.clients));
  for (size_t client = 0; client < nodes_.size(); ++client) {
    nodes_[client] = client;
    threads_.emplace_back([this, client] { Run(client); });
  }
}

void TaskTraffic::Stop() {
  stopping_ = true;
  for (std::thread& thread : std::exchange(threads_, {})) thread.join();
}

std::vector<TaskTraffic::Acknowledged> TaskTraffic::acknowledged() const {
  absl::MutexLock lock(&mutex_);
  return acknowledged_;
}

std::vector<std::string> TaskTraffic::problems() const {
  absl::MutexLock lock(&mutex_);
  return problems_;
}

void TaskTraffic::Run(size_t client) {
  for (int64_t number = 0; !stopping_ && !is_full(); ++number) {
    while (held_ && !stopping_) absl::SleepFor(kPause);
    if (client % 2 == 0) {
      One(client, number);
    } else {
      Many(client, number);
    }
  }
}

v1::EnqueueRequest TaskTraffic::Next(int64_t number) const {
  const bool flaky = options_.flaky_every > 0 && number % options_.flaky_every == 0;
  v1::EnqueueRequest request = Retained(NewTask(flaky ? "flaky" : "work", options_.queue));
  SetDuration(absl::Milliseconds(100), request.mutable_retry()->mutable_backoff());
  return request;
}

void TaskTraffic::One(size_t client, int64_t number) {
  const std::string id = absl::StrCat("client-", client, "-", number);
  const v1::EnqueueRequest request = WithId(id, Next(number));
  for (bool first = true;; first = false) {
    v1::EnqueueResponse response;
    const grpc::Status status = NextNode(client).Enqueue(NewContext().get(), request, &response);
    if (status.ok()) {
      if (response.task_id() != absl::StrCat(options_.queue, "/", id))
        Report(absl::StrCat(id, " is called ", response.task_id()));
      if (first && !response.created()) Report(absl::StrCat(id, " was there before it was enqueued"));
      return Acknowledge({response.task_id()});
    }
    if (!IsOutage(status)) return Report(Describe(status));
    ++repeated_;
    absl::SleepFor(kPause);
  }
}

void TaskTraffic::Many(size_t client, int64_t number) {
  v1::EnqueueManyRequest request;
  request.set_request_id(absl::StrCat("client-", client, "-", number));
  for (int i = 0; i < options_.many; ++i) *request.add_tasks() = Next(number * options_.many + i);
  while (true) {
    v1::EnqueueManyResponse response;
    const grpc::Status status = NextNode(client).EnqueueMany(NewContext().get(), request, &response);
    std::vector<std::string> task_ids;
    for (const v1::EnqueueManyResponse::Outcome& outcome : response.outcomes()) {
      if (outcome.has_error()) {
        if (outcome.error().code() != grpc::UNAVAILABLE) return Report(outcome.error().ShortDebugString());
        continue;
      }
      if (!outcome.created()) return Report(absl::StrCat(outcome.task_id(), " was there before it was enqueued"));
      task_ids.push_back(outcome.task_id());
    }
    if (status.ok() && response.outcomes_size() != options_.many) return Report("not as many outcomes as tasks");
    if (status.ok() && task_ids.size() == static_cast<size_t>(options_.many)) return Acknowledge(task_ids);
    if (!status.ok() && !IsOutage(status)) return Report(Describe(status));
    ++repeated_;
    absl::SleepFor(kPause);
  }
}

void TaskTraffic::Acknowledge(const std::vector<std::string>& task_ids) {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  for (const std::string& task_id : task_ids) acknowledged_.push_back({task_id, now});
  count_ += static_cast<int64_t>(task_ids.size());
}

void TaskTraffic::Report(const std::string& problem) {
  absl::MutexLock lock(&mutex_);
  problems_.push_back(problem);
}

}  // namespace actioncluster::cluster

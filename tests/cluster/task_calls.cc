#include "tests/cluster/task_calls.h"

#include <gtest/gtest.h>

#include <utility>

#include "tests/cluster/calls.h"

namespace actioncluster::cluster {
namespace {

constexpr uint32_t kPage = 1000;
constexpr absl::Duration kRetained = absl::Hours(1);

void ExpectOk(const grpc::Status& status, const char* what) {
  if (status.ok()) return;
  ADD_FAILURE() << what << ": code " << status.error_code() << " " << ErrorInfoOf(status).reason() << ": "
                << status.error_message();
}

}  // namespace

v1::EnqueueRequest NewTask(const std::string& name, const std::string& queue) {
  v1::EnqueueRequest request;
  request.set_name(name);
  request.set_queue(queue);
  return request;
}

v1::EnqueueRequest WithData(const std::string& data, v1::EnqueueRequest request) {
  request.set_data(data);
  return request;
}

v1::EnqueueRequest WithId(const std::string& id, v1::EnqueueRequest request) {
  request.set_id(id);
  return request;
}

v1::EnqueueRequest WithPriority(uint32_t priority, v1::EnqueueRequest request) {
  request.set_priority(priority);
  return request;
}

v1::EnqueueRequest Retained(v1::EnqueueRequest request) {
  SetDuration(kRetained, request.mutable_retain_result_for());
  return request;
}

v1::EnqueueRequest After(absl::Duration delay, v1::EnqueueRequest request) {
  SetDuration(delay, request.mutable_delay());
  return request;
}

v1::EnqueueRequest Timed(absl::Duration timeout, v1::EnqueueRequest request) {
  SetDuration(timeout, request.mutable_timeout());
  return request;
}

std::string Enqueue(const Node& node, const v1::EnqueueRequest& request) {
  const auto answered = Ask(node, &v1::TaskService::Stub::Enqueue, request);
  ExpectOk(answered.status, "Enqueue");
  return answered.response.task_id();
}

v1::Task GetTask(const Node& node, const std::string& task_id) {
  v1::GetRequest request;
  request.set_task_id(task_id);
  const auto answered = Ask(node, &v1::TaskService::Stub::Get, request);
  ExpectOk(answered.status, "Get");
  return answered.response.task();
}

std::optional<v1::QueueCounts> TryCounts(const Node& node, const std::string& queue, absl::Duration limit) {
  v1::ListQueuesRequest request;
  request.set_prefix(queue);
  const auto answered = Ask(node, &v1::TaskService::Stub::ListQueues, request, limit);
  if (!answered.ok()) return std::nullopt;
  for (const v1::Queue& listed : answered.response.queues()) {
    if (listed.name() == queue) return listed.counts();
  }
  return v1::QueueCounts();
}

v1::QueueCounts CountsOf(const Node& node, const std::string& queue) {
  const std::optional<v1::QueueCounts> counts = TryCounts(node, queue, kPatience);
  EXPECT_TRUE(counts.has_value()) << "ListQueues";
  return counts.value_or(v1::QueueCounts());
}

std::vector<v1::Task> ListAll(const Node& node, const std::string& queue, v1::TaskState state) {
  std::vector<v1::Task> tasks;
  v1::ListRequest request;
  request.mutable_filter()->set_queue(queue);
  request.mutable_filter()->set_state(state);
  request.set_page_size(kPage);
  do {
    auto answered = Ask(node, &v1::TaskService::Stub::List, request);
    ExpectOk(answered.status, "List");
    if (!answered.ok()) break;
    for (v1::Task& task : *answered.response.mutable_tasks()) tasks.push_back(std::move(task));
    request.set_page_token(answered.response.next_page_token());
  } while (!request.page_token().empty());
  return tasks;
}

}  // namespace actioncluster::cluster

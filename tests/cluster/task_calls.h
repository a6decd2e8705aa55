#ifndef ACTIONCLUSTER_TESTS_CLUSTER_TASK_CALLS_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_TASK_CALLS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "actioncluster/v1/tasks.grpc.pb.h"
#include "tests/cluster/ask.h"
#include "tests/cluster/cluster.h"

// TaskService as a client of a node calls it, in a line each. All for any thread.
namespace actioncluster::cluster {

// A task of this name for this queue.
v1::EnqueueRequest NewTask(const std::string& name, const std::string& queue);
v1::EnqueueRequest WithData(const std::string& data, v1::EnqueueRequest request);
v1::EnqueueRequest WithId(const std::string& id, v1::EnqueueRequest request);
v1::EnqueueRequest WithPriority(uint32_t priority, v1::EnqueueRequest request);
v1::EnqueueRequest Retained(v1::EnqueueRequest request);
v1::EnqueueRequest After(absl::Duration delay, v1::EnqueueRequest request);
v1::EnqueueRequest Timed(absl::Duration timeout, v1::EnqueueRequest request);

// Any rpc of TaskService, as `Ask(node, &v1::TaskService::Stub::Get, request)`. The limit is its deadline.
template <class Request, class Response>
Answered<Response> Ask(const Node& node,
                       grpc::Status (v1::TaskService::Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
                       const Request& request, absl::Duration limit = kPatience) {
  return AskStub(node.tasks(), rpc, request, limit);
}

// These must succeed: otherwise they report it to the test, and give what is empty.
std::string Enqueue(const Node& node, const v1::EnqueueRequest& request);
v1::Task GetTask(const Node& node, const std::string& task_id);
v1::QueueCounts CountsOf(const Node& node, const std::string& queue);
// All of the queue's tasks in this state.
std::vector<v1::Task> ListAll(const Node& node, const std::string& queue, v1::TaskState state);

// These fail without a word: nodes may be gone.
std::optional<v1::QueueCounts> TryCounts(const Node& node, const std::string& queue,
                                         absl::Duration limit = absl::Seconds(1));

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_TASK_CALLS_H_

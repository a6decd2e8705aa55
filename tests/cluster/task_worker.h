#ifndef ACTIONCLUSTER_TESTS_CLUSTER_TASK_WORKER_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_TASK_WORKER_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/v1/tasks.grpc.pb.h"
#include "tests/cluster/cluster.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::cluster {

// A worker in this process, attached to a node with Work, that says no more than it is told to. Reads frames on a thread of its own; what comes is there to be
// awaited, each kind by itself. Sending is for any thread.
class TaskWorker {
 public:
  using Task = v1::WorkResponse::Task;
  using Revoked = v1::WorkResponse::Revoked;
  using Recorded = v1::WorkResponse::Recorded::Outcome;
  using Outcomes = v1::WorkRequest::Outcomes;
  // Adds what has become of the task; nothing: not yet, Send does it later, or never. Runs on the reading thread, before the task can be awaited, and may not block.
  using Handler = std::function<void(const Task& task, Outcomes& outcomes)>;
  struct Options {
    std::vector<std::string> queues;
    std::vector<std::string> names = {};
    uint32_t concurrency = 1;
    std::string name = "";
    bool heartbeat = true;
    // Besides what can be awaited; on the reading thread.
    std::function<void(const Revoked&)> on_revoked = nullptr;
    std::function<void(const Recorded&)> on_recorded = nullptr;
  };

  // Started when it returns: fails the program if the node does not say so.
  TaskWorker(const Node& node, Options options, Handler handler);
  // The same, of a node that may not be there: `ok` says whether it has started.
  TaskWorker(const std::shared_ptr<grpc::Channel>& channel, Options options, Handler handler);
  // Tears the stream, and awaits its end.
  ~TaskWorker();
  TaskWorker(const TaskWorker&) = delete;
  TaskWorker& operator=(const TaskWorker&) = delete;

  bool ok() const { return started_.has_value(); }
  // Of the frame `started`.
  const v1::WorkResponse::Started& started() const { return *started_; }

  bool Send(const v1::WorkRequest& frame);
  bool Send(const Outcomes& outcomes);
  // No more tasks.
  bool Stop();
  // The stream is torn, as by a process that dies.
  void HangUp() { context_.TryCancel(); }
  // How the stream ended; awaits that.
  grpc::Status AwaitEnd() const { return end_.Next(); }

  const fakes::Waiter<Task>& tasks() const { return tasks_; }
  const fakes::Waiter<Revoked>& revoked() const { return revoked_; }
  const fakes::Waiter<Recorded>& recorded() const { return recorded_; }
  const fakes::Waiter<v1::WorkResponse::Draining>& drainings() const { return drainings_; }

 private:
  void Begin();
  void Read();
  void Hear(const v1::WorkResponse& frame);
  void Beat(absl::Duration every);

  const Options options_;
  const Handler handler_;
  const std::unique_ptr<v1::TaskService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkRequest, v1::WorkResponse>> stream_;
  std::optional<v1::WorkResponse::Started> started_;
  absl::Mutex writing_;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  fakes::Waiter<std::optional<v1::WorkResponse::Started>> starts_;  // Nothing: the stream ended.
  fakes::Waiter<Task> tasks_;
  fakes::Waiter<Revoked> revoked_;
  fakes::Waiter<Recorded> recorded_;
  fakes::Waiter<v1::WorkResponse::Draining> drainings_;
  fakes::Waiter<grpc::Status> end_;
  std::thread reader_;
  std::thread heart_;
};

// Handlers that many tests need.
void Completing(const TaskWorker::Task& task, TaskWorker::Outcomes& outcomes);
void Holding(const TaskWorker::Task& task, TaskWorker::Outcomes& outcomes);

// Outcomes, alone or added to others.
TaskWorker::Outcomes Done(const TaskWorker::Task& task, const std::string& data = "");
TaskWorker::Outcomes FailedBy(const TaskWorker::Task& task, const std::string& message);
void AddDone(const TaskWorker::Task& task, const std::string& data, TaskWorker::Outcomes& outcomes);
void AddFailed(const TaskWorker::Task& task, const std::string& message, TaskWorker::Outcomes& outcomes);

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_TASK_WORKER_H_

#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_WORKER_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_WORKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actioncluster/attachment_event.h"
#include "actioncluster/client.h"
#include "actioncluster/v1/tasks.pb.h"
#include "google/protobuf/struct.pb.h"

namespace actioncluster::client {

class TaskRun;

// What a handler gives: a result, or how far it is. Nothing, JSON, or opaque bytes.
class TaskContent {
 public:
  TaskContent() = default;
  // So that a handler can say `return ToValue(7);`.
  TaskContent(google::protobuf::Value json) {  // NOLINT(google-explicit-constructor)
    *content_.mutable_value() = std::move(json);
  }
  static TaskContent Bytes(std::string data) {
    TaskContent content;
    content.content_.set_data(std::move(data));
    return content;
  }

  // Neither is set: nothing.
  const v1::Task::Content& proto() const { return content_; }

 private:
  v1::Task::Content content_;
};

// One attempt at a task, as its handler sees it, and for as long as the handler runs. Any thread.
class TaskContext {
 public:
  TaskContext(const TaskContext&) = delete;
  TaskContext& operator=(const TaskContext&) = delete;

  // Id, name, queue, input (args or data), attempt, lost_leases, deadline: see tasks.proto.
  const v1::WorkResponse::Task& task() const;

  // The task is no longer this worker's, and whatever the handler returns is not recorded: it is to stop.
  bool IsCancelled() const;
  // Why: `cancelled`, `timeout` or `lease_lost`, as the node says; `stream_lost`: the stream to the node is, and the node gives the task to another
  // worker. Empty: it is not cancelled.
  std::string CancelReason() const;
  // Runs `cancelled` when that happens, on one of gRPC's threads; at once if it has. At most once, and never after the outcome; but maybe just when the
  // handler returns, so let it hold what it uses. A second one takes the place of the first.
  void OnCancel(absl::AnyInvocable<void() &&> cancelled);

  // Tells those that watch the task how far it is; of those that come faster than they are sent, the last. RESOURCE_EXHAUSTED: more than 64 KiB;
  // INVALID_ARGUMENT: nothing, or what no node could read; CANCELLED.
  absl::Status Progress(const TaskContent& content);
  // Enqueues another task if, and only if, this one's completion is recorded. RESOURCE_EXHAUSTED: these are more than 100, or 4 MiB; INVALID_ARGUMENT: no
  // node could read it. What the node refuses fails the attempt.
  absl::Status EnqueueWithCompletion(v1::EnqueueRequest request);

 private:
  friend class TaskRun;
  explicit TaskContext(TaskRun& run) : run_(run) {}
  TaskRun& run_;
};

// Runs on one of the worker's threads, and may block it. What it returns is the result, of at most 1 MiB. An error is an attempt that has failed, with this code and
// message; so is an exception, with UNKNOWN and its text, and a result that no node takes. A failed attempt is followed by another, if there are any
// left, unless the error is NotRetryable.
//
// A task can run more than once, also at the same time as a former attempt of which nobody has heard any more: a handler should be idempotent.
using TaskHandler = std::function<absl::StatusOr<TaskContent>(TaskContext& context)>;

// The same error, marked so that the task is not tried again: it becomes a dead letter. OK stays OK.
absl::Status NotRetryable(const absl::Status& error);
// Whether it is not so marked.
bool IsRetryable(const absl::Status& error);

struct WorkerOptions {
  std::vector<std::string> queues = {"default"};  // Those with the more urgent tasks first; or `*`: all.
  uint32_t concurrency = 4;                       // Tasks that the node sends at once; 1 … 1,024.
  // That run handlers. 0: one for each of those tasks. With fewer, some wait here: that saves threads where handlers are short.
  int threads = 0;
  std::string name = "";  // For people, in listings.
  AttachmentListener on_event = nullptr;
};

// Runs tasks of some queues for as long as it lives: attached to one node at a time, and to another as soon as that is lost or drains (then it finishes there what
// runs, and is attached to the next one before it lets go of the first; meanwhile twice as many tasks may be here, but no more run than there are threads).
//
// Outcomes are sent as soon as they are there, those that come while others are being written together in one frame. When a stream is lost, the node gives its
// tasks to other workers at once: their handlers here are cancelled, and what they return is dropped.
//
// Thread-safe.
class Worker {
 public:
  // Begins to attach. Takes only tasks that have a handler here, by their names: at least one, at most 256. The client outlives this.
  Worker(Client& client, std::map<std::string, TaskHandler> handlers, WorkerOptions options = {});
  // Takes all tasks, whatever their names.
  Worker(Client& client, TaskHandler handler, WorkerOptions options = {});
  // Stop.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // OK once it gets tasks. DEADLINE_EXCEEDED: not within `limit`; or why it has given up.
  absl::Status AwaitAttached(absl::Duration limit);

  // Takes no more tasks, lets running handlers finish and their outcomes be recorded for up to `grace`, and ends the stream; the rest is cancelled, and
  // given to other workers. No handler runs when it returns, so one that neither ends nor heeds OnCancel holds it up; no handler may call it.
  // Again, also while another thread is in it: the grace that ends first counts.
  void Stop(absl::Duration grace = absl::Seconds(10));

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_WORKER_H_

#ifndef ACTIONCLUSTER_TESTS_BENCH_TASK_LOAD_H_
#define ACTIONCLUSTER_TESTS_BENCH_TASK_LOAD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/v1/tasks.grpc.pb.h"
#include "tests/bench/closed_loop.h"

namespace actioncluster::bench {

// Enqueues tasks with a few bytes, and works on them in this process: each is completed as it comes. Thread-safe.
class TaskLoad {
 public:
  struct Options {
    std::string queue;
    std::vector<v1::TaskService::Stub*> workers = {};  // One is attached by each.
    uint32_t concurrency = 64;                         // Of each worker.
  };
  // When the operation of a task ends.
  enum class Until {
    kEnqueued,  // Acknowledged.
    kStarted,   // It has come to a worker.
    kRecorded,  // The worker has been told that its completion is recorded.
  };

  // The workers are attached when it returns. The stubs outlive it.
  TaskLoad(v1::TaskService::Stub& from, const Options& options);
  ~TaskLoad();
  TaskLoad(const TaskLoad&) = delete;
  TaskLoad& operator=(const TaskLoad&) = delete;

  // While this lives. One call: Enqueue if it is of one task, otherwise EnqueueMany.
  Operation operation(Until until, int tasks = 1);

 private:
  class Worker;

  // A call, until it has ended as it should.
  struct Pending {
    Until until;
    int left;  // Tasks that have not got so far.
    absl::AnyInvocable<void(bool) &&> done;
  };

  void Begin(Until until, int tasks, absl::AnyInvocable<void(bool) &&> done);
  void EnqueueOne(uint64_t number);
  void EnqueueMany(uint64_t number, int tasks);
  v1::EnqueueRequest NewTask(uint64_t number) const;
  void OnEnqueued(uint64_t number, bool ok);
  void OnStarted(const v1::WorkResponse::Task& task);
  void OnRecorded(const std::string& task_id);
  // One of the call's tasks has got so far; or, if not ok, none of them will.
  void Reached(uint64_t number, Until what, bool ok);

  v1::TaskService::Stub& from_;
  const Options options_;
  absl::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, Pending> pending_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, uint64_t> running_ ABSL_GUARDED_BY(mutex_);  // The calls of tasks, by their ids.
  std::vector<std::unique_ptr<Worker>> workers_;                                // Gone first.
};

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_TASK_LOAD_H_

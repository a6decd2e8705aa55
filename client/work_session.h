#ifndef ACTIONCLUSTER_CLIENT_WORK_SESSION_H_
#define ACTIONCLUSTER_CLIENT_WORK_SESSION_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/client.h"
#include "client/outcome_box.h"
#include "client/session.h"
#include "client/task_run.h"

namespace actioncluster::client {

// What a worker says of itself to every node.
struct WorkConfig {
  v1::WorkRequest::Start start;
  absl::Status fault;  // Not OK: it makes no sense, and no node is to be asked.
  // Begins to run a task; may not block.
  std::function<void(std::shared_ptr<TaskRun> task)> run;
};

// The application's side of one Work stream. Reads on gRPC's threads; writes from any, one frame at a time: what is to be said while a frame is being written goes into
// the next one. Tasks that run when the stream ends are cancelled, and their outcomes dropped.
//
// It owns itself from Start until gRPC is done with it.
class WorkSession final : public grpc::ClientBidiReactor<v1::WorkRequest, v1::WorkResponse>,
                          public Session,
                          public TaskRun::Listener,
                          public std::enable_shared_from_this<WorkSession> {
 public:
  WorkSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel,
              std::shared_ptr<const WorkConfig> config, Observer observer);

  void Start() override;
  void Retire() override;
  void Cancel() override { context_.TryCancel(); }
  absl::Duration tick_every() const ABSL_LOCKS_EXCLUDED(mutex_) override;
  void Tick() override;

 private:
  using TaskKey = std::pair<std::string, int64_t>;  // Its id and token.

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  void OnStarted(const v1::WorkResponse::Started& started);
  void OnTasks(v1::WorkResponse::Tasks* tasks);
  void OnRevoked(const v1::WorkResponse::Revoked& revoked);

  // TaskRun::Listener; any thread.
  void OnProgress(v1::WorkRequest::Progress progress) override;
  void OnOutcome(TaskOutcome outcome) override;

  // Starts what is to be started next: a write, or the end of all writing.
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_);
  // False: there is nothing to be said.
  bool FillFrame() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  const std::shared_ptr<const WorkConfig> config_;
  const Observer observer_;
  const std::unique_ptr<v1::TaskService::Stub> stub_;

  grpc::ClientContext context_;
  v1::WorkResponse incoming_;  // Belongs to the read under way, then to OnReadDone.
  v1::WorkRequest outgoing_;   // Belongs to the write under way.

  mutable absl::Mutex mutex_;
  std::map<TaskKey, std::shared_ptr<TaskRun>> tasks_ ABSL_GUARDED_BY(mutex_);  // Without an outcome yet.
  OutcomeBox outcomes_ ABSL_GUARDED_BY(mutex_);
  absl::Duration heartbeat_every_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  // What is to be said besides.
  bool start_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool heartbeat_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // Nothing can be written any more.
  bool held_ ABSL_GUARDED_BY(mutex_) = false;    // gRPC waits with OnDone, as we may still write.

  std::shared_ptr<WorkSession> self_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_WORK_SESSION_H_

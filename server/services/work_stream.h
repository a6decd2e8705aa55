#ifndef ACTIONCLUSTER_SERVER_SERVICES_WORK_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_WORK_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "actioncluster/v1/tasks.pb.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"
#include "server/workers/worker.h"
#include "server/workers/worker_host.h"

namespace actioncluster {

// The node's side of one worker's Work stream: checks and converts what the worker says on gRPC's threads, and hands it to the worker host on the I/O thread;
// writes what the host has for it.
//
// It owns itself until gRPC is done with it. A flood of frames ends the stream.
class WorkStream final : public grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>,
                         public Worker,
                         public std::enable_shared_from_this<WorkStream> {
 public:
  // Not `admitted`: the stream ends at once with that status. The references outlive the stream.
  static grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>* Start(Loop& loop, WorkerHost& host,
                                                                           Offload& offload,
                                                                           const absl::Status& admitted);

  // Worker; on the I/O thread.
  bool congested() const override { return unwritten_.load(std::memory_order_relaxed) >= kMaxUnwritten; }
  void SendStarted(const std::string& worker_id, const std::string& node_id, absl::Duration heartbeat_every) override;
  bool SendTasks(std::vector<WorkerTask> tasks) override;
  void SendRevoked(const LeaseRef& lease, RevokeReason reason) override;
  void SendRecorded(std::vector<RecordedOutcome> outcomes) override;
  void SendDraining(const std::vector<std::string>& alternatives) override;
  void Close(const absl::Status& why) override { End(why, /*flush=*/true); }

 private:
  // A worker that has so much to read gets no more tasks.
  static constexpr size_t kMaxUnwritten = size_t{4} * 1024 * 1024;

  WorkStream(Loop& loop, WorkerHost& host, Offload& offload);

  // gRPC's threads.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override { End(absl::UnavailableError("the worker went away"), /*flush=*/false); }
  void OnDone() override;
  // OK, or what is wrong with the frame: then the stream ends.
  absl::Status Handle(const v1::WorkRequest& frame);
  absl::Status HandleStart(const v1::WorkRequest::Start& frame);
  void HandleOutcomes(const v1::WorkRequest::Outcomes& frame);

  // Runs `task` with the host on the I/O thread, if this stream is still attached there.
  void OnLoop(absl::AnyInvocable<void(WorkerHost::WorkerId) &&> task);

  // Any thread.
  void Written(size_t bytes);
  void Push(size_t bytes, Outbox<v1::WorkResponse>::Make make);
  void End(const absl::Status& status, bool flush);

  // Constant after construction.
  Loop& loop_;
  WorkerHost& host_;
  Outbox<v1::WorkResponse> outbox_;

  v1::WorkRequest request_;      // Belongs to the read under way, then to OnReadDone.
  bool started_ = false;         // Reading side only.
  WorkerHost::WorkerId id_ = 0;  // I/O thread only; 0: not attached.

  std::atomic<size_t> unhandled_ = 0;  // Frames that wait for the I/O thread.
  std::atomic<size_t> unwritten_ = 0;  // Bytes of tasks that wait to be written.
  std::atomic<bool> ended_ = false;

  std::shared_ptr<WorkStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_WORK_STREAM_H_

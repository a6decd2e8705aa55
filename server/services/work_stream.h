#ifndef ACTIONCLUSTER_SERVER_SERVICES_WORK_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_WORK_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "actioncluster/v1/tasks.pb.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/services/attached_stream.h"
#include "server/workers/worker.h"
#include "server/workers/worker_host.h"

namespace actioncluster {

// The node's side of one worker's Work stream: checks and converts what the worker says on gRPC's threads, and hands it to the worker host on the I/O thread;
// writes what the host has for it.
class WorkStream final : public AttachedStream<v1::WorkRequest, v1::WorkResponse>, public Worker {
 public:
  // Not `admitted`: the stream ends at once with that status.
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

  absl::Status Handle(const v1::WorkRequest& frame) override;
  absl::Status HandleStart(const v1::WorkRequest::Start& frame);
  absl::Status HandleOutcomes(const v1::WorkRequest::Outcomes& frame);
  void Detach(HostId id) override { host_.Detach(id); }

  // Any thread.
  void Written(size_t bytes);
  void PushRevoked(std::string task_id, int64_t token, RevokeReason reason);

  // Constant after construction.
  WorkerHost& host_;

  bool started_ = false;               // Reading side only.
  std::atomic<size_t> unwritten_ = 0;  // Bytes of tasks that wait to be written.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_WORK_STREAM_H_

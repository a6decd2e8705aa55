#ifndef ACTIONCLUSTER_CLIENT_PIPELINE_SESSION_H_
#define ACTIONCLUSTER_CLIENT_PIPELINE_SESSION_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/client.h"
#include "client/pipeline_core.h"

namespace actioncluster::client {

// One Pipeline stream to whichever node the channel has, from its start to its end. Threads that call Do write their frames themselves if no write is under way; otherwise what they want goes into
// the next. Results are handed out on gRPC's threads.
//
// Once the node drains, or seems to be stuck, it takes no more, and ends when the results of what it has taken are there.
//
// Any thread. It owns itself from Start until gRPC is done with it.
class PipelineSession final : public grpc::ClientBidiReactor<v1::PipelineRequest, v1::PipelineResponse>,
                              public std::enable_shared_from_this<PipelineSession> {
 public:
  // What the session tells, on any thread, never inside Start.
  struct Observer {
    // It takes no more. Not told if it has ended before.
    std::function<void()> retired;
    // The last that it does, once if it was started.
    std::function<void(const absl::Status& why)> ended;
  };

  PipelineSession(const Client& client, const std::shared_ptr<grpc::Channel>& channel, PipelineCore::Limits limits,
                  Observer observer);

  // Once. Do may be called before.
  void Start();
  // Blocks until `operation` has its outcome, but not past `deadline` (monotonic). Not on gRPC's threads, which would have to bring it.
  PipelineOutcome Do(v1::PipelineRequest::Operation operation, size_t bytes, absl::Time deadline);
  // Ends as soon as can be.
  void Cancel() { context_.TryCancel(); }

 private:
  struct Waiter;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnWritesDoneDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  void Retire();
  // The call's time is over: it leaves, if it is still there.
  void GiveUp(Waiter& waiter);
  static void HandOut(const std::vector<PipelineCore::Call*>& calls);
  // Starts what is to be started next: a write, the end of our half, or the end of all writing.
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_);

  // Constant after construction.
  const Observer observer_;
  const std::unique_ptr<v1::CacheService::Stub> stub_;

  grpc::ClientContext context_;
  v1::PipelineResponse incoming_;  // Belongs to the read under way, then to OnReadDone.
  v1::PipelineRequest outgoing_;   // Belongs to the write under way.

  absl::Mutex mutex_;
  PipelineCore core_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;  // Until it is started.
  // Those who hear their results ask for more at once: that is to go together.
  bool handing_out_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // Nothing can be written any more.
  bool held_ ABSL_GUARDED_BY(mutex_) = false;    // gRPC waits with OnDone, as we may still write.

  std::shared_ptr<PipelineSession> self_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_PIPELINE_SESSION_H_

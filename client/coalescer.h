#ifndef ACTIONCLUSTER_CLIENT_COALESCER_H_
#define ACTIONCLUSTER_CLIENT_COALESCER_H_

#include <grpcpp/channel.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/client.h"
#include "client/pipeline_core.h"
#include "client/pipeline_session.h"

namespace actioncluster::client {

// Lets calls of one client that meet share a stream of Pipeline. A call alone has no use for that, and is quicker by itself: so there is a stream only once two have met. One that is lost is
// made anew by the next who meet; after one that was left (the node drains, or says nothing) there is none for a second.
//
// Any thread but gRPC's own. No call may be under way when it is destroyed; its streams then end.
class Coalescer {
 public:
  // What is larger goes by itself: it would hold up the others, and a call costs little beside it.
  static constexpr size_t kMaxSharedBytes = size_t{64} * 1024;

  // The client outlives this.
  Coalescer(const Client& client, std::shared_ptr<grpc::Channel> channel)
      : client_(client), channel_(std::move(channel)) {}
  ~Coalescer();
  Coalescer(const Coalescer&) = delete;
  Coalescer& operator=(const Coalescer&) = delete;

  // One who calls, for as long as it lives.
  class Presence {
   public:
    explicit Presence(Coalescer& coalescer) : count_(coalescer.present_), alone_(count_.fetch_add(1) == 0) {}
    ~Presence() { count_.fetch_sub(1); }
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;

    // Nobody else was there when it came.
    bool alone() const { return alone_; }

   private:
    std::atomic<int>& count_;
    const bool alone_;
  };

  // Blocks until `operation` has its outcome, but not past `deadline` (monotonic).
  PipelineOutcome Do(v1::PipelineRequest::Operation operation, size_t bytes, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using SessionPtr = std::shared_ptr<PipelineSession>;

  // Null: there is to be none now.
  SessionPtr Current() ABSL_LOCKS_EXCLUDED(mutex_);
  void Left(const SessionPtr& session) ABSL_LOCKS_EXCLUDED(mutex_);
  void Ended(const SessionPtr& session, const absl::Status& why) ABSL_LOCKS_EXCLUDED(mutex_);

  // Constant after construction.
  const Client& client_;
  const std::shared_ptr<grpc::Channel> channel_;

  std::atomic<int> present_ = 0;

  absl::Mutex mutex_;
  SessionPtr current_ ABSL_GUARDED_BY(mutex_);             // Null: there is none.
  std::set<SessionPtr> sessions_ ABSL_GUARDED_BY(mutex_);  // That have not ended.
  absl::Time not_before_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  PipelineCore::Limits limits_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_COALESCER_H_

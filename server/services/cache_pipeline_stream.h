#ifndef ACTIONCLUSTER_SERVER_SERVICES_CACHE_PIPELINE_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CACHE_PIPELINE_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/v1/cache.pb.h"
#include "backplane/cache/near_cache.h"
#include "backplane/cache/shared_cache.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"
#include "server/services/cache_operations.h"
#include "server/services/cache_proto.h"

namespace actioncluster {

class CachePipelineStream;

// The open Pipeline streams of this node. Confined to the I/O thread.
class CachePipelines {
 public:
  // Told at once if the node drains, ended at once if it stops.
  void Add(const std::shared_ptr<CachePipelineStream>& stream);
  void Remove(CachePipelineStream* stream) { streams_.erase(stream); }

  // Tells the streams, and those that come, where else to go. What is sent is still done.
  void Drain(const std::vector<std::string>& alternatives);
  // Ends the streams, and those that come, each as soon as what it has begun is done.
  void CloseAll(const absl::Status& why);

  size_t size() const { return streams_.size(); }
  // Operations that have been read and are not done, without those that wait; of a node that drains, without those that came later, as a client may not listen.
  size_t running() const;

 private:
  absl::flat_hash_map<CachePipelineStream*, std::shared_ptr<CachePipelineStream>> streams_;
  std::optional<std::vector<std::string>> draining_;
  std::optional<absl::Status> closed_;
};

// The node's side of one Pipeline. Frames are checked and converted on gRPC's threads, one after the other; the I/O thread starts the operations in their order, some at a time, and sends
// the results that come in one turn in one frame.
//
// What a client that does not read costs is bounded: operations are not begun while too many results wait to be written, and nothing more is read while too many operations have been read.
// Those that wait (for a lock, for an item) count among them until their results are written: four batches of operations that wait stop the reading, until one of them ends.
//
// What has been begun in Redis is not undone, so its result is not thrown away: a stream that this node ends first sends what comes of it. Operations that were read and not begun end with
// the stream, undone.
//
// It owns itself until gRPC is done with it.
class CachePipelineStream final : public grpc::ServerBidiReactor<v1::PipelineRequest, v1::PipelineResponse>,
                                  public std::enable_shared_from_this<CachePipelineStream> {
 public:
  struct Host {
    Loop& loop;
    cache_operations::Place place;
    CachePipelines& pipelines;
    Offload& offload;
    CacheLimits limits;
  };

  // Not `admitted`: the stream ends at once with that status. What the host refers to outlives the stream.
  static grpc::ServerBidiReactor<v1::PipelineRequest, v1::PipelineResponse>* Start(
      const Host& host, const grpc::ServerContextBase& context, const absl::Status& admitted);

  // I/O thread.
  void SendDraining(const std::vector<std::string>& alternatives);
  // Begins nothing more, gives up what waits, and ends after the results of what is under way.
  void CloseWith(const absl::Status& why);
  // As CachePipelines::running().
  size_t awaited() const { return awaited_; }

 private:
  // Makes a result's answer.
  using Fill = absl::AnyInvocable<void(v1::PipelineResponse::Result*) &&>;
  // Hears of an answer of about `bytes`.
  using Finished = absl::AnyInvocable<void(size_t bytes, Fill fill) &&>;
  struct Operation {
    uint64_t op_id = 0;
    uint64_t number = 0;  // This stream's own, in the order in which they came.
    size_t bytes = 0;     // What it keeps, about.
    absl::Status refused;
    // On the I/O thread; only of one that is not refused.
    absl::AnyInvocable<cache_operations::CallId(const cache_operations::Place&, Finished) &&> start;
  };
  struct Result {
    uint64_t op_id;
    size_t bytes;
    Fill fill;
  };

  CachePipelineStream(const Host& host, absl::Time latest);

  template <class Kind>
  Operation Convert(const typename Kind::Request& request,
                    typename Kind::Response* (v1::PipelineResponse::Result::*answer)()) const;
  // Makes an error the answer.
  static void Fail(const absl::Status& why, Finished finished);
  Operation ConvertAny(const v1::PipelineRequest::Operation& operation) const;

  // Any thread. The first End counts.
  void End(const absl::Status& status, bool flush) ABSL_LOCKS_EXCLUDED(mutex_);
  // Frees what was kept; reads on if there is room again.
  void Free(size_t operations, size_t kept, size_t unwritten) ABSL_LOCKS_EXCLUDED(mutex_);
  void ReadIfRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // I/O thread.
  void Take(std::vector<Operation> operations);
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_);
  void Start(Operation operation);
  // It is done, or waits, or never will be begun.
  void NoLongerAwaited(uint64_t number);
  bool HasRoomForResults() ABSL_LOCKS_EXCLUDED(mutex_);
  void AddResult(Result result);
  void Flush();
  void Send(std::vector<Result> results, size_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  void EndIfDone();
  void Stop();

  // gRPC's threads.
  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override { End(absl::UnavailableError("the client went away"), /*flush=*/false); }
  void OnDone() override;

  // Constant after construction.
  const Host host_;
  const absl::Time latest_;  // Until when operations may wait, monotonic.

  v1::PipelineRequest request_;  // Belongs to the read under way, then to OnReadDone.

  // I/O thread only.
  std::deque<Operation> queue_;                             // Read, and not begun.
  uint64_t last_ = 0;                                       // Numbers operations.
  uint64_t newest_ = std::numeric_limits<uint64_t>::max();  // The last operation that a drain waits for.
  size_t awaited_ = 0;                                      // By a drain: in the queue, or running.
  size_t running_ = 0;                                      // Without those that wait.
  cache_operations::Window window_;
  absl::flat_hash_map<uint64_t, cache_operations::CallId> waiting_;
  std::vector<Result> results_;          // Of this turn.
  size_t kept_no_more_ = 0;              // Bytes of operations that have ended in this turn.
  bool flushing_ = false;                // A flush is posted.
  bool read_all_ = false;                // The client has closed its half.
  std::optional<absl::Status> closing_;  // It ends so, once nothing is under way.
  bool stopped_ = false;

  absl::Mutex mutex_;
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;       // Operations that were read, and whose results are not written.
  size_t kept_ ABSL_GUARDED_BY(mutex_) = 0;       // Bytes of operations that have not ended.
  size_t unwritten_ ABSL_GUARDED_BY(mutex_) = 0;  // Bytes of results.
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;   // Nothing is being read until there is room.
  bool starved_ ABSL_GUARDED_BY(mutex_) = false;  // Operations wait until results have been written.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;

  Outbox<v1::PipelineResponse> outbox_;
  std::shared_ptr<CachePipelineStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CACHE_PIPELINE_STREAM_H_

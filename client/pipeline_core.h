#ifndef ACTIONCLUSTER_CLIENT_PIPELINE_CORE_H_
#define ACTIONCLUSTER_CLIENT_PIPELINE_CORE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "actioncluster/v1/cache.pb.h"

namespace actioncluster::client {

// What became of a call that was to share a stream.
struct PipelineOutcome {
  enum class Kind {
    kUnsent,    // No node has seen it: it may go by itself.
    kAnswered,  // `result` is the node's.
    kLost,      // The stream has ended, for `why`: nobody knows whether it was done.
    kOverdue,   // Its time was over.
  };
  Kind kind = Kind::kUnsent;
  v1::PipelineResponse::Result result = {};
  absl::Status why = absl::OkStatus();
};

// The calls on one stream of Pipeline: what goes into the next frame, and whose a result is. Each call that was added leaves exactly once: with its outcome, when it is handed back; or
// by Drop. A result for one that has left, or that was never there, is dropped.
//
// Operations leave in the order in which they were added. A frame takes all that wait, as far as a node takes them; so it is the time that a write takes that makes calls meet, and a call
// alone waits for nobody.
//
// Does no I/O, reads no clock. Not thread-safe.
class PipelineCore {
 public:
  // A call; its maker's, who keeps it where it is until it has left.
  struct Call {
    v1::PipelineRequest::Operation operation;  // Without an id. Gone once it is sent.
    size_t bytes = 0;                          // What it takes.
    PipelineOutcome outcome;

    // The core's own.
    uint64_t id = 0;
    uint64_t results_before = 0;
  };

  // What is in a frame at most, and what is on the stream; past that none is added.
  struct Limits {
    size_t frame_operations = 256;
    size_t frame_bytes = size_t{1} << 20;  // And one operation more.
    size_t calls = 8'192;
    size_t waiting_bytes = size_t{8} << 20;
  };

  explicit PipelineCore(Limits limits) : limits_(limits) {}

  // False: this stream takes no more; the call has to go another way.
  bool Add(Call& call);
  // Moves what waits into a frame, which is empty. False: nothing waits.
  bool Fill(v1::PipelineRequest* frame);
  // The calls whose results these are.
  std::vector<Call*> Accept(v1::PipelineResponse* frame);
  // Its time is over. False: it has its outcome already.
  bool Drop(const Call& call);
  // Takes no more from now on. Gives those that wait; for the others their results may still come.
  std::vector<Call*> Retire();
  // The stream has ended. Gives all.
  std::vector<Call*> End(const absl::Status& why);

  bool retired() const { return retired_; }
  // No result is to come.
  bool idle() const { return waiting_.empty() && sent_.empty(); }
  // A call that was sent ran out of time, and nothing at all has come since it was sent: the other end may be stuck.
  bool silent() const { return silent_; }

 private:
  const Limits limits_;
  std::map<uint64_t, Call*> waiting_;          // By id, which is the order in which they came.
  absl::flat_hash_map<uint64_t, Call*> sent_;  // By id.
  size_t waiting_bytes_ = 0;
  uint64_t last_id_ = 0;
  uint64_t results_ = 0;  // That have come.
  bool retired_ = false;
  bool silent_ = false;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_PIPELINE_CORE_H_

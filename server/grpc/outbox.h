#ifndef ACTIONCLUSTER_SERVER_GRPC_OUTBOX_H_
#define ACTIONCLUSTER_SERVER_GRPC_OUTBOX_H_

#include <grpcpp/support/status.h>

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "glog/logging.h"
#include "server/grpc/offload.h"
#include "server/grpc/status_bridge.h"

namespace actioncluster {

// Who begins to write when nothing is being written: the one who pushes, or the offload's thread, so that a pusher who has many streams to serve is
// not held up by the writes.
enum class OutboxWriter { kPusher, kOffload };

// What waits to be written to one stream: in order, one write at a time, bounded in frames and bytes, so that a client that does not read costs no more
// than this, and nobody waits for it. Frames are made when their turn comes, off the I/O thread if they are large.
//
// The stream's reactor owns it, passes on OnWriteDone, and gives what it needs of gRPC as two functions. Any thread.
template <class Frame>
class Outbox {
 public:
  using Make = absl::AnyInvocable<Frame() &&>;
  struct Limits {
    size_t frames = 8192;
    size_t bytes = size_t{16} * 1024 * 1024;
  };

  Outbox(Offload& offload, Limits limits, absl::AnyInvocable<void(const Frame*)> start_write,
         absl::AnyInvocable<void(grpc::Status)> finish)
      : offload_(offload), limits_(limits), start_write_(std::move(start_write)), finish_(std::move(finish)) {}

  // Runs an operation of the stream that is no write (sending the initial metadata) in its turn, before anything is pushed; the reactor passes its end on to
  // OnWriteDone. False: the stream has ended; it is not run.
  bool Begin(absl::AnyInvocable<void() &&> operation) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) return false;
      CHECK(!writing_);
      writing_ = true;
    }
    std::move(operation)();
    return true;
  }

  // Queues a frame of about `bytes`. False: there is no room for it, or the stream has ended; the frame is dropped.
  bool Push(size_t bytes, Make make, OutboxWriter writer = OutboxWriter::kPusher) ABSL_LOCKS_EXCLUDED(mutex_) {
    return Enqueue(bytes, std::move(make), writer, /*limited=*/true);
  }
  // One more small frame, whatever the limits: what there is to say before the end. False: the stream has ended.
  bool PushLast(Make make) ABSL_LOCKS_EXCLUDED(mutex_) {
    return Enqueue(0, std::move(make), OutboxWriter::kOffload, /*limited=*/false);
  }

  // Nothing is being written, nor waits for it.
  bool idle() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return !writing_;
  }

  // The stream ends with this status, after what is queued if `flush`, else as soon as the write under way is done. The first End counts.
  void End(const absl::Status& status, bool flush) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) return;
      end_ = status;
      if (!flush) queue_.clear();
      if (writing_) return;
      writing_ = true;  // For good: nothing is written after Finish.
    }
    finish_(ToGrpc(status));
  }

  // From the reactor. Not `ok`: the stream is broken, and ends.
  void OnWriteDone(bool ok) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!ok) {
      absl::MutexLock lock(&mutex_);
      queue_.clear();
      if (!end_.has_value()) end_ = absl::UnavailableError("the stream is broken");
    }
    WriteNext();
  }

 private:
  struct Item {
    size_t bytes;
    Make make;
  };

  bool Enqueue(size_t bytes, Make make, OutboxWriter writer, bool limited) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) return false;
      const bool full = queue_.size() >= limits_.frames || (bytes_ + bytes > limits_.bytes && !queue_.empty());
      if (limited && full) return false;
      queue_.push_back({bytes, std::move(make)});
      bytes_ += bytes;
      if (writing_) return true;
      writing_ = true;
    }
    if (writer == OutboxWriter::kPusher) {
      WriteNext();
    } else {
      offload_.Post([this] { WriteNext(); });  // Until it has run, the stream cannot end.
    }
    return true;
  }

  // Only the one who set writing_ is here.
  void WriteNext() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::optional<Item> item;
    {
      absl::MutexLock lock(&mutex_);
      if (!queue_.empty()) {
        item = std::move(queue_.front());
        queue_.pop_front();
        bytes_ -= item->bytes;
      } else if (!end_.has_value()) {
        writing_ = false;
        return;
      }
    }
    if (!item.has_value()) {
      finish_(ToGrpc(Ended()));
      return;
    }
    const size_t bytes = item->bytes;
    offload_.Run(bytes, [this, make = std::move(item->make)]() mutable {
      frame_ = std::move(make)();
      start_write_(&frame_);
    });
  }

  absl::Status Ended() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return *end_;
  }

  // Constant after construction.
  Offload& offload_;
  const Limits limits_;
  absl::AnyInvocable<void(const Frame*)> start_write_;
  absl::AnyInvocable<void(grpc::Status)> finish_;

  Frame frame_;  // Belongs to the write under way.

  mutable absl::Mutex mutex_;
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_OUTBOX_H_

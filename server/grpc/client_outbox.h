#ifndef ACTIONCLUSTER_SERVER_GRPC_CLIENT_OUTBOX_H_
#define ACTIONCLUSTER_SERVER_GRPC_CLIENT_OUTBOX_H_

#include <grpcpp/support/status.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"
#include "server/grpc/status_bridge.h"

namespace actioncluster {

// What waits to be written to one client: in order, one write at a time, as in an Outbox; but some frames may be dropped. When those take more than their limit, the oldest of them go, or, if none is to be
// dropped, the push fails. Where some are missing, right before the next frame that might have been dropped, or once all is written, a frame is written that says how many.
//
// One that is idle costs no more than itself, as there may be a hundred thousand.
//
// The stream's reactor owns it, passes on OnWriteDone, and gives what it needs of gRPC as functions. Any thread.
template <class Frame>
class ClientOutbox {
 public:
  using Make = absl::AnyInvocable<Frame() &&>;
  struct Limits {
    size_t droppable_bytes = size_t{1024} * 1024;
    size_t kept_bytes = size_t{4096} * 1024;
    bool drop = true;  // False: frames past the limit are refused, and none is dropped.
  };
  struct Stream {
    absl::AnyInvocable<void(const Frame*)> start_write;
    absl::AnyInvocable<void(grpc::Status)> finish;
    // The frame that says what is missing: so many, and perhaps an unknown number besides.
    Frame (*make_missed)(uint64_t count, bool gap);
  };
  // What a frame that waits costs besides its bytes, about.
  static constexpr size_t kFrameBytes = 128;

  ClientOutbox(Offload& offload, Limits limits, Stream stream)
      : offload_(offload), limits_(limits), stream_(std::move(stream)) {}

  // Queues a frame of about `bytes` that is never dropped. False: there is no room for it, or the stream has ended. One that is larger than the limit is taken when no other waits.
  bool PushKept(size_t bytes, Make make) ABSL_LOCKS_EXCLUDED(mutex_) {
    return PushKept(bytes, limits_.kept_bytes, std::move(make));
  }
  // The same with a limit of its own to what waits.
  bool PushKept(size_t bytes, size_t limit, Make make) ABSL_LOCKS_EXCLUDED(mutex_) {
    bytes += kFrameBytes;
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) return false;
      if (kept_bytes_ + bytes > limit && !kept_.empty()) return false;
      kept_.push_back({.number = ++last_number_, .bytes = bytes, .make = std::move(make)});
      kept_bytes_ += bytes;
      if (std::exchange(writing_, true)) return true;
    }
    WriteNext();
    return true;
  }

  // Queues a frame of about `bytes`, which, or others in its place, may be dropped later. False: there is no room and nothing is dropped, or the stream has ended. The newest is taken however large it is.
  bool PushDroppable(size_t bytes, Make make, OutboxWriter writer) ABSL_LOCKS_EXCLUDED(mutex_) {
    bytes += kFrameBytes;
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) return false;
      if (!limits_.drop && droppable_bytes_ + bytes > limits_.droppable_bytes && !droppable_.empty()) return false;
      while (droppable_bytes_ + bytes > limits_.droppable_bytes && !droppable_.empty()) DropOldest();
      droppable_.push_back({.number = ++last_number_, .bytes = bytes, .make = std::move(make)});
      droppable_bytes_ += bytes;
      if (std::exchange(writing_, true)) return true;
    }
    Write(writer);
    return true;
  }

  // An unknown number of frames is missing behind what was pushed so far.
  void MarkGap() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value() || (!droppable_.empty() && !droppable_.back().make)) return;
      droppable_.push_back({.number = ++last_number_, .bytes = 0, .make = nullptr});
      if (std::exchange(writing_, true)) return;
    }
    Write(OutboxWriter::kOffload);
  }

  // A frame of about `bytes` that may be dropped has room in half of the limit on those; or none of them waits.
  bool HasRoom(size_t bytes) const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return droppable_.empty() || droppable_bytes_ + bytes + kFrameBytes <= limits_.droppable_bytes / 2;
  }

  // Frames dropped so far.
  uint64_t missed() const { return missed_.load(std::memory_order_relaxed); }

  // The stream ends with this status, after what is queued if `flush`, else as soon as the write under way is done; in either case after `last`, if there is one, and, before it, what is to be said of frames that are
  // missing. The first End counts.
  void End(const absl::Status& status, bool flush, Make last = nullptr) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) return;
      end_ = status;
      if (!flush) Discard(/*tell=*/static_cast<bool>(last));
      last_ = std::move(last);
      if (std::exchange(writing_, true)) return;  // From here on for good: nothing is written after Finish.
    }
    WriteNext();
  }

  // From the reactor. Not `ok`: the stream is broken, and ends.
  void OnWriteDone(bool ok) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!ok) {
      absl::MutexLock lock(&mutex_);
      Discard(/*tell=*/false);
      last_ = nullptr;
      if (!end_.has_value()) end_ = absl::UnavailableError("the stream is broken");
    }
    WriteNext();
  }

 private:
  // Without `make`: a gap.
  struct Item {
    uint64_t number;  // Grows with each push, of either kind.
    size_t bytes;
    Make make;
  };
  // Empty ones take no memory elsewhere.
  using Items = std::list<Item>;

  void DropOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Item& oldest = droppable_.front();
    if (oldest.make) {
      ++untold_;
      missed_.fetch_add(1, std::memory_order_relaxed);
    } else {
      gap_ = true;
    }
    droppable_bytes_ -= oldest.bytes;
    droppable_.pop_front();
  }
  void Discard(bool tell) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (!droppable_.empty()) DropOldest();
    kept_.clear();
    kept_bytes_ = 0;
    if (tell) return;
    untold_ = 0;
    gap_ = false;
  }

  // What is to be written now; nothing: all is.
  std::optional<Item> Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const bool droppable = !droppable_.empty() && (kept_.empty() || droppable_.front().number < kept_.front().number);
    if (droppable && !droppable_.front().make) DropOldest();
    if ((untold_ > 0 || gap_) && (droppable || kept_.empty())) {
      return Item{.number = 0,
                  .bytes = 0,
                  .make = [make = stream_.make_missed, count = std::exchange(untold_, 0),
                           gap = std::exchange(gap_, false)] { return make(count, gap); }};
    }
    if (droppable) return Take(droppable_, droppable_bytes_);
    if (!kept_.empty()) return Take(kept_, kept_bytes_);
    if (last_) return Item{.number = 0, .bytes = 0, .make = std::exchange(last_, nullptr)};
    return std::nullopt;
  }
  static Item Take(Items& items, size_t& bytes) {
    Item item = std::move(items.front());
    items.pop_front();
    bytes -= item.bytes;
    return item;
  }

  // Only the one who set writing_ is in these.
  void Write(OutboxWriter writer) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (writer == OutboxWriter::kPusher) return WriteNext();
    offload_.Post([this] { WriteNext(); });  // Until it has run, the stream cannot end.
  }
  void WriteNext() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::optional<Item> item;
    absl::Status ended;
    {
      absl::MutexLock lock(&mutex_);
      item = Next();
      if (!item.has_value()) {
        if (!end_.has_value()) {
          writing_ = false;
          return;
        }
        ended = *end_;
      }
    }
    if (!item.has_value()) return stream_.finish(ToGrpc(ended));
    const size_t bytes = item->bytes;
    offload_.Run(bytes, [this, make = std::move(item->make)]() mutable {
      frame_ = std::move(make)();
      stream_.start_write(&frame_);
    });
  }

  // Constant after construction.
  Offload& offload_;
  const Limits limits_;
  Stream stream_;

  Frame frame_;  // Belongs to the write under way.
  std::atomic<uint64_t> missed_ = 0;

  mutable absl::Mutex mutex_;
  Items droppable_ ABSL_GUARDED_BY(mutex_);
  Items kept_ ABSL_GUARDED_BY(mutex_);
  size_t droppable_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t kept_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t untold_ ABSL_GUARDED_BY(mutex_) = 0;  // Dropped since the last frame that said so.
  bool gap_ ABSL_GUARDED_BY(mutex_) = false;
  Make last_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_CLIENT_OUTBOX_H_

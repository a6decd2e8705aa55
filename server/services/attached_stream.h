#ifndef ACTIONCLUSTER_SERVER_SERVICES_ATTACHED_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_ATTACHED_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/grpc/outbox.h"

namespace actioncluster {

// The node's side of a stream by which somebody attaches to it, an application or a worker: reads one frame after the other on gRPC's threads, hands what they say to a host on the I/O
// thread, and writes what the host has for the other end.
//
// It owns itself until gRPC is done with it; what it refers to outlives it. The stream ends when the other end goes or closes its half, with the first frame that Handle refuses, and, with
// LIMIT_EXCEEDED, when frames come faster than the host takes them or are not read.
template <class Request, class Response>
class AttachedStream : public grpc::ServerBidiReactor<Request, Response>,
                       public std::enable_shared_from_this<AttachedStream<Request, Response>> {
 public:
  using HostId = uint64_t;

  // Any thread. The first End counts. `flush`: after what was pushed.
  void End(const absl::Status& status, bool flush) {
    if (ended_.exchange(true)) return;
    // What it has at the host ends now, not when gRPC has flushed the stream.
    loop_.Post([self = this->shared_from_this()] {
      if (self->id_ != 0) self->Detach(std::exchange(self->id_, 0));
    });
    outbox_.End(status, flush);
  }

 protected:
  // `who` is at the other end, as `the application`.
  AttachedStream(Loop& loop, Offload& offload, typename Outbox<Response>::Limits limits, std::string who)
      : loop_(loop),
        who_(std::move(who)),
        outbox_(
            offload, limits, [this](const Response* frame) { this->StartWrite(frame); },
            [this](grpc::Status status) { this->Finish(std::move(status)); }) {}

  // Begins to read; or, not `admitted`, ends at once with that status. Gives the reactor.
  static AttachedStream* Begin(const std::shared_ptr<AttachedStream>& stream, const absl::Status& admitted) {
    stream->self_ = stream;
    if (admitted.ok()) {
      stream->BeforeReading();
      stream->StartRead(&stream->request_);
    } else {
      stream->End(admitted, /*flush=*/false);
    }
    return stream.get();
  }

  // For those that attach before they have heard anything.
  virtual void BeforeReading() {}

  // On one of gRPC's threads, one frame after the other. OK, or what is wrong with the frame.
  virtual absl::Status Handle(const Request& frame) = 0;
  // I/O thread; once, if it was attached.
  virtual void Detach(HostId id) = 0;

  // I/O thread: under which id the host has it. Not after the end: then it is detached at once.
  void SetId(HostId id) {
    id_ = id;
    if (ended_) Detach(std::exchange(id_, 0));
  }

  // Runs `task` on the I/O thread, if this is still attached there. It keeps about `bytes` until then.
  void OnLoop(size_t bytes, absl::AnyInvocable<void(HostId) &&> task) {
    unhandled_.fetch_add(1, std::memory_order_relaxed);
    unhandled_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    loop_.Post([self = this->shared_from_this(), bytes, task = std::move(task)]() mutable {
      self->unhandled_.fetch_sub(1, std::memory_order_relaxed);
      self->unhandled_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
      if (self->id_ != 0) std::move(task)(self->id_);
    });
  }

  // Any thread. A frame of about `bytes`; if there is no room for it, the stream ends.
  void Push(size_t bytes, typename Outbox<Response>::Make make) {
    if (ended_ || outbox_.Push(bytes, std::move(make))) return;
    End(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, absl::StrCat(who_, " does not read its frames"),
                  {{"limit", "outbox"}}),
        /*flush=*/false);
  }
  // The same; false, and the stream goes on, if there is no room.
  bool TryPush(size_t bytes, typename Outbox<Response>::Make make) { return outbox_.Push(bytes, std::move(make)); }

  Loop& loop() { return loop_; }

 private:
  // More than can be outstanding: who is so far ahead of the host is flooding.
  static constexpr size_t kMaxUnhandled = 16'384;
  static constexpr size_t kMaxUnhandledBytes = size_t{256} * 1024 * 1024;

  void OnReadDone(bool ok) override {
    // The other end has closed its half, or is gone: either way it says no more.
    if (!ok) return End(absl::OkStatus(), /*flush=*/true);
    if (absl::Status handled = Handle(request_); !handled.ok()) return End(handled, /*flush=*/true);
    if (unhandled_.load(std::memory_order_relaxed) > kMaxUnhandled ||
        unhandled_bytes_.load(std::memory_order_relaxed) > kMaxUnhandledBytes) {
      return End(MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "frames come faster than they can be handled",
                           {{"limit", "frames"}}),
                 /*flush=*/false);
    }
    this->StartRead(&request_);
  }
  void OnWriteDone(bool ok) override { outbox_.OnWriteDone(ok); }
  void OnCancel() override { End(absl::UnavailableError(absl::StrCat(who_, " went away")), /*flush=*/false); }
  void OnDone() override {
    End(absl::OkStatus(), /*flush=*/false);
    self_.reset();
  }

  // Constant after construction.
  Loop& loop_;
  const std::string who_;

  Outbox<Response> outbox_;
  Request request_;  // Belongs to the read under way, then to OnReadDone.
  HostId id_ = 0;    // I/O thread only; 0: not attached.

  std::atomic<size_t> unhandled_ = 0;  // Tasks that wait for the I/O thread, and what they keep.
  std::atomic<size_t> unhandled_bytes_ = 0;
  std::atomic<bool> ended_ = false;

  std::shared_ptr<AttachedStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_ATTACHED_STREAM_H_

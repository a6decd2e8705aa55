#ifndef ACTIONCLUSTER_SERVER_SERVICES_FOUND_STREAM_H_
#define ACTIONCLUSTER_SERVER_SERVICES_FOUND_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "backplane/redis/loop.h"
#include "server/grpc/offload.h"
#include "server/grpc/status_bridge.h"

namespace actioncluster {

// The server's side of a stream of what is found bit by bit, as fast as its client reads: looks for some on the I/O thread, has gRPC write that, frame by frame, and only then looks for more.
// So it keeps no more than one find, whoever does not read.
//
// What it does, it does in turns, on the I/O thread or on one of gRPC's or the offload's: never two at a time, so that it needs no locks. It owns itself until gRPC is done with it, and is
// destroyed on the I/O thread; what it refers to outlives it.
template <class Response>
class FoundStream : public grpc::ServerWriteReactor<Response>,
                    public std::enable_shared_from_this<FoundStream<Response>> {
 public:
  // Begins; or, not `admitted`, ends at once with that status. Gives the reactor.
  static grpc::ServerWriteReactor<Response>* Begin(const std::shared_ptr<FoundStream>& stream,
                                                   const absl::Status& admitted) {
    stream->self_ = stream;
    if (admitted.ok()) {
      stream->Look();
    } else {
      stream->Finish(ToGrpc(admitted));
    }
    return stream.get();
  }

 protected:
  FoundStream(Loop& loop, Offload& offload) : loop_(loop), offload_(offload) {}

  // I/O thread. Looks for more; then, there too, calls Found or End, once.
  virtual void Find() = 0;
  // The next frame of what was found, into one that is empty; false: that was all. `*more`: another follows at once. Before it is written, on any thread.
  virtual bool Make(Response* frame, bool* more) = 0;

  // There is something to write, of about so many bytes; or nothing, and Find is called again.
  void Found(size_t bytes) {
    offload_.Run(bytes, [self = this->shared_from_this()] { self->Write(); });
  }
  // The stream ends: after what was found, if it is OK.
  void End(const absl::Status& status) {
    end_ = status;
    if (!status.ok()) return this->Finish(ToGrpc(status));
    Found(0);
  }

  Loop& loop() { return loop_; }

 private:
  void Look() {
    loop_.Post([self = this->shared_from_this()] { self->Find(); });
  }

  void Write() {
    if (gone_.load(std::memory_order_relaxed)) return this->Finish(ToGrpc(absl::CancelledError("the caller is gone")));
    bool more = false;
    frame_.Clear();
    if (Make(&frame_, &more)) {
      grpc::WriteOptions options;
      // The first takes the initial metadata with it: gRPC does not call it written before that has left.
      if (more && begun_) options.set_buffer_hint();
      begun_ = true;
      return this->StartWrite(&frame_, options);
    }
    if (end_.has_value()) return this->Finish(ToGrpc(*end_));
    Look();
  }

  void OnWriteDone(bool ok) final {
    if (!ok) return this->Finish(ToGrpc(absl::UnavailableError("the stream is broken")));
    Write();
  }
  void OnCancel() final { gone_.store(true, std::memory_order_relaxed); }
  void OnDone() final {
    loop_.Post([self = std::move(self_)] {});
  }

  Loop& loop_;
  Offload& offload_;
  Response frame_;  // Belongs to the write under way.
  bool begun_ = false;
  std::optional<absl::Status> end_;
  std::atomic<bool> gone_ = false;
  std::shared_ptr<FoundStream> self_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_FOUND_STREAM_H_

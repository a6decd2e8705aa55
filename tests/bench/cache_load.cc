#include "tests/bench/cache_load.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <deque>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "glog/logging.h"

namespace actioncluster::bench {
namespace {

using Stub = v1::CacheService::Stub;
using Async = v1::CacheService::StubInterface::async_interface;
using Done = absl::AnyInvocable<void(bool) &&>;

template <class Request, class Response>
using Rpc = void (Async::*)(grpc::ClientContext*, const Request*, Response*, std::function<void(grpc::Status)>);

std::atomic<uint64_t> next_key = 0;

std::string NextKey() { return CacheKeys::Name(next_key++); }

// One call; `then` is told of its end.
template <class Request, class Response>
void Begin(Stub& stub, Rpc<Request, Response> rpc, Request request,
           absl::AnyInvocable<void(bool ok, const Response&) &&> then) {
  struct Call {
    grpc::ClientContext context;
    Request request;
    Response response;
    absl::AnyInvocable<void(bool, const Response&) &&> then;
  };
  auto call = std::make_shared<Call>();
  call->request = std::move(request);
  call->then = std::move(then);
  (stub.async()->*rpc)(&call->context, &call->request, &call->response,
                       [call](const grpc::Status& status) { std::move(call->then)(status.ok(), call->response); });
}

void BeginLoad(Stub& stub, v1::LoadRequest request, Done done) {
  request.set_key(NextKey());
  const Rpc<v1::LoadRequest, v1::LoadResponse> rpc = &Async::Load;
  Begin<v1::LoadRequest, v1::LoadResponse>(stub, rpc, std::move(request),
                                           [done = std::move(done)](bool ok, const v1::LoadResponse& response) mutable {
                                             std::move(done)(ok && response.data().size() == CacheKeys::kValueBytes);
                                           });
}

v1::PushRequest PushOf(const std::string& key) {
  v1::PushRequest request;
  request.set_key(key);
  request.set_data(CacheKeys::Value());
  return request;
}

}  // namespace

std::string CacheKeys::Name(uint64_t number) { return absl::StrCat("bench-", number % kKeys); }

void CacheKeys::Fill(Stub& stub) {
  v1::SaveManyRequest request;
  for (int i = 0; i < kKeys; ++i) {
    v1::SaveRequest& entry = *request.add_entries();
    entry.set_key(Name(static_cast<uint64_t>(i)));
    entry.set_data(Value());
  }
  grpc::ClientContext context;
  v1::SaveManyResponse response;
  CHECK(stub.SaveMany(&context, request, &response).ok());
}

Operation LoadCall(Stub& stub, bool allow_near) {
  return [&stub, allow_near](Done done) {
    v1::LoadRequest request;
    request.set_allow_near(allow_near);
    BeginLoad(stub, request, std::move(done));
  };
}

Operation TrackedLoadCall(Stub& stub) {
  return [&stub](Done done) {
    v1::LoadRequest request;
    request.set_track_reads(true);
    BeginLoad(stub, request, std::move(done));
  };
}

Operation SaveCall(Stub& stub) {
  return [&stub](Done done) {
    v1::SaveRequest request;
    request.set_key(NextKey());
    request.set_data(CacheKeys::Value());
    const Rpc<v1::SaveRequest, v1::SaveResponse> rpc = &Async::Save;
    Begin<v1::SaveRequest, v1::SaveResponse>(
        stub, rpc, std::move(request),
        [done = std::move(done)](bool ok, const v1::SaveResponse&) mutable { std::move(done)(ok); });
  };
}

Operation IncrementCall(Stub& stub) {
  return [&stub](Done done) {
    v1::IncrementRequest request;
    request.set_key(absl::StrCat("count-", NextKey()));
    const Rpc<v1::IncrementRequest, v1::IncrementResponse> rpc = &Async::Increment;
    Begin<v1::IncrementRequest, v1::IncrementResponse>(
        stub, rpc, std::move(request),
        [done = std::move(done)](bool ok, const v1::IncrementResponse&) mutable { std::move(done)(ok); });
  };
}

Operation LoadManyCall(Stub& stub, int keys) {
  return [&stub, keys](Done done) {
    v1::LoadManyRequest request;
    for (int i = 0; i < keys; ++i) request.add_keys(NextKey());
    const Rpc<v1::LoadManyRequest, v1::LoadManyResponse> rpc = &Async::LoadMany;
    Begin<v1::LoadManyRequest, v1::LoadManyResponse>(
        stub, rpc, std::move(request),
        [keys, done = std::move(done)](bool ok, const v1::LoadManyResponse& response) mutable {
          bool all = ok && response.outcomes_size() == keys;
          for (const auto& outcome : response.outcomes()) all = all && outcome.has_entry();
          std::move(done)(all);
        });
  };
}

Operation LockAndUnlock(Stub& stub) {
  return [&stub](Done done) {
    static std::atomic<uint64_t> last = 0;
    v1::LockRequest lock;
    lock.set_key(absl::StrCat("lock-", ++last));
    lock.set_holder("bench");
    const Rpc<v1::LockRequest, v1::LockResponse> rpc = &Async::Lock;
    const std::string key = lock.key();
    Begin<v1::LockRequest, v1::LockResponse>(
        stub, rpc, std::move(lock), [&stub, key, done = std::move(done)](bool ok, const v1::LockResponse& got) mutable {
          if (!ok || !got.acquired()) return std::move(done)(false);
          v1::UnlockRequest unlock;
          unlock.set_key(key);
          unlock.set_token(got.token());
          const Rpc<v1::UnlockRequest, v1::UnlockResponse> release = &Async::Unlock;
          Begin<v1::UnlockRequest, v1::UnlockResponse>(
              stub, release, std::move(unlock),
              [done = std::move(done)](bool released, const v1::UnlockResponse& response) mutable {
                std::move(done)(released && response.released());
              });
        });
  };
}

Operation PushAndPop(Stub& push, Stub& pop) {
  return [&push, &pop](Done done) {
    const Rpc<v1::PushRequest, v1::PushResponse> rpc = &Async::Push;
    Begin<v1::PushRequest, v1::PushResponse>(
        push, rpc, PushOf("list"), [&pop, done = std::move(done)](bool ok, const v1::PushResponse&) mutable {
          if (!ok) return std::move(done)(false);
          v1::PopRequest request;
          request.set_key("list");
          const Rpc<v1::PopRequest, v1::PopResponse> take = &Async::Pop;
          Begin<v1::PopRequest, v1::PopResponse>(
              pop, take, std::move(request),
              [done = std::move(done)](bool popped, const v1::PopResponse& response) mutable {
                std::move(done)(popped && response.has_data());
              });
        });
  };
}

Operation WaitAndPush(Stub& push, Stub& pop) {
  return [&push, &pop](Done done) {
    static std::atomic<uint64_t> last = 0;
    const std::string key = absl::StrCat("waited-", ++last);
    v1::PopRequest request;
    request.set_key(key);
    request.mutable_wait_for()->set_seconds(10);
    const Rpc<v1::PopRequest, v1::PopResponse> take = &Async::Pop;
    Begin<v1::PopRequest, v1::PopResponse>(
        pop, take, std::move(request), [done = std::move(done)](bool popped, const v1::PopResponse& response) mutable {
          std::move(done)(popped && response.has_data());
        });
    const Rpc<v1::PushRequest, v1::PushResponse> rpc = &Async::Push;
    Begin<v1::PushRequest, v1::PushResponse>(push, rpc, PushOf(key), [](bool, const v1::PushResponse&) {});
  };
}

// gRPC's threads call the On… functions: reading and writing each on one at a time, both at once. Frames that come while one is written wait.
class LoadFrames::Stream final : public grpc::ClientBidiReactor<v1::PipelineRequest, v1::PipelineResponse> {
 public:
  explicit Stream(Stub& stub) {
    stub.async()->Pipeline(&context_, this);
    StartRead(&incoming_);
    AddHold();  // For writes that are started elsewhere.
    StartCall();
  }
  ~Stream() override {
    context_.TryCancel();
    RemoveHold();
    ended_.WaitForNotification();
  }

  void Begin(int loads, Done done) ABSL_LOCKS_EXCLUDED(mutex_) {
    auto frame = std::make_unique<v1::PipelineRequest>();
    absl::MutexLock lock(&mutex_);
    const uint64_t number = ++last_;
    for (int i = 0; i < loads; ++i) {
      v1::PipelineRequest::Operation& operation = *frame->add_operations();
      operation.set_op_id(number);
      operation.mutable_load()->set_key(NextKey());
    }
    pending_.emplace(number, Pending{loads, true, std::move(done)});
    frames_.push_back(std::move(frame));
    if (frames_.size() == 1) StartWrite(frames_.front().get());
  }

 private:
  struct Pending {
    int left;
    bool ok;
    Done done;
  };

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    frames_.pop_front();
    if (ok && !frames_.empty()) StartWrite(frames_.front().get());
  }
  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!ok) return;
    for (const v1::PipelineResponse::Result& result : incoming_.results()) Hear(result);
    StartRead(&incoming_);
  }
  void OnDone(const grpc::Status& status) override {
    LOG_IF(FATAL, status.error_code() != grpc::CANCELLED) << "the stream ended: " << status.error_message();
    ended_.Notify();
  }

  void Hear(const v1::PipelineResponse::Result& result) ABSL_LOCKS_EXCLUDED(mutex_) {
    Pending ended;
    {
      absl::MutexLock lock(&mutex_);
      const auto found = pending_.find(result.op_id());
      CHECK(found != pending_.end()) << result.ShortDebugString();
      found->second.ok = found->second.ok && result.load().data().size() == CacheKeys::kValueBytes;
      if (--found->second.left > 0) return;
      ended = std::move(found->second);
      pending_.erase(found);
    }
    std::move(ended.done)(ended.ok);
  }

  grpc::ClientContext context_;
  v1::PipelineResponse incoming_;
  absl::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<std::unique_ptr<v1::PipelineRequest>> frames_ ABSL_GUARDED_BY(mutex_);  // The first is being written.
  absl::flat_hash_map<uint64_t, Pending> pending_ ABSL_GUARDED_BY(mutex_);           // By the number of the frame.
  absl::Notification ended_;
};

LoadFrames::LoadFrames(Stub& stub) : stream_(std::make_unique<Stream>(stub)) {}
LoadFrames::~LoadFrames() = default;

Operation LoadFrames::operation(int loads) {
  return [this, loads](Done done) { stream_->Begin(loads, std::move(done)); };
}

}  // namespace actioncluster::bench

#include "actioncluster/cache.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/random/random.h"
#include "absl/time/clock.h"
#include "actioncluster/status.h"
#include "client/callback_scope.h"
#include "client/clock.h"
#include "client/coalescer.h"
#include "client/duration.h"
#include "client/utf8.h"
#include "client/value_check.h"

namespace actioncluster::client {
namespace {

using Stub = v1::CacheService::StubInterface;
using Operation = v1::PipelineRequest::Operation;
using Result = v1::PipelineResponse::Result;

constexpr int kMaxAttempts = 5;
constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kMaxPause = absl::Seconds(1);
// Nodes know a request's id for a minute after it was done, which may have been as soon as it was sent.
constexpr absl::Duration kMaxRepeatable = absl::Seconds(30);
// No node waits longer; what says more is refused at once.
constexpr absl::Duration kMaxWait = absl::Hours(1);

// What may be done when it is not known whether a call was.
enum class Repeat {
  kNever,
  kNamed,   // It has an id: done once is done once.
  kAlways,  // Whatever the request says: the channel repeats it.
};

template <class Request>
Repeat RepeatOf(const Request& request) {
  if constexpr (requires { request.request_id(); }) {
    return request.request_id().empty() ? Repeat::kNever : Repeat::kNamed;
  }
  return Repeat::kNever;
}
Repeat RepeatOf(const v1::LoadRequest&) { return Repeat::kAlways; }
Repeat RepeatOf(const v1::LockRequest&) { return Repeat::kAlways; }
Repeat RepeatOf(const v1::CheckLockRequest&) { return Repeat::kAlways; }
Repeat RepeatOf(const v1::ListLengthRequest&) { return Repeat::kAlways; }

// For how long the node may wait before it answers.
template <class Request>
absl::Duration WaitOf(const Request& request) {
  absl::Duration wait;
  if constexpr (requires { request.wait_for(); }) wait = FromProto(request.wait_for());
  if constexpr (requires { request.wait_for_lock(); }) wait = FromProto(request.wait_for_lock());
  return std::clamp(wait, absl::ZeroDuration(), kMaxWait);
}

// Whether it waits, or asks for what is nonsense there: that has a call of its own, which ends when its caller goes.
template <class Request>
bool MayWait(const Request& request) {
  if constexpr (requires { request.wait_for(); }) return request.has_wait_for();
  if constexpr (requires { request.wait_for_lock(); }) return request.has_wait_for_lock();
  return false;
}

// What a node could not even read would end the stream with all else on it.
template <class Request>
bool IsReadable(const Request& request) {
  if (!IsUtf8(request.key())) return false;
  if constexpr (requires { request.holder(); }) {
    if (!IsUtf8(request.holder())) return false;
  }
  if constexpr (requires { request.request_id(); }) {
    if (!IsUtf8(request.request_id())) return false;
  }
  if constexpr (requires { request.has_value(); }) {
    if (request.has_value() && FaultIn(request.value()) != nullptr) return false;
  }
  return true;
}

bool MayPass(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsCancelled(status); }

// Of a call that was lost with its stream: what it would have been told if it had been alone, where that is so; else that nobody knows.
absl::Status Lost(const absl::Status& why) {
  if (absl::IsUnavailable(why) || absl::IsUnauthenticated(why) || absl::IsPermissionDenied(why)) return why;
  return absl::UnavailableError("the node has ended the stream before its answer");
}

template <class Request, class Response>
absl::StatusOr<Response> CallOnce(Client& client, const Request& request, absl::Duration timeout,
                                  grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  grpc::ClientContext context;
  client.Prepare(context, timeout);
  // Nothing would end that.
  if (timeout == absl::InfiniteDuration()) context.set_wait_for_ready(false);
  Response response;
  const grpc::Status status = (client.cache().*call)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

template <class Request, class Response>
absl::StatusOr<Response> CallOnce(Client& client, const Request& request,
                                  grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  return CallOnce(client, request, client.options().timeout, call);
}

// As often as it may be sent, until `deadline` (monotonic, as `began`: when it was sent first). What depends on the request is done here, as the channel's own configuration knows methods only.
template <class Request, class Response>
absl::StatusOr<Response> CallAlone(Client& client, const Request& request, absl::Time began, absl::Time deadline,
                                   Repeat repeat,
                                   grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  absl::Duration pause = kFirstPause;
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<Response> response = CallOnce(client, request, deadline - MonotonicNow(), call);
    if (response.ok() || repeat != Repeat::kNamed || attempt == kMaxAttempts || !MayPass(response.status()))
      return response;
    absl::BitGen random;
    const absl::Duration jittered = pause * absl::Uniform(random, 0.8, 1.2);
    const absl::Time next = MonotonicNow() + jittered;
    if (next >= deadline || next > began + kMaxRepeatable) return response;
    absl::SleepFor(jittered);
    pause = std::min(pause * 2, kMaxPause);
  }
}

// Reads a stream until its end, or until `on_item` returns false. It has no deadline, so it waits for no connection: nobody could tell a node that is at work from one that is gone.
template <class Request, class Response>
absl::Status Stream(Client& client, const Request& request, absl::FunctionRef<bool(const Response&)> on_item,
                    std::unique_ptr<grpc::ClientReaderInterface<Response>> (Stub::*call)(grpc::ClientContext*,
                                                                                         const Request&)) {
  grpc::ClientContext context;
  client.Prepare(context, absl::InfiniteDuration());
  context.set_wait_for_ready(false);
  const auto stream = (client.cache().*call)(&context, request);
  for (Response item; stream->Read(&item);) {
    if (on_item(item)) continue;
    context.TryCancel();
    while (stream->Read(&item)) continue;
    stream->Finish();
    return absl::OkStatus();
  }
  return FromGrpc(stream->Finish());
}

}  // namespace

// How an rpc goes: by itself, and as an operation of Pipeline.
template <class Request, class Response>
struct Cache::Way {
  grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*);
  Request* (Operation::*request)();
  bool (Result::*has_response)() const;
  Response* (Result::*response)();
};

template <class Request, class Response>
absl::StatusOr<Response> Cache::Share(const Request& request, const Way<Request, Response>& way) {
  const absl::Time began = MonotonicNow();
  const absl::Time deadline = began + client_.options().timeout + WaitOf(request);
  const Repeat repeat = RepeatOf(request);
  const auto alone = [&] { return CallAlone(client_, request, began, deadline, repeat, way.call); };
  if (!client_.options().coalesce || MayWait(request) || CallbackScope::inside()) return alone();
  const Coalescer::Presence presence(client_.coalescer());
  const size_t bytes = presence.alone() ? 0 : request.ByteSizeLong();
  if (presence.alone() || bytes > Coalescer::kMaxSharedBytes || !IsReadable(request)) return alone();
  Operation operation;
  *(operation.*way.request)() = request;
  PipelineOutcome outcome = client_.coalescer().Do(std::move(operation), bytes, deadline);
  switch (outcome.kind) {
    case PipelineOutcome::Kind::kUnsent:
      return alone();
    case PipelineOutcome::Kind::kOverdue:
      return absl::DeadlineExceededError("Deadline Exceeded");  // As gRPC says it.
    case PipelineOutcome::Kind::kLost:
      // Nodes do not remember it for longer.
      if (repeat == Repeat::kNamed && MonotonicNow() > began + kMaxRepeatable) return Lost(outcome.why);
      if (repeat != Repeat::kNever && !absl::IsUnauthenticated(outcome.why)) return alone();
      return Lost(outcome.why);
    case PipelineOutcome::Kind::kAnswered:
      break;
  }
  if (outcome.result.has_error()) return FromProto(outcome.result.error());
  if (!(outcome.result.*way.has_response)()) return absl::InternalError("the node answered something else");
  return std::move(*(outcome.result.*way.response)());
}

absl::StatusOr<v1::SaveResponse> Cache::Save(const v1::SaveRequest& request) {
  return Share<v1::SaveRequest, v1::SaveResponse>(
      request, {&Stub::Save, &Operation::mutable_save, &Result::has_save, &Result::mutable_save});
}

absl::StatusOr<v1::LoadResponse> Cache::Load(const v1::LoadRequest& request) {
  return Share<v1::LoadRequest, v1::LoadResponse>(
      request, {&Stub::Load, &Operation::mutable_load, &Result::has_load, &Result::mutable_load});
}

absl::StatusOr<v1::DestroyResponse> Cache::Destroy(const v1::DestroyRequest& request) {
  return Share<v1::DestroyRequest, v1::DestroyResponse>(
      request, {&Stub::Destroy, &Operation::mutable_destroy, &Result::has_destroy, &Result::mutable_destroy});
}

absl::StatusOr<v1::CompareAndSaveResponse> Cache::CompareAndSave(const v1::CompareAndSaveRequest& request) {
  return Share<v1::CompareAndSaveRequest, v1::CompareAndSaveResponse>(
      request, {&Stub::CompareAndSave, &Operation::mutable_compare_and_save, &Result::has_compare_and_save,
                &Result::mutable_compare_and_save});
}

absl::StatusOr<v1::IncrementResponse> Cache::Increment(const v1::IncrementRequest& request) {
  return Share<v1::IncrementRequest, v1::IncrementResponse>(
      request, {&Stub::Increment, &Operation::mutable_increment, &Result::has_increment, &Result::mutable_increment});
}

absl::StatusOr<v1::SaveManyResponse> Cache::SaveMany(const v1::SaveManyRequest& request) {
  return CallOnce(client_, request, &Stub::SaveMany);
}

absl::StatusOr<v1::LoadManyResponse> Cache::LoadMany(const v1::LoadManyRequest& request) {
  return CallOnce(client_, request, &Stub::LoadMany);
}

absl::StatusOr<v1::DestroyManyResponse> Cache::DestroyMany(const v1::DestroyManyRequest& request) {
  return CallOnce(client_, request, &Stub::DestroyMany);
}

absl::StatusOr<v1::LockResponse> Cache::Lock(const v1::LockRequest& request) {
  return Share<v1::LockRequest, v1::LockResponse>(
      request, {&Stub::Lock, &Operation::mutable_lock, &Result::has_lock, &Result::mutable_lock});
}

absl::StatusOr<v1::UnlockResponse> Cache::Unlock(const v1::UnlockRequest& request) {
  return Share<v1::UnlockRequest, v1::UnlockResponse>(
      request, {&Stub::Unlock, &Operation::mutable_unlock, &Result::has_unlock, &Result::mutable_unlock});
}

absl::StatusOr<v1::CheckLockResponse> Cache::CheckLock(const v1::CheckLockRequest& request) {
  return Share<v1::CheckLockRequest, v1::CheckLockResponse>(
      request,
      {&Stub::CheckLock, &Operation::mutable_check_lock, &Result::has_check_lock, &Result::mutable_check_lock});
}

absl::StatusOr<v1::PushResponse> Cache::Push(const v1::PushRequest& request) {
  return Share<v1::PushRequest, v1::PushResponse>(
      request, {&Stub::Push, &Operation::mutable_push, &Result::has_push, &Result::mutable_push});
}

absl::StatusOr<v1::PopResponse> Cache::Pop(const v1::PopRequest& request) {
  return Share<v1::PopRequest, v1::PopResponse>(
      request, {&Stub::Pop, &Operation::mutable_pop, &Result::has_pop, &Result::mutable_pop});
}

absl::StatusOr<v1::ListLengthResponse> Cache::ListLength(const v1::ListLengthRequest& request) {
  return Share<v1::ListLengthRequest, v1::ListLengthResponse>(
      request,
      {&Stub::ListLength, &Operation::mutable_list_length, &Result::has_list_length, &Result::mutable_list_length});
}

absl::StatusOr<v1::SizeResponse> Cache::Size(const v1::SizeRequest& request, absl::Duration limit) {
  if (limit == absl::InfiniteDuration()) AwaitConnection();
  return CallOnce(client_, request, limit, &Stub::Size);
}

absl::StatusOr<v1::ClearResponse> Cache::Clear(const v1::ClearRequest& request, absl::Duration limit) {
  return CallOnce(client_, request, limit, &Stub::Clear);
}

absl::Status Cache::ListKeys(const v1::ListKeysRequest& request,
                             absl::FunctionRef<bool(const std::string& key)> on_key) {
  const auto on_some = [&on_key](const v1::ListKeysResponse& some) {
    return std::all_of(some.keys().begin(), some.keys().end(), on_key);
  };
  AwaitConnection();
  return Stream<v1::ListKeysRequest, v1::ListKeysResponse>(client_, request, on_some, &Stub::ListKeys);
}

absl::Status Cache::ListLocks(const v1::ListLocksRequest& request,
                              absl::FunctionRef<bool(const v1::ListLocksResponse&)> on_lock) {
  AwaitConnection();
  return Stream(client_, request, on_lock, &Stub::ListLocks);
}

absl::Status Cache::Dump(const v1::DumpRequest& request, absl::FunctionRef<bool(const v1::DumpEntry&)> on_entry) {
  int64_t entries = 0;
  bool stopped = false;
  std::optional<int64_t> told;
  const auto on_frame = [&](const v1::DumpResponse& frame) {
    if (frame.has_end()) told = frame.end().entries();
    if (!frame.has_entry()) return true;
    ++entries;
    stopped = !on_entry(frame.entry());
    return !stopped;
  };
  AwaitConnection();
  const absl::Status status = Stream<v1::DumpRequest, v1::DumpResponse>(client_, request, on_frame, &Stub::Dump);
  if (!status.ok() || stopped || told == entries) return status;
  return absl::DataLossError("the dump ended before its end");
}

absl::StatusOr<v1::RestoreResponse> Cache::Restore(const v1::RestoreRequest::Begin& begin,
                                                   absl::FunctionRef<absl::StatusOr<bool>(v1::DumpEntry*)> next) {
  grpc::ClientContext context;
  client_.Prepare(context, absl::InfiniteDuration());
  v1::RestoreResponse response;
  const auto stream = client_.cache().Restore(&context, &response);
  v1::RestoreRequest frame;
  *frame.mutable_begin() = begin;
  bool sent = stream->Write(frame);
  for (int64_t entries = 0; sent; ++entries) {
    frame.Clear();
    const absl::StatusOr<bool> more = next(frame.mutable_entry());
    if (!more.ok()) {
      context.TryCancel();
      stream->Finish();
      return more.status();
    }
    if (*more) {
      sent = stream->Write(frame);
      continue;
    }
    frame.mutable_end()->set_entries(entries);
    if (stream->Write(frame)) stream->WritesDone();
    break;
  }
  // If it was not taken, this says why.
  if (const grpc::Status status = stream->Finish(); !status.ok()) return FromGrpc(status);
  return response;
}

}  // namespace actioncluster::client

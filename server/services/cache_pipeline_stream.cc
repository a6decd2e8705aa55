#include "server/services/cache_pipeline_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "server/services/cache_unary.h"

namespace actioncluster {
namespace {

using cache_operations::CallId;
using cache_operations::Place;

// Operations that have been read, and whose results are not written: so many batches.
constexpr size_t kMaxBatches = 4;
constexpr size_t kMaxKeptBytes = size_t{16} * 1024 * 1024;
constexpr size_t kMaxUnwrittenBytes = size_t{8} * 1024 * 1024;
// Of a frame; one of a single result may have more.
constexpr size_t kMaxFrameBytes = size_t{1024} * 1024;
// What an operation or a result takes besides its content, about.
constexpr size_t kBesides = 128;

// What of an operation may be large.
template <class Kind>
size_t ContentBytes(const Kind& operation) {
  if constexpr (requires { operation.options.content; }) {
    return operation.options.content.body.size();
  } else if constexpr (requires { operation.options.item; }) {
    return operation.options.item.body.size();
  } else {
    return 0;
  }
}

}  // namespace

void CachePipelines::Add(const std::shared_ptr<CachePipelineStream>& stream) {
  streams_.emplace(stream.get(), stream);
  if (draining_.has_value()) stream->SendDraining(*draining_);
  if (closed_.has_value()) stream->CloseWith(*closed_);
}

void CachePipelines::Drain(const std::vector<std::string>& alternatives) {
  if (draining_.has_value()) return;
  draining_ = alternatives;
  for (const auto& [key, stream] : streams_) stream->SendDraining(alternatives);
}

void CachePipelines::CloseAll(const absl::Status& why) {
  closed_ = why;
  for (const auto& [key, stream] : streams_) stream->CloseWith(why);
}

size_t CachePipelines::running() const {
  size_t running = 0;
  for (const auto& [key, stream] : streams_) running += stream->awaited();
  return running;
}

CachePipelineStream::CachePipelineStream(const Host& host, absl::Time latest)
    : host_(host),
      latest_(latest),
      // What may wait in it is bounded here, in operations and bytes.
      outbox_(
          host.offload, {.frames = std::numeric_limits<size_t>::max(), .bytes = std::numeric_limits<size_t>::max()},
          [this](const v1::PipelineResponse* frame) { StartWrite(frame); },
          [this](grpc::Status status) { Finish(std::move(status)); }) {}

grpc::ServerBidiReactor<v1::PipelineRequest, v1::PipelineResponse>* CachePipelineStream::Start(
    const Host& host, const grpc::ServerContextBase& context, const absl::Status& admitted) {
  std::shared_ptr<CachePipelineStream> stream(
      new CachePipelineStream(host, CacheWaitEnd(context, absl::InfiniteDuration())));
  stream->self_ = stream;
  if (!admitted.ok()) {
    stream->End(admitted, /*flush=*/false);
    return stream.get();
  }
  host.loop.Post([stream] { stream->host_.pipelines.Add(stream); });
  stream->StartRead(&stream->request_);
  return stream.get();
}

void CachePipelineStream::SendDraining(const std::vector<std::string>& alternatives) {
  newest_ = last_;
  outbox_.PushLast([alternatives] {
    v1::PipelineResponse response;
    response.mutable_draining()->mutable_alternatives()->Assign(alternatives.begin(), alternatives.end());
    return response;
  });
}

void CachePipelineStream::CloseWith(const absl::Status& why) {
  if (stopped_ || closing_.has_value()) return;
  closing_ = why;
  for (const Operation& operation : std::exchange(queue_, {})) NoLongerAwaited(operation.number);
  for (const auto& [number, call] : std::exchange(waiting_, {})) host_.place.cache.Cancel(call);
  if (!results_.empty()) Flush();
  EndIfDone();
}

void CachePipelineStream::End(const absl::Status& status, bool flush) {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(ended_, true)) return;
  }
  // Those who wait give up their places now, not when gRPC is done with the stream.
  host_.loop.Post([self = shared_from_this()] { self->Stop(); });
  outbox_.End(status, flush);
}

void CachePipelineStream::OnReadDone(bool ok) {
  if (!ok) {
    // The client has closed its half; or it is gone, and OnCancel comes.
    host_.loop.Post([self = shared_from_this()] {
      self->read_all_ = true;
      self->EndIfDone();
    });
    return;
  }
  const auto count = static_cast<size_t>(request_.operations_size());
  if (count > host_.limits.batch) {
    host_.loop.Post([self = shared_from_this(), why = ValidateCacheBatch(count, "operations", host_.limits)] {
      self->CloseWith(why);
    });
    return;
  }
  std::vector<Operation> operations;
  operations.reserve(count);
  size_t bytes = 0;
  for (const v1::PipelineRequest::Operation& operation : request_.operations()) {
    operations.push_back(ConvertAny(operation));
    bytes += operations.back().bytes;
  }
  if (count > 0) {
    {
      absl::MutexLock lock(&mutex_);
      open_ += count;
      kept_ += bytes;
    }
    host_.loop.Post([self = shared_from_this(), operations = std::move(operations)]() mutable {
      self->Take(std::move(operations));
    });
  }
  absl::MutexLock lock(&mutex_);
  ReadIfRoom();
}

// Under the lock, so that the stream cannot end meanwhile: gRPC might be done with it.
void CachePipelineStream::ReadIfRoom() {
  paused_ = open_ >= kMaxBatches * host_.limits.batch || kept_ >= kMaxKeptBytes;
  if (!paused_ && !ended_) StartRead(&request_);
}

void CachePipelineStream::Free(size_t operations, size_t kept, size_t unwritten) {
  bool pump;
  {
    absl::MutexLock lock(&mutex_);
    open_ -= operations;
    kept_ -= kept;
    unwritten_ -= unwritten;
    if (paused_) ReadIfRoom();
    pump = starved_ && unwritten_ < kMaxUnwrittenBytes;
    if (pump) starved_ = false;
  }
  if (pump) host_.loop.Post([self = shared_from_this()] { self->Pump(); });
}

// All of an error counts: its metadata may name a long key.
void CachePipelineStream::Fail(const absl::Status& why, Finished finished) {
  v1::Error error = ToProto(why);
  const size_t bytes = error.ByteSizeLong();
  std::move(finished)(bytes, [error = std::move(error)](v1::PipelineResponse::Result* result) mutable {
    *result->mutable_error() = std::move(error);
  });
}

template <class Kind>
CachePipelineStream::Operation CachePipelineStream::Convert(
    const typename Kind::Request& request, typename Kind::Response* (v1::PipelineResponse::Result::*answer)()) const {
  Operation converted;
  converted.bytes = kBesides;
  absl::StatusOr<Kind> kind = Kind::Of(request, host_.limits);
  if (!kind.ok()) {
    converted.refused = kind.status();
    return converted;
  }
  converted.bytes += ContentBytes(*kind);
  const absl::Time until =
      kind->wait > absl::ZeroDuration() ? std::min(MonotonicNow() + kind->wait, latest_) : absl::InfinitePast();
  converted.start = [kind = *std::move(kind), until, answer](const Place& place, Finished finished) -> CallId {
    const auto fill_with = [answer](typename Kind::Outcome outcome) {
      return [answer, outcome = std::move(outcome)](v1::PipelineResponse::Result* result) mutable {
        Kind::Set(std::move(outcome), (result->*answer)());
      };
    };
    if constexpr (requires { kind.FindNear(place.near); }) {
      if (auto found = kind.FindNear(place.near)) {
        const size_t bytes = Kind::SizeOf(*found);
        std::move(finished)(bytes, fill_with(*std::move(found)));
        return 0;
      }
    }
    return kind.Start(
        place, until,
        [finished = std::move(finished), fill_with](absl::StatusOr<typename Kind::Outcome> outcome) mutable {
          if (outcome.ok()) {
            const size_t bytes = Kind::SizeOf(*outcome);
            return std::move(finished)(bytes, fill_with(*std::move(outcome)));
          }
          Fail(outcome.status(), std::move(finished));
        });
  };
  return converted;
}

CachePipelineStream::Operation CachePipelineStream::ConvertAny(const v1::PipelineRequest::Operation& operation) const {
  using One = v1::PipelineRequest::Operation;
  using Answer = v1::PipelineResponse::Result;
  namespace ops = cache_operations;
  const auto convert = [&]() -> Operation {
    switch (operation.operation_case()) {
      case One::kSave:
        return Convert<ops::Save>(operation.save(), &Answer::mutable_save);
      case One::kLoad:
        return Convert<ops::Load>(operation.load(), &Answer::mutable_load);
      case One::kDestroy:
        return Convert<ops::Destroy>(operation.destroy(), &Answer::mutable_destroy);
      case One::kCompareAndSave:
        return Convert<ops::CompareAndSave>(operation.compare_and_save(), &Answer::mutable_compare_and_save);
      case One::kIncrement:
        return Convert<ops::Increment>(operation.increment(), &Answer::mutable_increment);
      case One::kLock:
        return Convert<ops::Lock>(operation.lock(), &Answer::mutable_lock);
      case One::kUnlock:
        return Convert<ops::Unlock>(operation.unlock(), &Answer::mutable_unlock);
      case One::kCheckLock:
        return Convert<ops::CheckLock>(operation.check_lock(), &Answer::mutable_check_lock);
      case One::kPush:
        return Convert<ops::Push>(operation.push(), &Answer::mutable_push);
      case One::kPop:
        return Convert<ops::Pop>(operation.pop(), &Answer::mutable_pop);
      case One::kListLength:
        return Convert<ops::ListLength>(operation.list_length(), &Answer::mutable_list_length);
      case One::OPERATION_NOT_SET:
        break;
    }
    Operation refused;
    refused.bytes = kBesides;
    refused.refused = absl::InvalidArgumentError("the operation is none that this node knows");
    return refused;
  };
  Operation converted = convert();
  converted.op_id = operation.op_id();
  return converted;
}

void CachePipelineStream::Take(std::vector<Operation> operations) {
  if (stopped_ || closing_.has_value()) return;
  for (Operation& operation : operations) {
    operation.number = ++last_;
    if (operation.number <= newest_) ++awaited_;
    queue_.push_back(std::move(operation));
  }
  Pump();
}

void CachePipelineStream::NoLongerAwaited(uint64_t number) {
  if (number <= newest_) --awaited_;
}

void CachePipelineStream::Pump() {
  while (!queue_.empty() && running_ < window_.size() && HasRoomForResults()) {
    Operation operation = std::move(queue_.front());
    queue_.pop_front();
    Start(std::move(operation));
  }
}

void CachePipelineStream::Start(Operation operation) {
  const uint64_t number = operation.number;
  ++running_;
  Finished finished = [self = shared_from_this(), number, op_id = operation.op_id, kept = operation.bytes](size_t bytes,
                                                                                                           Fill fill) {
    if (self->stopped_) return;
    if (self->waiting_.erase(number) == 0) {
      --self->running_;
      self->NoLongerAwaited(number);
    }
    self->window_.OnOutcome(bytes);
    self->kept_no_more_ += kept;
    self->AddResult({.op_id = op_id, .bytes = bytes, .fill = std::move(fill)});
  };
  if (!operation.refused.ok()) return Fail(operation.refused, std::move(finished));
  const CallId call = std::move(operation.start)(host_.place, std::move(finished));
  if (call == 0) return;
  --running_;
  NoLongerAwaited(number);
  waiting_.emplace(number, call);
}

bool CachePipelineStream::HasRoomForResults() {
  absl::MutexLock lock(&mutex_);
  starved_ = unwritten_ >= kMaxUnwrittenBytes;
  return !starved_;
}

void CachePipelineStream::AddResult(Result result) {
  results_.push_back(std::move(result));
  if (std::exchange(flushing_, true)) return;
  host_.loop.Post([self = shared_from_this()] {
    self->flushing_ = false;
    if (self->stopped_) return;
    self->Flush();
    self->Pump();
    self->EndIfDone();
  });
}

void CachePipelineStream::Flush() {
  std::vector<Result> frame;
  size_t bytes = 0;
  for (Result& result : std::exchange(results_, {})) {
    const size_t more = kBesides + result.bytes;
    if (!frame.empty() && bytes + more > kMaxFrameBytes) Send(std::exchange(frame, {}), std::exchange(bytes, 0));
    bytes += more;
    frame.push_back(std::move(result));
  }
  if (!frame.empty()) Send(std::move(frame), bytes);
  Free(0, std::exchange(kept_no_more_, 0), 0);
}

void CachePipelineStream::Send(std::vector<Result> results, size_t bytes) {
  {
    absl::MutexLock lock(&mutex_);
    unwritten_ += bytes;
  }
  outbox_.Push(bytes, [this, bytes, results = std::move(results)]() mutable {
    v1::PipelineResponse response;
    response.mutable_results()->Reserve(static_cast<int>(results.size()));
    for (Result& result : results) {
      v1::PipelineResponse::Result* to = response.add_results();
      to->set_op_id(result.op_id);
      std::move(result.fill)(to);
    }
    Free(results.size(), 0, bytes);
    return response;
  });
}

void CachePipelineStream::EndIfDone() {
  if (stopped_ || !(read_all_ || closing_.has_value())) return;
  if (!queue_.empty() || running_ > 0 || !waiting_.empty() || !results_.empty()) return;
  End(closing_.value_or(absl::OkStatus()), /*flush=*/true);
}

void CachePipelineStream::Stop() {
  stopped_ = true;
  awaited_ = 0;
  queue_.clear();
  results_.clear();
  for (const auto& [number, call] : std::exchange(waiting_, {})) host_.place.cache.Cancel(call);
}

void CachePipelineStream::OnDone() {
  End(absl::OkStatus(), /*flush=*/false);
  host_.loop.Post([self = std::move(self_)] { self->host_.pipelines.Remove(self.get()); });
}

}  // namespace actioncluster

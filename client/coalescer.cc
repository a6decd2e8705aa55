#include "client/coalescer.h"

#include <utility>
#include <vector>

#include "actioncluster/status.h"
#include "client/clock.h"

namespace actioncluster::client {
namespace {

// A node that drains is gone soon, and the channel then finds another.
constexpr absl::Duration kPauseAfterLeaving = absl::Seconds(1);

// The node takes fewer operations in a frame than we thought.
bool FrameWasTooLong(const absl::Status& why) {
  const std::map<std::string, std::string> metadata = MetadataOf(why);
  const auto limit = metadata.find("limit");
  return ReasonOf(why) == v1::ERROR_REASON_LIMIT_EXCEEDED && limit != metadata.end() && limit->second == "cache_batch";
}

}  // namespace

Coalescer::~Coalescer() {
  std::vector<SessionPtr> open;
  {
    absl::MutexLock lock(&mutex_);
    open.assign(sessions_.begin(), sessions_.end());
    current_ = nullptr;
  }
  for (const SessionPtr& session : open) session->Cancel();
  absl::MutexLock lock(&mutex_);
  const auto over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return sessions_.empty(); };
  mutex_.Await(absl::Condition(&over));
}

PipelineOutcome Coalescer::Do(v1::PipelineRequest::Operation operation, size_t bytes, absl::Time deadline) {
  const SessionPtr session = Current();
  return session == nullptr ? PipelineOutcome() : session->Do(std::move(operation), bytes, deadline);
}

Coalescer::SessionPtr Coalescer::Current() {
  SessionPtr made;
  {
    absl::MutexLock lock(&mutex_);
    if (current_ != nullptr) return current_;
    if (MonotonicNow() < not_before_) return nullptr;
    // Weak: it is the session's own.
    const auto self = std::make_shared<std::weak_ptr<PipelineSession>>();
    made = std::make_shared<PipelineSession>(
        client_, channel_, limits_,
        PipelineSession::Observer{.retired = [this, self] { Left(self->lock()); },
                                  .ended = [this, self](const absl::Status& why) { Ended(self->lock(), why); }});
    *self = made;
    sessions_.insert(made);
    current_ = made;
  }
  // Others may have something for it by now.
  made->Start();
  return made;
}

void Coalescer::Left(const SessionPtr& session) {
  absl::MutexLock lock(&mutex_);
  if (current_ != session) return;
  current_ = nullptr;
  not_before_ = MonotonicNow() + kPauseAfterLeaving;
}

void Coalescer::Ended(const SessionPtr& session, const absl::Status& why) {
  const bool too_long = FrameWasTooLong(why);
  absl::MutexLock lock(&mutex_);
  sessions_.erase(session);
  if (current_ == session) current_ = nullptr;
  if (too_long) limits_.frame_operations = 1;
  // Of an older version.
  if (why.code() == absl::StatusCode::kUnimplemented) not_before_ = absl::InfiniteFuture();
}

}  // namespace actioncluster::client

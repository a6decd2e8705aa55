#include "server/services/restore_stream.h"

#include <cstddef>
#include <random>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "server/grpc/status_bridge.h"

namespace actioncluster {
namespace {

using Outcome = CacheRestorer::Outcome;
using ListPart = CacheRestorer::ListPart;

// Entries go to Redis so many at a time, or so many bytes and one more.
constexpr size_t kBatch = 256;
constexpr size_t kBatchBytes = size_t{1} << 20;
// How long after the restorer was heard something is written: less than it allows.
constexpr absl::Duration kFresh = absl::Seconds(1);

// Names a call: never the same again.
std::string NewName() {
  std::random_device random;
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad8), absl::Hex(random(), absl::kZeroPad8),
                      absl::Hex(random(), absl::kZeroPad8), absl::Hex(random(), absl::kZeroPad8));
}

absl::Status Gone() { return absl::CancelledError("the caller is gone"); }

}  // namespace

RestoreStream::RestoreStream(const Rooms& rooms, const CacheLimits& limits, v1::RestoreResponse* response)
    : rooms_(rooms), response_(response), check_(limits) {}

grpc::ServerReadReactor<v1::RestoreRequest>* RestoreStream::Start(const Rooms& rooms, const CacheLimits& limits,
                                                                  v1::RestoreResponse* response,
                                                                  const absl::Status& admitted) {
  std::shared_ptr<RestoreStream> stream(new RestoreStream(rooms, limits, response));
  stream->self_ = stream;
  if (admitted.ok()) {
    stream->StartRead(&stream->frame_);
  } else {
    stream->End(admitted);
  }
  return stream.get();
}

void RestoreStream::End(const absl::Status& status) {
  // To give a large file back takes the disk a while.
  if (spool_ != nullptr) rooms_.offload.Post([spool = std::move(spool_)] {});
  Finish(ToGrpc(status));
}

void RestoreStream::OnReadDone(bool ok) {
  if (!ok)
    return End(
        absl::InvalidArgumentError(absl::StrCat("it is cut after ", check_.entries(), " entries: there is no end")));
  if (absl::Status taken = Take(); !taken.ok()) return End(taken);
  if (!check_.complete()) return StartRead(&frame_);
  rooms_.offload.Post([self = shared_from_this()] { self->Prepare(); });
}

absl::Status RestoreStream::Take() {
  if (absl::Status good = check_.Take(frame_); !good.ok()) return good;
  if (frame_.has_begin()) {
    absl::StatusOr<std::unique_ptr<RestoreSpool>> spool = RestoreSpool::Create(rooms_.disk);
    if (!spool.ok()) return spool.status();
    spool_ = *std::move(spool);
  }
  return frame_.has_entry() ? spool_->Append(check_.text()) : absl::OkStatus();
}

void RestoreStream::Prepare() {
  if (absl::Status rewound = spool_->Rewind(); !rewound.ok()) return End(rewound);
  restore_ = {.id = check_.begin().restore_id(), .call = NewName(), .keep_existing = check_.begin().keep_existing()};
  rooms_.loop.Post([self = shared_from_this(), what = check_.Digest()] { self->Begin(what); });
}

void RestoreStream::Begin(const std::string& what) {
  heard_ = MonotonicNow();
  rooms_.restorer.Begin(restore_, what, check_.begin().from_start(),
                        [this, self = shared_from_this()](absl::StatusOr<CacheRestorer::Standing> standing) {
                          if (!standing.ok()) return End(standing.status());
                          standing_ = *std::move(standing);
                          resumed_at_ = noted_ = standing_.written;
                          response_->set_resumed_at(resumed_at_);
                          if (standing_.wait == absl::ZeroDuration()) return Continue();
                          pause_.emplace(rooms_.loop, [self]() mutable {
                            const std::shared_ptr<RestoreStream> stream = std::move(self);
                            stream->pause_.reset();
                            stream->Note(&RestoreStream::Continue);
                          });
                          pause_->Set(MonotonicNow() + standing_.wait);
                        });
}

void RestoreStream::Continue() {
  rooms_.offload.Post([self = shared_from_this()] { self->ReadBatch(); });
}

void RestoreStream::ReadBatch() {
  const absl::StatusOr<std::vector<std::string>> texts = spool_->Read(kBatch, kBatchBytes);
  if (!texts.ok()) return End(texts.status());
  if (absl::Status parsed = Parse(*texts); !parsed.ok()) return End(parsed);
  if (texts->empty()) {
    rooms_.loop.Post([self = shared_from_this()] { self->Complete(); });
  } else if (batch_.empty()) {
    // All of these were written before. Others get their turn in between.
    Continue();
  } else {
    rooms_.loop.Post([self = shared_from_this()] { self->WriteBatch(); });
  }
}

absl::Status RestoreStream::Parse(const std::vector<std::string>& texts) {
  batch_.clear();
  batch_.reserve(texts.size());
  for (const std::string& text : texts) {
    if (const int64_t index = next_++; index >= resumed_at_) {
      v1::DumpEntry entry;
      if (!entry.ParseFromString(text)) return absl::InternalError("the node's disk gave back what was not written");
      absl::StatusOr<CacheRestorer::Entry> parsed = parser_.Parse(entry, index);
      if (!parsed.ok()) return parsed.status();
      batch_.push_back(*std::move(parsed));
    }
  }
  return absl::OkStatus();
}

void RestoreStream::WriteBatch() {
  if (gone_.load(std::memory_order_relaxed)) return End(Gone());
  // What an earlier call has written was read first, or the disk is slow.
  if (MonotonicNow() - heard_ > kFresh) return Note(&RestoreStream::WriteBatch);
  rooms_.restorer.Write(restore_, standing_, batch_,
                        [this, self = shared_from_this()](const absl::StatusOr<std::vector<Outcome>>& outcomes) {
                          if (!outcomes.ok()) return End(outcomes.status());
                          Written(*outcomes);
                        });
}

void RestoreStream::Written(const std::vector<Outcome>& outcomes) {
  int64_t index = next_ - static_cast<int64_t>(batch_.size());
  for (size_t i = 0; i < batch_.size(); ++i, ++index) {
    if (absl::Status counted = Count(batch_[i], outcomes[i], index); !counted.ok()) return End(counted);
  }
  noted_ = in_list_ ? list_from_ : next_;
  Note(&RestoreStream::Continue);
}

absl::Status RestoreStream::Count(const CacheRestorer::Entry& entry, Outcome outcome, int64_t index) {
  if (outcome == Outcome::kLate) {
    return BackplaneUnavailable("Redis or this node stood still for too long: restore it again, and it goes on");
  }
  const ListPart* const part = std::get_if<ListPart>(&entry.what);
  if (part == nullptr) {
    if (outcome == Outcome::kWritten) response_->set_values(response_->values() + 1);
    if (outcome == Outcome::kExpired) response_->set_expired(response_->expired() + 1);
    if (outcome == Outcome::kKept) response_->set_kept(response_->kept() + 1);
    return absl::OkStatus();
  }
  if (part->offset == 0) {
    list_from_ = index;
    list_kept_ = outcome == Outcome::kKept;
  }
  in_list_ = !part->last;
  if (outcome == Outcome::kGap && !list_kept_) {
    return BackplaneUnavailable("Redis has lost the parts of a list that were written: restore it again");
  }
  if (!part->last) return absl::OkStatus();
  if (list_kept_ || outcome == Outcome::kKept) {
    response_->set_kept(response_->kept() + 1);
  } else {
    response_->set_lists(response_->lists() + 1);
    finished_.push_back(entry.key);
  }
  return absl::OkStatus();
}

void RestoreStream::Note(void (RestoreStream::*then)()) {
  heard_ = MonotonicNow();
  rooms_.restorer.Note(restore_, noted_,
                       [this, then, self = shared_from_this()](absl::StatusOr<CacheRestorer::Standing> standing) {
                         if (!standing.ok()) return End(standing.status());
                         standing_ = *std::move(standing);
                         rooms_.restorer.Forget(std::exchange(finished_, {}));
                         (this->*then)();
                       });
}

void RestoreStream::Complete() {
  rooms_.restorer.End(
      restore_, next_,
      [this, self = shared_from_this()](const absl::StatusOr<CacheRestorer::Standing>& ended) { End(ended.status()); });
}

}  // namespace actioncluster

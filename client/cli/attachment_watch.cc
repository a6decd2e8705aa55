#include "client/cli/attachment_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

using Kind = client::AttachmentEvent::Kind;

// If nobody reads what is said, the oldest of more is forgotten.
constexpr size_t kMaxUnsaid = 1024;

}  // namespace

std::string ToJson(const client::AttachmentEvent& event) {
  const std::string name = event.kind == Kind::kAttached ? "attached" : event.kind == Kind::kLost ? "lost" : "ended";
  return absl::StrCat("{\"event\":\"", name, "\",\"address\":", QuoteJson(event.address),
                      ",\"node_id\":", QuoteJson(event.node_id),
                      ",\"error\":", event.status.ok() ? "null" : ErrorToJson(event.status), "}");
}

client::AttachmentListener AttachmentWatch::listener() {
  return [this](const client::AttachmentEvent& event) { Note(event); };
}

bool AttachmentWatch::attached() const {
  const absl::MutexLock lock(&mutex_);
  return attached_;
}

bool AttachmentWatch::ended() const {
  const absl::MutexLock lock(&mutex_);
  return ended_;
}

absl::Status AttachmentWatch::Failure(absl::Duration limit) const {
  const absl::MutexLock lock(&mutex_);
  if (ended_ || !status_.ok()) return status_;
  return absl::DeadlineExceededError(absl::StrCat("not attached to any node within ", absl::FormatDuration(limit)));
}

void AttachmentWatch::Note(const client::AttachmentEvent& event) {
  {
    const absl::MutexLock lock(&mutex_);
    attached_ = attached_ || event.kind == Kind::kAttached;
    ended_ = event.kind == Kind::kEnded;
    status_ = event.status;
    if (unsaid_.size() == kMaxUnsaid) unsaid_.pop_front();
    unsaid_.push_back(event);
  }
  changed_.Set();
}

int AttachmentWatch::output() const {
  const absl::MutexLock lock(&mutex_);
  return MaySayNext() ? console_.err() : -1;
}

void AttachmentWatch::Say() {
  client::AttachmentEvent event;
  while ((ended() || console_.CanSay()) && TakeNext(&event)) SayOne(event);
}

bool AttachmentWatch::MaySayNext() const {
  // Whether a loss is the end shows the next event: an end by an error is the program's error, which is told when it ends.
  return !unsaid_.empty() && (unsaid_.front().kind != Kind::kLost || unsaid_.size() > 1);
}

bool AttachmentWatch::TakeNext(client::AttachmentEvent* event) {
  const absl::MutexLock lock(&mutex_);
  if (!unsaid_.empty() && unsaid_.back().kind == Kind::kEnded && !unsaid_.back().status.ok()) {
    unsaid_.pop_back();
    if (!unsaid_.empty() && unsaid_.back().kind == Kind::kLost) unsaid_.pop_back();
  }
  if (!MaySayNext()) return false;
  *event = std::move(unsaid_.front());
  unsaid_.pop_front();
  return true;
}

void AttachmentWatch::SayOne(const client::AttachmentEvent& event) {
  const bool was_lost = std::exchange(said_lost_, event.kind == Kind::kLost);
  if (console_.json()) {
    console_.Say(ToJson(event));
  } else if (event.kind == Kind::kAttached) {
    console_.Say(absl::StrCat("actioncluster: attached to ", Escape(event.node_id), " at ", Escape(event.address), ": ",
                              Escape(what_)));
  } else if (event.kind == Kind::kLost && !was_lost) {
    // Each attempt that fails after that is a loss of its own: people need not hear of every one.
    console_.Say(absl::StrCat("actioncluster: ", said_attached_ ? "lost " : "cannot attach to ", Escape(event.address),
                              ", trying again: ", DescribeError(event.status)));
  }
  said_attached_ = said_attached_ || event.kind == Kind::kAttached;
}

}  // namespace actioncluster::cli

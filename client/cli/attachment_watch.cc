#include "client/cli/attachment_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

using Kind = client::AttachmentEvent::Kind;

// What ends the attachment, as attachment_event.h says.
bool IsPermanent(const absl::Status& status) {
  return absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status) ||
         absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status);
}

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
  bool was_attached, was_lost;
  {
    const absl::MutexLock lock(&mutex_);
    was_attached = attached_;
    was_lost = std::exchange(lost_, event.kind == Kind::kLost);
    attached_ = attached_ || event.kind == Kind::kAttached;
    ended_ = event.kind == Kind::kEnded;
    status_ = event.status;
  }
  changed_.Set();
  // An end for good is the program's error, which is told at its end.
  if (IsPermanent(event.status) || (event.kind == Kind::kEnded && !event.status.ok())) return;
  if (console_.json()) {
    console_.Say(ToJson(event));
  } else if (event.kind == Kind::kAttached) {
    console_.Say(absl::StrCat("actioncluster: attached to ", Escape(event.node_id), " at ", Escape(event.address), ": ",
                              Escape(what_)));
  } else if (event.kind == Kind::kLost && !was_lost) {
    // Each attempt that fails after that is a loss of its own: people need not hear of every one.
    console_.Say(absl::StrCat("actioncluster: ", was_attached ? "lost " : "cannot attach to ", Escape(event.address),
                              ", trying again: ", DescribeError(event.status)));
  }
}

}  // namespace actioncluster::cli

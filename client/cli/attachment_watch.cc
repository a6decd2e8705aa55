#include "client/cli/attachment_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

using Kind = client::AttachmentEvent::Kind;

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
  bool news = true;
  {
    const absl::MutexLock lock(&mutex_);
    attached_ = attached_ || event.kind == Kind::kAttached;
    ended_ = event.kind == Kind::kEnded;
    // Each attempt that fails is a loss of its own: people need not hear of every one.
    news = event.kind != Kind::kLost || !std::exchange(lost_, true);
    if (event.kind == Kind::kAttached) lost_ = false;
    status_ = event.status;
  }
  if (console_.json()) {
    console_.Say(ToJson(event));
  } else if (event.kind == Kind::kAttached) {
    console_.Say(absl::StrCat("actioncluster: attached to ", Escape(event.node_id), " at ", Escape(event.address), ": ",
                              Escape(what_)));
  } else if (event.kind == Kind::kLost && news) {
    console_.Say(absl::StrCat("actioncluster: lost ", Escape(event.address),
                              ", and trying again: ", DescribeError(event.status)));
  }
  changed_.Set();
}

}  // namespace actioncluster::cli

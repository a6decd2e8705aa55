#ifndef ACTIONCLUSTER_CLIENT_CLI_ATTACHMENT_WATCH_H_
#define ACTIONCLUSTER_CLIENT_CLI_ATTACHMENT_WATCH_H_

#include <deque>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/attachment_event.h"
#include "client/cli/console.h"
#include "client/cli/event.h"

namespace actioncluster::cli {

// {"event": "attached" | "lost" | "ended", "address", "node_id", "error": as ErrorToJson, or null}
std::string ToJson(const client::AttachmentEvent& event);

// Remembers what becomes of a stream that is kept attached, until its owner says it beside the results. Thread-safe: the stream's threads tell it and
// are never held up by who reads it; one thread says it.
class AttachmentWatch {
 public:
  // `what` is said of it once it is attached: "greet is offered".
  AttachmentWatch(std::string what, Console& console) : what_(std::move(what)), console_(console) {}

  // For the stream's options. This outlives the stream.
  client::AttachmentListener listener();

  // Set when something has happened.
  Event& changed() { return changed_; }
  bool attached() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Says what has happened since, as far as that is taken at once; all of it, even if that blocks, when the stream has ended.
  void Say() ABSL_LOCKS_EXCLUDED(mutex_);
  // What to wait for until there is room to say more; -1 if there is nothing to say.
  int output() const ABSL_LOCKS_EXCLUDED(mutex_);
  // It has given up, or was stopped.
  bool ended() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Why: of its end; of the last loss, if it was never attached within `limit`.
  absl::Status Failure(absl::Duration limit) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Note(const client::AttachmentEvent& event) ABSL_LOCKS_EXCLUDED(mutex_);
  bool MaySayNext() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TakeNext(client::AttachmentEvent* event) ABSL_LOCKS_EXCLUDED(mutex_);
  void SayOne(const client::AttachmentEvent& event);

  const std::string what_;
  Console& console_;
  Event changed_;
  mutable absl::Mutex mutex_;
  bool attached_ ABSL_GUARDED_BY(mutex_) = false;  // Once.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::deque<client::AttachmentEvent> unsaid_ ABSL_GUARDED_BY(mutex_);
  // Of what was said; for the thread that says it.
  bool said_attached_ = false;  // Once.
  bool said_lost_ = false;      // Last.
};

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_ATTACHMENT_WATCH_H_

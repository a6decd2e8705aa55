#ifndef ACTIONCLUSTER_CLIENT_CLI_ATTACHMENT_WATCH_H_
#define ACTIONCLUSTER_CLIENT_CLI_ATTACHMENT_WATCH_H_

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

// Says beside the results what becomes of a stream that is kept attached, and remembers what its owner has to know. Thread-safe.
class AttachmentWatch {
 public:
  // `what` is said of it once it is attached: "greet is offered".
  AttachmentWatch(std::string what, Console& console) : what_(std::move(what)), console_(console) {}

  // For the stream's options. This outlives the stream.
  client::AttachmentListener listener();

  // Set when something has happened.
  Event& changed() { return changed_; }
  bool attached() const ABSL_LOCKS_EXCLUDED(mutex_);
  // It has given up, or was stopped.
  bool ended() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Why: of its end; of the last loss, if it was never attached within `limit`.
  absl::Status Failure(absl::Duration limit) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Note(const client::AttachmentEvent& event) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string what_;
  Console& console_;
  Event changed_;
  mutable absl::Mutex mutex_;
  bool attached_ ABSL_GUARDED_BY(mutex_) = false;  // Once.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;  // By the last event.
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_ATTACHMENT_WATCH_H_

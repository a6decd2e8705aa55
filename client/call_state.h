#ifndef ACTIONCLUSTER_CLIENT_CALL_STATE_H_
#define ACTIONCLUSTER_CLIENT_CALL_STATE_H_

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/method_host.h"
#include "actioncluster/v1/rpc.pb.h"

namespace actioncluster::client {

// One call at this host: it is open until it is answered or cancelled, whichever comes first; what comes later is dropped. Shared by the session that it came
// on and the user's Invocation. Any thread; no lock is held while the user's functions run.
class CallState {
 public:
  using Call = v1::ServeResponse::Call;
  using Reply = v1::ServeRequest::Reply;
  using Send = absl::AnyInvocable<void(Reply) &&>;

  // `send` runs for the answer, on the thread that gives it, and is dropped as soon as it is no more needed.
  CallState(Call call, Send send) : call_(std::move(call)), send_(std::move(send)) {}

  // Runs the handler with this call on this thread, unless the call is cancelled, and answers for what it throws.
  static void Run(const std::shared_ptr<CallState>& state, const Handler& handler);

  const Call& call() const { return call_; }
  bool IsCancelled() const ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel(absl::AnyInvocable<void() &&> cancelled) ABSL_LOCKS_EXCLUDED(mutex_);

  void Answer(Reply reply) ABSL_LOCKS_EXCLUDED(mutex_);
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_);
  // The invocation is gone, and with it the chance to answer.
  void Abandon() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void HandlerBegins() ABSL_LOCKS_EXCLUDED(mutex_);
  void HandlerReturned() ABSL_LOCKS_EXCLUDED(mutex_);

  const Call call_;

  mutable absl::Mutex mutex_;
  Send send_ ABSL_GUARDED_BY(mutex_);  // Null: no longer open.
  absl::AnyInvocable<void() &&> on_cancel_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  // While its handler runs, an invocation that goes may go by an exception, which says more than that it went.
  bool in_handler_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_CALL_STATE_H_

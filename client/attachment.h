#ifndef ACTIONCLUSTER_CLIENT_ATTACHMENT_H_
#define ACTIONCLUSTER_CLIENT_ATTACHMENT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/attachment_event.h"
#include "actioncluster/client.h"
#include "client/attach_plan.h"
#include "client/session.h"
#include "client/strand.h"
#include "client/timer.h"

namespace actioncluster::client {

// Keeps one session attached to some node: the driver of an AttachPlan. A session whose node drains stays until another is attached, then it is retired.
//
// Start, AwaitAttached and Stop are for any thread; the listener and the making of sessions run on the strand, and hold no lock.
class Attachment : public std::enable_shared_from_this<Attachment> {
 public:
  using MakeSession = std::function<std::shared_ptr<Session>(const std::shared_ptr<grpc::Channel>&, Session::Observer)>;

  // Whether the end of a session is the last, besides those that are for all: see attachment_event.h.
  using IsFinal = std::function<bool(const absl::Status& why)>;

  // The client is to outlive it.
  static std::shared_ptr<Attachment> Create(const Client& client, MakeSession make_session, AttachmentListener listener,
                                            IsFinal is_final = nullptr);

  void Start();

  // OK once a session is attached. DEADLINE_EXCEEDED: not within `limit`; or why it has given up; or CANCELLED, as it was stopped.
  absl::Status AwaitAttached(absl::Duration limit) ABSL_LOCKS_EXCLUDED(mutex_);

  // Retires the sessions, and cancels those that have not ended after `grace`. When it returns all have ended, and the last event was told. May be
  // called again, also at the same time: the shortest grace counts.
  void Stop(absl::Duration grace) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A session with what is known of it.
  struct Link {
    explicit Link(Strand& strand) : limit(strand), tick(strand) {}

    std::string address;
    std::shared_ptr<grpc::Channel> channel;
    std::shared_ptr<Session> session;
    bool attached = false;
    bool retired = false;
    absl::Status cancelled_for;  // Not OK: it ends because we want it to, and this is why.
    Timer limit;                 // On the attempt to attach.
    Timer tick;
  };
  using LinkPtr = std::shared_ptr<Link>;

  Attachment(const Client& client, MakeSession make_session, AttachmentListener listener, IsFinal is_final);

  // The strand's, as all that follows.
  void TryNext();
  void Begin(const std::string& address);
  Session::Observer ObserverOf(const LinkPtr& link);
  void OnAttached(const LinkPtr& link, const std::string& node_id);
  void OnDraining(const LinkPtr& link, const std::vector<std::string>& alternatives);
  void OnEnded(const LinkPtr& link, const absl::Status& why);
  void CancelLink(const LinkPtr& link, const absl::Status& why);
  void Retire(const LinkPtr& link);
  void ArmTick(const LinkPtr& link);

  // The nodes' own addresses, by the list that the attached node gives.
  void Learn();
  void OnLearnt(std::vector<std::string> addresses);

  // Begins nothing new, and lets the sessions end. The first status counts.
  void End(const absl::Status& status);
  void CancelAll();
  // If it is to end, and nothing runs any more.
  void EndIfIdle();
  void Tell(AttachmentEvent::Kind kind, const std::string& address, const std::string& node_id,
            const absl::Status& status);

  // Constant after construction.
  const Client& client_;
  const MakeSession make_session_;
  const AttachmentListener listener_;
  const IsFinal is_final_;

  Strand strand_;

  // The strand's.
  absl::BitGen random_;
  AttachPlan plan_;
  LinkPtr current_;            // The one that is attached, or to be; none while we wait.
  std::set<LinkPtr> leaving_;  // Their nodes drain.
  std::shared_ptr<grpc::ClientContext> learning_;
  bool has_learnt_ = false;
  std::optional<absl::Status> end_;
  bool told_end_ = false;
  Timer retry_;
  Timer learn_;
  Timer grace_;
  absl::Time grace_ends_ = absl::InfiniteFuture();

  absl::Mutex mutex_;
  bool attached_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> over_ ABSL_GUARDED_BY(mutex_);  // All is said and done.
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_ATTACHMENT_H_

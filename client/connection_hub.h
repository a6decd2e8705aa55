#ifndef ACTIONCLUSTER_CLIENT_CONNECTION_HUB_H_
#define ACTIONCLUSTER_CLIENT_CONNECTION_HUB_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actioncluster/connection.h"
#include "actioncluster/v1/connections.pb.h"
#include "client/call_state.h"
#include "client/connection_core.h"
#include "client/strand.h"
#include "client/timer.h"

namespace actioncluster::client {

// What is done with what comes.
struct ConnectionHandlers {
  std::function<void(const v1::OpenResponse::Message&)> on_message;
  std::function<void(const v1::OpenResponse::Direct&)> on_direct;
  std::function<void(const MissedMessages&)> on_missed;
  std::function<void(const v1::OpenResponse::Left&)> on_left;
  // Begins to run a call, which nobody waits for past `until` (monotonic); may not block.
  std::function<void(std::shared_ptr<CallState> call, absl::Time until)> run;
  absl::Status fault;  // Not OK: the options make no sense, and no node is to be asked.
};

// What the streams of one connection have in common, one after the other. Those who ask for verbs come to it, and so does the stream that writes them.
//
// Any thread; no lock is held while callbacks run.
class ConnectionHub : public std::enable_shared_from_this<ConnectionHub> {
 public:
  // The stream that stands.
  class Writer {
   public:
    virtual ~Writer() = default;
    // There may be more to write, or nothing more to wait for.
    virtual void Pump() = 0;
  };

  ConnectionHub(v1::OpenRequest::Hello hello, ConnectionHandlers handlers)
      : handlers_(std::move(handlers)), core_(std::move(hello)), timer_(strand_) {}

  // Verbs. As ConnectionCore::Add; deadlines are monotonic.
  absl::StatusOr<uint64_t> Ask(v1::OpenRequest::Verb verb, absl::Time deadline, ConnectionCore::OnReply& on_reply)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends one whose time is over. False: it has its reply, or gets it now.
  bool GiveUp(uint64_t id) ABSL_LOCKS_EXCLUDED(mutex_);
  std::string id() const ABSL_LOCKS_EXCLUDED(mutex_);

  // No verb is taken any more.
  void Shut(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mutex_);
  // Likewise, and all are over.
  void End(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether a stream that has ended so was the last.
  bool IsFinal(const absl::Status& why) const ABSL_LOCKS_EXCLUDED(mutex_);

  // For streams.
  const absl::Status& fault() const { return handlers_.fault; }
  v1::OpenRequest::Hello Hello() const ABSL_LOCKS_EXCLUDED(mutex_);
  void HelloLost() ABSL_LOCKS_EXCLUDED(mutex_);
  // The connection stands on this stream. Handlers run in this call, as in the next ones, after `then`.
  void Stand(std::shared_ptr<Writer> writer, const v1::OpenResponse::Welcome& welcome,
             const std::function<void()>& then) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnMessage(const v1::OpenResponse::Message& message) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDirect(const v1::OpenResponse::Direct& direct);
  // Whether the stream is to be opened anew, for what rooms with a history have kept.
  bool OnMissed(const v1::OpenResponse::Missed& missed) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnLeft(const v1::OpenResponse::Left& left) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnReply(v1::OpenResponse::Reply reply) ABSL_LOCKS_EXCLUDED(mutex_);
  void Run(std::shared_ptr<CallState> call, absl::Time until) { handlers_.run(std::move(call), until); }
  // The next verb to be written.
  bool Fill(v1::OpenRequest* frame) ABSL_LOCKS_EXCLUDED(mutex_);
  // No verb is open.
  bool idle() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The stream has ended. Also of one that never stood.
  void Fall() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static void Finish(std::vector<ConnectionCore::Over> over);
  void TellLeft(const std::string& room, const char* reason);
  void Arm(absl::Time at);
  void OnTimer() ABSL_LOCKS_EXCLUDED(mutex_);

  const ConnectionHandlers handlers_;

  mutable absl::Mutex mutex_;
  ConnectionCore core_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Writer> writer_ ABSL_GUARDED_BY(mutex_);  // Null: none stands.
  absl::Time armed_for_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();

  Strand strand_;
  Timer timer_;  // The strand's.
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_CONNECTION_HUB_H_

#ifndef ACTIONCLUSTER_BACKPLANE_RPC_ASKER_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_ASKER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/bus/bus.h"
#include "backplane/domain/node_ref.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/presence/presence.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/addressing.h"
#include "backplane/rpc/local_methods.h"
#include "backplane/rpc/moving_methods.h"
#include "backplane/rpc/pending_calls.h"
#include "backplane/rpc/prober.h"
#include "backplane/rpc/rpc.h"

namespace actioncluster {

// A call or a notification, from its beginning to its end.
struct Request {
  IncomingCall call;  // As those that run it get it; the caller is filled in when it is asked.
  CallTarget target;
  PendingCalls::Sinks sinks;  // Until it is begun.
  std::string holder;         // The boot that holds the connection, when that is the target, once it is known.
  std::shared_ptr<int> sent;  // Of a notification: to how many nodes it goes.
  absl::flat_hash_set<std::string> asked = {};     // Boots that were asked.
  absl::Status declined = absl::OkStatus();        // Why all of them have not run it.
  absl::Time wait_until = absl::InfiniteFuture();  // For its method to come back, once it has to.
};
using RequestPtr = std::shared_ptr<Request>;

// The asking half of Rpc: finds out who is to answer, asks them, and feeds PendingCalls, which decides the rest, with
// what comes of it.
//
// A notification is a call that ends as soon as it is sent.
//
// A call that nobody runs, though it is not to a certain node, is asked anew of whoever Redis then says; if that is nobody, and the method is one that moves between nodes (MovingMethods), it waits
// for that. One to a certain node, or its successor, likewise: it waits if that node has drained.
//
// Confined to the I/O thread. The references outlive it until Stop; after that, whatever it has handed out as callbacks
// does nothing.
class Asker : public std::enable_shared_from_this<Asker> {
 public:
  Asker(Loop& loop, Bus& bus, Membership& membership, Presence& presence, const Keys& keys, LocalMethods& local,
        RpcCounters& counters);

  void Begin(const RequestPtr& request);
  void Cancel(CallId id);
  // Ends every call with `why`.
  void Stop(const absl::Status& why);

  void OnReply(const internal::v1::Envelope& envelope);
  // What the sender was asked it may not have heard: it is asked which of it it has, and denies the rest.
  void OnInterruption(const internal::v1::Envelope& envelope);
  void OnDenial(const internal::v1::Envelope& envelope);
  void OnNode(const NodeEvent& event);
  void OnServing(bool serving);
  void OnBusState(const absl::Status& state);

  // Any thread.
  uint32_t waiting() const { return pending_.size(); }
  // I/O thread.
  uint32_t WaitingUpTo(CallId newest) const { return pending_.CountUpTo(newest); }

 private:
  // A callback that runs `f(*this, arguments…)`, but nothing after Stop.
  template <class F>
  auto Guard(F f);

  // The steps of a call. Each looks whether it still waits, or changes nothing.
  void LookUp(const RequestPtr& request, bool refreshed);
  void Resolve(const RequestPtr& request, bool refreshed);
  // Without those that were asked already: OK if somebody is left.
  static absl::Status WithoutAsked(const Request& request, Addressees* addressees);
  // Nobody who is known runs it, and that is known to be so.
  void EndOrWait(const RequestPtr& request, const absl::Status& why);
  // Who can run it may be on the way.
  bool MayCome(const Request& request, absl::Time now) const;
  void WakeWaiting(const NodeEvent& event);
  void EndWaiting();
  void AskFirst(const RequestPtr& request, Addressees addressees);
  void AskAnew(const RequestPtr& request);
  void Ask(const RequestPtr& request, const std::vector<NodeRef>& nodes);
  void RunHere(const RequestPtr& request);
  void Send(const RequestPtr& request, const std::vector<std::string>& boots);
  void Sent(const RequestPtr& request, const std::vector<std::string>& boots, int64_t receivers);
  void FindWhoMissedIt(CallId id, const std::vector<std::string>& boots);

  bool HearsItself(absl::string_view method) const;
  std::string ChannelOf(absl::string_view method) const;
  void ArmDeadline(absl::Time when);

  Loop& loop_;
  Bus& bus_;
  Membership& membership_;
  Presence& presence_;
  const Keys& keys_;
  LocalMethods& local_;
  RpcCounters& counters_;
  PendingCalls pending_;
  absl::BitGen random_;
  bool stopped_ = false;
  absl::Time deadline_ = absl::InfiniteFuture();  // What the timer is set to.
  std::optional<Timer> deadline_timer_;           // Gone after Stop, as the loop may be.
  MovingMethods moving_;
  struct Waiting {
    RequestPtr request;
    absl::Status why;  // It ends so, if nobody comes.
  };
  std::vector<Waiting> waiting_;        // For a method, or a node, that may come.
  std::optional<Timer> waiting_timer_;  // Gone after Stop.
  std::shared_ptr<Prober> prober_;      // Likewise.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_ASKER_H_

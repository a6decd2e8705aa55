#ifndef ACTIONCLUSTER_BACKPLANE_RPC_PENDING_CALLS_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_PENDING_CALLS_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/domain/node_ref.h"
#include "backplane/rpc/call.h"
#include "backplane/rpc/local_methods.h"

namespace actioncluster {

// Matches replies to waiting calls, and ends each call exactly once, whatever comes in which order.
//
// A call is opened, then told who is expected to answer: each of these has a share of it. A share ends by the node's
// reply, or by what becomes of the node. A call for the first reply ends with the first result or error of a handler. A
// call for every reply reports each share once, and ends OK with the last. Both end with RPC_TIMEOUT at the deadline,
// with the nodes that did not answer in the metadata.
//
// When every share of a call for the first reply has ended without an answer, it ends with the weightiest of:
//   1. the node may have run it: lost (HANDLER_FAILED), or the bus broke (BACKPLANE_UNAVAILABLE);
//   2. overloaded (LIMIT_EXCEEDED);
//   3. draining, or otherwise declined for now;
//   4. out of reach, nothing was run (BACKPLANE_UNAVAILABLE): it might have had the method;
//   5. not offered there (METHOD_NOT_FOUND).
// Of equals, the first. But while nobody may have run it, the next fallback is asked, if there is one; and when all have ended so and none was overloaded, whoever asked (OnDeclined) may
// know of others by now.
//
// Sinks run inside the operations that end what they wait for, when the table is consistent: they may call any
// operation. Does no I/O and reads no clock; times are monotonic. Confined to the I/O thread, but for size().
class PendingCalls {
 public:
  struct First {
    CallDone done;
  };
  struct Every {
    OnShare on_share;
    AllDone done;
  };
  // A notification: it ends when it is sent.
  struct Sent {
    CallDone done;
  };
  using Sinks = std::variant<First, Every, Sent>;
  static void EndWith(Sinks sinks, absl::StatusOr<CallResult> result);
  // Asks a fallback, whose share is open from now on.
  using Ask = absl::AnyInvocable<void(const NodeRef& node)>;

  // From now on the call waits: at first for Expect. The id is new.
  void Open(CallId id, std::string method, absl::Time deadline, Sinks sinks);

  // `nodes` (not empty) are about to be asked, and nobody else is any more; tell before asking, as a peer may answer before PUBLISH returns.
  // `fallbacks` are asked one by one, by `ask`, when all before them have declined or were out of reach; only for the
  // first reply. The share of `local_boot` does not depend on the bus. False: the call has ended meanwhile, ask nobody.
  bool Expect(CallId id, std::vector<NodeRef> nodes, std::deque<NodeRef> fallbacks, const std::string& local_boot,
              Ask ask, absl::Time now);
  // How often it was told whom to expect. A node that has declined may be asked again; what it still says of an earlier round does not count.
  static constexpr uint32_t kFirstRound = 1;
  uint32_t RoundOf(CallId id) const;

  // Runs instead of the end of a call for the first reply whose shares have all ended by 3 to 5: who is told ends the call, or has it expect others.
  using Declined = absl::AnyInvocable<void(const absl::Status& why)>;
  void OnDeclined(CallId id, Declined declined);

  // A reply. False if nobody waits for it: late, duplicate, of an earlier round, or of a boot that was not asked. Count it, drop it. A
  // node's word that the deadline has passed is no answer: ours decides, so that the share counts as missing. But of a
  // method of the nodes' own it is one: somebody that the node has asked in turn, with less time, did not answer.
  bool Accept(CallId id, absl::string_view boot, Outcome outcome, uint32_t round = kFirstRound);

  // PUBLISH gave the call to as many as were asked: these have it. Or, to fewer, and it is not known who is without:
  // whoever then withdraws the method may never have heard of the call.
  void Delivered(CallId id, const std::vector<std::string>& boots);
  void Doubtful(CallId id, const std::vector<std::string>& boots);
  // PUBLISH failed: whether these have it is not known. Their shares end with `why`.
  void Unsent(CallId id, const std::vector<std::string>& boots, const absl::Status& why);
  // Nobody listened on the node's channel: it has not run the call, and its share ends.
  void Unreachable(CallId id, absl::string_view boot);

  // The boot is gone: all its shares end. It may have run them, unless it is not known yet whether PUBLISH reached it: then that is waited for, as a
  // call that nobody has heard goes to the next fallback.
  void Lost(absl::string_view boot);
  // The boot is no longer known, which is no proof that it is gone: all its shares end with `why`. It may have run them.
  void Forgotten(absl::string_view boot, const absl::Status& why);
  // The boot offers only what `offers` says: its shares of other methods end, unless they were delivered: then it will
  // answer.
  void Withdrawn(absl::string_view boot, absl::FunctionRef<bool(absl::string_view method)> offers);
  // Replies of other nodes may be lost: all their shares end with `why`. What this node runs itself goes on.
  void BusBroken(const absl::Status& why);

  // Ends the call with this status: OK gives an empty result. Nothing if it has ended.
  void End(CallId id, const absl::Status& status);
  void EndAll(const absl::Status& status);

  // Ends the call with CANCELLED, and gives who still works on it; nobody if it has ended.
  struct Abandoned {
    std::string method;
    std::vector<NodeRef> nodes;
  };
  Abandoned Cancel(CallId id);

  // Ends the calls that are due at `now`; gives the next deadline, InfiniteFuture if there is none.
  absl::Time Expire(absl::Time now);

  bool Waits(CallId id) const { return calls_.contains(id); }
  // The other boots that are awaited by calls which asked before `before`: those to be probed.
  std::vector<std::string> AwaitedSince(absl::Time before) const;
  // The calls whose shares of this other boot are open, with their rounds; no notifications.
  std::vector<std::pair<CallId, uint32_t>> AwaitedOf(absl::string_view boot) const;
  // Any thread.
  // Of the calls with ids up to `newest`, those that still wait.
  uint32_t CountUpTo(CallId newest) const;
  uint32_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  // Why a share ended without an answer; the larger, the weightier.
  enum class Verdict { kNotOffered, kOutOfReach, kNotNow, kOverloaded, kMayHaveRun };
  enum class Delivery { kUnknown, kDelivered, kDoubtful };

  struct Share {
    NodeRef node;
    bool local = false;
    bool open = true;
    Delivery delivery = Delivery::kUnknown;
    bool withdrawn = false;
    bool lost = false;  // And delivery is unknown.
  };
  struct Call {
    CallId id = 0;
    std::string method;
    absl::Time deadline;
    Sinks sinks;
    uint32_t round = 0;
    std::string local_boot;
    std::deque<NodeRef> fallbacks;
    Ask ask;
    Declined declined;
    absl::Time asked_at = absl::InfiniteFuture();
    std::deque<Share> shares;  // Grows; references to elements stay.
    Verdict verdict = Verdict::kNotOffered;
    absl::Status status;  // Of the verdict; OK before the first.
    bool ended = false;
  };
  // Shared, so that a sink may end the call that is being worked on.
  using CallPtr = std::shared_ptr<Call>;

  CallPtr Find(CallId id) const;
  std::vector<CallPtr> All() const;
  static Share* FindOpen(Call& call, absl::string_view boot);
  static bool HasOpenShare(const Call& call);
  static Verdict VerdictOf(const absl::Status& decline);

  // Reports the share's end, and ends the call, or asks on, if it was the last.
  void EndShare(const CallPtr& call, Share& share, Verdict verdict, const absl::Status& why);
  void AfterShare(const CallPtr& call);
  void EndIfWithdrawn(const CallPtr& call, Share& share);
  void EndAsLost(const CallPtr& call, Share& share);
  void Finish(const CallPtr& call, absl::StatusOr<CallResult> result);

  absl::btree_map<CallId, CallPtr> calls_;
  absl::btree_set<std::pair<absl::Time, CallId>> deadlines_;
  std::atomic<uint32_t> size_{0};
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_PENDING_CALLS_H_

#ifndef ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/bus/bus.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/local_methods.h"
#include "backplane/rpc/rpc.h"

namespace actioncluster {

// The answering half of Rpc: runs the calls of other nodes here, and replies on the caller's own channel. A call that
// comes too late is not run; nor is one that comes while this node may not act, which is declined.
//
// A node hears by one connection and answers by another, and either may fail alone, of which callers see nothing:
// - An answer that Redis may not have got is kept, and sent again until the call's deadline; the caller drops what comes twice. Results past 16 MiB in all are
//   given up, and an error kept instead.
// - Calls that were sent while the subscription was interrupted are lost. So the node tells all others when it stands again; who awaits replies of it inquires, and it denies the calls that it
//   does not remember. What one connection publishes Redis carries out in order, so no call comes after the inquiry for it, and no answer after its denial. A call is remembered until Redis gave
//   its answer to somebody, or its caller does not wait any more.
//
// Confined to the I/O thread. The references outlive it until Stop; runs that are under way then end unheard.
class Responder : public std::enable_shared_from_this<Responder> {
 public:
  Responder(Loop& loop, Bus& bus, Membership& membership, const Keys& keys, LocalMethods& local, RpcCounters& counters);

  void OnCall(const internal::v1::Envelope& envelope, absl::Time sent_at);
  void OnCancel(const internal::v1::Envelope& envelope);
  void OnInquiry(const internal::v1::Envelope& envelope);
  void OnBusState(const absl::Status& state);
  // Answers nobody any more.
  void Stop();

  // Answers that wait to be sent again, and still have time for it.
  size_t unsent() const;

 private:
  // A caller's boot, its id of the call, and the round.
  using CallKey = std::tuple<std::string, uint64_t, uint32_t>;
  struct Answer {
    CallKey call;
    absl::Time deadline;
    std::string boot;  // Of this node, which took the call; only it may answer.
    Outcome outcome;
  };
  static size_t SizeOf(const Outcome& outcome);

  void Send(Answer answer);
  // PUBLISH gave it to so many.
  void Sent(Answer answer, int64_t receivers);
  void Keep(Answer answer, const absl::Status& why);
  void SendAgain();
  // Nobody waits for an answer, as far as this node knows; its caller may think otherwise a little longer.
  void Linger(CallKey call, absl::Time deadline);
  void ForgetUntil(absl::Time now);
  void TellOfInterruption();

  Bus& bus_;
  Membership& membership_;
  const Keys& keys_;
  LocalMethods& local_;
  RpcCounters& counters_;
  absl::flat_hash_set<CallKey> heard_;                      // Remembered; no notifications.
  absl::btree_multimap<absl::Time, CallKey> forget_after_;  // Of these, those without an answer that is still to come.
  std::vector<Answer> unsent_;
  size_t unsent_bytes_ = 0;
  absl::Duration again_in_;
  bool well_ = false;  // As the bus was last.
  bool interrupted_ = false;
  std::optional<Timer> again_;  // Gone after Stop.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_

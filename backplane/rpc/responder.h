#ifndef ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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
// - An answer that Redis may not have got is kept, and sent again until the call's deadline; the caller drops what comes twice.
// - Calls that were sent while the subscription was interrupted are lost. So the node tells all others of the interruption; who awaits replies of it inquires, and calls that it does not have
//   are declined. What one connection of a caller publishes Redis carries out in order, so a call that comes at all comes before the inquiry; and likewise an answer before it is denied.
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

 private:
  // A caller's boot, and its id of the call.
  using CallKey = std::pair<std::string, uint64_t>;
  struct Answer {
    CallKey call;
    absl::Time deadline;
    std::string boot;  // Of this node, which took the call; only it may answer.
    Outcome outcome;
  };

  void Send(Answer answer);
  void Keep(Answer answer, const absl::Status& why);
  void SendAgain();
  void TellOfInterruption();

  Bus& bus_;
  Membership& membership_;
  const Keys& keys_;
  LocalMethods& local_;
  RpcCounters& counters_;
  absl::flat_hash_set<CallKey> open_;  // Heard, and Redis has not confirmed an answer.
  std::vector<Answer> unsent_;
  size_t unsent_bytes_ = 0;  // Of results.
  bool interrupted_ = false;
  std::optional<Timer> again_;  // Gone after Stop.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_

#ifndef ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

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
// A node hears by one connection and answers by another: while only the latter is away, callers wait and know of nothing wrong. So an answer that Redis may not have got is kept, and sent
// again until the call's deadline; the caller drops what comes twice.
//
// Confined to the I/O thread. The references outlive it until Stop; runs that are under way then end unheard.
class Responder : public std::enable_shared_from_this<Responder> {
 public:
  Responder(Loop& loop, Bus& bus, Membership& membership, const Keys& keys, LocalMethods& local, RpcCounters& counters);

  void OnCall(const internal::v1::Envelope& envelope, absl::Time sent_at);
  void OnCancel(const internal::v1::Envelope& envelope);
  // Answers nobody any more.
  void Stop();

 private:
  struct Answer {
    NodeRef caller;
    uint64_t id = 0;
    absl::Time deadline;
    std::string boot;  // Of this node, which took the call; only it may answer.
    Outcome outcome;
  };
  static size_t SizeOf(const Answer& answer);

  void Send(Answer answer);
  void Keep(Answer answer, const absl::Status& why);
  void SendAgain();

  Bus& bus_;
  Membership& membership_;
  const Keys& keys_;
  LocalMethods& local_;
  RpcCounters& counters_;
  std::deque<Answer> unsent_;  // The oldest first.
  size_t unsent_bytes_ = 0;
  std::optional<Timer> again_;  // Gone after Stop.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_

#ifndef ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/bus/bus.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/rpc/local_methods.h"
#include "backplane/rpc/rpc.h"

namespace actioncluster {

// The answering half of Rpc: runs the calls of other nodes here, and replies on the caller's own channel. A call that
// comes too late is not run; nor is one that comes while this node may not act, which is declined.
//
// Confined to the I/O thread. The references outlive it; runs that are under way when it is destroyed end unheard.
class Responder : public std::enable_shared_from_this<Responder> {
 public:
  Responder(Bus& bus, Membership& membership, const Keys& keys, LocalMethods& local, RpcCounters& counters);

  void OnCall(const internal::v1::Envelope& envelope, absl::Time sent_at);
  void OnCancel(const internal::v1::Envelope& envelope);

 private:
  // `boot` took the call; only it may answer.
  void Reply(const NodeRef& caller, uint64_t id, const std::string& boot, const Outcome& outcome);

  Bus& bus_;
  Membership& membership_;
  const Keys& keys_;
  LocalMethods& local_;
  RpcCounters& counters_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_RESPONDER_H_

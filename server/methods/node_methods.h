#ifndef ACTIONCLUSTER_SERVER_METHODS_NODE_METHODS_H_
#define ACTIONCLUSTER_SERVER_METHODS_NODE_METHODS_H_

#include <cstdint>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/bus/bus.h"
#include "backplane/membership/membership.h"
#include "backplane/rpc/local_methods.h"

namespace actioncluster {

// What a node offers of itself:
//   node.ping      → {node_id, boot_id}
//   node.info      → what GetNode says of it, and its counters of the bus: published, accepted, and rejected by reason
//   node.log(text) → writes one line to the node's log, at most 4 KiB of it → true
//   node.shutdown  → drains and stops the node → true, before it does
//   node.drain(seconds) → for ClusterService.Drain on another node only; callers cannot name it → the calls and tasks still running
//   node.workers   → for TaskService.ListWorkers only; callers cannot name it → this node's, as bytes of a ListWorkersResponse
//
// Confined to the I/O thread.
class NodeMethods {
 public:
  struct Control {
    absl::AnyInvocable<void()> shutdown;
    absl::AnyInvocable<void(absl::Duration timeout, absl::AnyInvocable<void(uint32_t running) &&> done)> drain;
    absl::AnyInvocable<internal::v1::NodeStats()> stats;
    absl::AnyInvocable<std::string()> workers;  // Serialized.
  };

  // The references outlive this.
  NodeMethods(const Membership& membership, const BusCounters& bus) : membership_(membership), bus_(bus) {}

  // Before the first Run.
  void SetControl(Control control) { control_ = std::move(control); }

  void Run(const IncomingCall& call, absl::AnyInvocable<void(Outcome) &&> done);

 private:
  Outcome Ping() const;
  Outcome Info();
  Outcome Log(const IncomingCall& call) const;

  const Membership& membership_;
  const BusCounters& bus_;
  Control control_;
};

// A caller may name it: one of those above but `node.drain` and `node.workers`.
bool IsPublicNodeMethod(absl::string_view method);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_METHODS_NODE_METHODS_H_

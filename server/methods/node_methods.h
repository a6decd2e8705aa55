#ifndef ACTIONCLUSTER_SERVER_METHODS_NODE_METHODS_H_
#define ACTIONCLUSTER_SERVER_METHODS_NODE_METHODS_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
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
// and what other parts of it serve to nodes by Serve. All of it while the node drains, too. A call that its caller gives up on runs on.
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

  using Done = absl::AnyInvocable<void(Outcome) &&>;
  // Runs a call of a method that nodes call of each other. `done` is called once, or, if the node goes before, dropped.
  using Handler = absl::AnyInvocable<void(IncomingCall call, Done done)>;

  // Before the first Run.
  void SetControl(Control control) { control_ = std::move(control); }
  // Likewise. `method`: its whole name, under `node.`, which callers cannot name.
  void Serve(std::string method, Handler handler);

  void Run(IncomingCall call, Done done);

 private:
  Outcome Ping() const;
  Outcome Info();
  Outcome Log(const IncomingCall& call) const;

  const Membership& membership_;
  const BusCounters& bus_;
  Control control_;
  absl::flat_hash_map<std::string, Handler> served_;
};

// A caller may name it: one of those above but `node.drain`, `node.workers`, and what is served.
bool IsPublicNodeMethod(absl::string_view method);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_METHODS_NODE_METHODS_H_

#ifndef ACTIONCLUSTER_BACKPLANE_RPC_CALL_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_CALL_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/domain/content.h"

// What a call is, to those who make one.
namespace actioncluster {

// Unique within a boot.
using CallId = uint64_t;

// Who is asked.
struct AllNodes {};  // All that offer the method.
struct AnyNode {};   // One of those: this node if it does.
struct OneNode {
  std::string node_id;
  // A node that has drained may be on its way back under its name: the call waits for that, a few seconds.
  bool or_successor = false;
};
struct NodeOfConnection {
  std::string connection_id;
};
using CallTarget = std::variant<AllNodes, AnyNode, OneNode, NodeOfConnection>;

struct CallSpec {
  std::string method;
  Content arguments;
  CallTarget target;
  absl::Time deadline;       // Monotonic.
  std::string subject = {};  // As IncomingCall's.
};

// A result, and whose it is.
struct CallResult {
  std::string node_id;
  Content result;
};

// The end of a call for its first reply.
using CallDone = absl::AnyInvocable<void(absl::StatusOr<CallResult>) &&>;
// One node's share of a call: its result, or its error (with `node_id` in the metadata).
using OnShare = absl::AnyInvocable<void(const std::string& node_id, absl::StatusOr<Content> result)>;
// The end of a call for every reply.
using AllDone = absl::AnyInvocable<void(absl::Status) &&>;

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_CALL_H_

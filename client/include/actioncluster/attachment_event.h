#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_ATTACHMENT_EVENT_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_ATTACHMENT_EVENT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"

namespace actioncluster::client {

// What becomes of a stream that is kept attached to some node: a MethodHost's, a Subscriber's, a Worker's or a Connection's.
//
// A stream that is lost is opened again: at once on another node that is known (a few of those that a draining node names and of those in the list of
// nodes, then the configured addresses), each once; then round after round, 50 ms to 2 s apart, for as long as it takes. Only what cannot become
// better by itself ends it: a status of UNAUTHENTICATED, PERMISSION_DENIED, INVALID_ARGUMENT, FAILED_PRECONDITION or UNIMPLEMENTED from a
// configured address.
struct AttachmentEvent {
  enum class Kind {
    kAttached,  // The node has confirmed it: methods are offered, messages are heard, tasks come.
    kLost,      // Its stream ended, or could not be had; it goes on trying.
    kEnded,     // It has given up, as `status` cannot get better; or it was stopped (then OK). The last event.
  };
  Kind kind;
  std::string address;  // Of the node.
  std::string node_id;  // Of kAttached.
  absl::Status status;  // Of kLost and kEnded: why.
};

// One event at a time, in order; on any thread: gRPC's, and also the one that makes, stops or destroys the one whose events these are, before that returns,
// so hold no lock then that the listener takes. It may not block, nor stop or destroy that one.
using AttachmentListener = std::function<void(const AttachmentEvent&)>;

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_ATTACHMENT_EVENT_H_

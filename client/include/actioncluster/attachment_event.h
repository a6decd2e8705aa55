#ifndef ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_ATTACHMENT_EVENT_H_
#define ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_ATTACHMENT_EVENT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"

namespace actioncluster::client {

// What becomes of a stream that is kept attached to some node: a MethodHost's or a Subscriber's.
//
// A stream that is lost is opened again: at once on another node that is known (those that a draining node names, those in the list of nodes, the
// configured addresses), each once; then over and over, 50 ms to 2 s apart, for as long as it takes. Only what cannot become better by itself
// ends it: a status of UNAUTHENTICATED, PERMISSION_DENIED, INVALID_ARGUMENT, FAILED_PRECONDITION or UNIMPLEMENTED.
struct AttachmentEvent {
  enum class Kind {
    kAttached,  // The node has confirmed it: methods are offered, messages are heard.
    kLost,      // Its stream ended, or could not be had; it goes on trying.
    kEnded,     // It has given up, as `status` cannot get better; or it was stopped (then OK). The last event.
  };
  Kind kind;
  std::string address;  // Of the node.
  std::string node_id;  // Of kAttached.
  absl::Status status;  // Of kLost and kEnded: why.
};

// Runs on one of gRPC's threads, one event at a time, in order. It may not block, nor stop or destroy the one whose events these are.
using AttachmentListener = std::function<void(const AttachmentEvent&)>;

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_INCLUDE_ACTIONCLUSTER_ATTACHMENT_EVENT_H_

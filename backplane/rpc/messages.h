#ifndef ACTIONCLUSTER_BACKPLANE_RPC_MESSAGES_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_MESSAGES_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/rpc/local_methods.h"

// Calls and outcomes as they travel in envelopes. Pure functions; what a peer sends never makes them fail.
namespace actioncluster {

// What a call or a reply may weigh, encoded. A caller's own data is at most 4 MiB, which leaves room for names and
// metadata; Redis gets nothing larger from us.
inline constexpr size_t kMaxMessageBytes = 4608 << 10;

internal::v1::Call ToProto(const IncomingCall& call, absl::Time now);
// `sent_at`: when the caller sent it, in our monotonic time; what was left of its time then ends at the deadline.
IncomingCall FromProto(const internal::v1::Envelope& envelope, absl::Time sent_at);

// A result that is too large becomes an error of this node.
internal::v1::Reply ToProto(uint64_t call_id, const Outcome& outcome);
// A reply that says nothing that we know is an error: the node has answered, and nobody knows what.
Outcome FromProto(const internal::v1::Reply& reply);

// LIMIT_EXCEEDED if `bytes` are too many.
absl::Status CheckMessageSize(size_t bytes);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_MESSAGES_H_

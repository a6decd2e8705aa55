#ifndef ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_LISTING_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_LISTING_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/v1/connections.pb.h"
#include "backplane/membership/membership.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "server/grpc/unary_call.h"

namespace actioncluster {

// Where the next page of a listing of connections begins: at a node, behind what its own token says. Pure; any thread.
struct ConnectionPlace {
  std::string node_id;     // Empty: at the first node.
  std::string node_token;  // As that node has given it; empty: at its first connection.

  // INVALID_ARGUMENT: no page has this token.
  static absl::StatusOr<ConnectionPlace> Parse(absl::string_view page_token);
  std::string ToToken() const;
};

// One page of the connections of all nodes: asks one node after the other, until the page is full. A node that does not answer within two seconds is named instead.
//
// Confined to the I/O thread.
class ConnectionListing : public std::enable_shared_from_this<ConnectionListing> {
 public:
  // In the handler of `call`, which it finishes. The request is valid; page_size is set. The references outlive the call.
  static void Start(Loop& loop, Membership& membership, Rpc& rpc, UnaryCall* call,
                    const v1::ConnectionServiceListRequest& request, ConnectionPlace from, absl::Time deadline,
                    v1::ConnectionServiceListResponse* response);

 private:
  ConnectionListing(Membership& membership, Rpc& rpc, UnaryCall* call, const v1::ConnectionServiceListRequest& request,
                    ConnectionPlace from, absl::Time deadline, v1::ConnectionServiceListResponse* response);

  // Asks the node at from_, or the first after it.
  void Next();
  void Ask();
  void OnAnswer(absl::StatusOr<CallResult> result);
  void Take(v1::ConnectionServiceListResponse answer);
  // At the next node's first connection.
  void Skip();
  void GiveUp();

  // Constant after construction.
  Membership& membership_;
  Rpc& rpc_;
  UnaryCall* const call_;
  const v1::ConnectionServiceListRequest request_;
  const absl::Time deadline_;

  v1::ConnectionServiceListResponse* const response_;
  size_t bytes_ = 0;  // Of the connections in it.
  ConnectionPlace from_;
  CallId asking_ = 0;
  bool gone_ = false;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_LISTING_H_

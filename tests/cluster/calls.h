#ifndef ACTIONCLUSTER_TESTS_CLUSTER_CALLS_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_CALLS_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/status.h>

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/v1/rpc.grpc.pb.h"
#include "google/rpc/error_info.pb.h"

// Calls as a client of a node makes them, in a line each. All for any thread.
namespace actioncluster::cluster {

class Node;

// The google.rpc.ErrorInfo in the status' details; empty without one.
google::rpc::ErrorInfo ErrorInfoOf(const grpc::Status& status);

google::protobuf::Value Json(absl::string_view text);
std::string ToJson(const google::protobuf::Message& message);

// A call for the first reply of all nodes, with these arguments (a JSON array).
v1::CallRequest Request(absl::string_view method, absl::string_view arguments = "[]");
v1::CallRequest ToNode(const std::string& node_id, v1::CallRequest request);
v1::CallRequest ToAny(v1::CallRequest request);
v1::CallRequest Within(absl::Duration timeout, v1::CallRequest request);

struct Answer {
  grpc::Status status;
  v1::CallResponse response;
  absl::Duration took;

  bool ok() const { return status.ok(); }
  grpc::StatusCode code() const { return status.error_code(); }
  std::string reason() const { return ErrorInfoOf(status).reason(); }
  std::string metadata(const std::string& key) const;
  // For messages of assertions.
  friend void PrintTo(const Answer& answer, std::ostream* out);
};
// Through this node. `limit` is the deadline of the gRPC call.
Answer Call(const Node& node, const v1::CallRequest& request, absl::Duration limit = absl::Seconds(60));

struct AllAnswers {
  grpc::Status status;
  std::map<std::string, v1::CallAllResponse> replies;  // By node.
};
AllAnswers CallAll(const Node& node, absl::string_view method, absl::string_view arguments = "[]",
                   absl::Duration timeout = absl::Seconds(10));

// Until each of them has read from Redis what is offered now: what they decide by their own copies (whom CallAll asks, whether a hook is there) follows it.
void AwaitOffers(const std::deque<Node>& nodes);

struct Notified {
  grpc::Status status;
  int receivers = 0;
};
Notified Notify(const Node& node, const v1::NotifyRequest& request);

// What gRPC's health service says: SERVING, NOT_SERVING; or why it says nothing.
std::string Health(const std::shared_ptr<grpc::Channel>& channel);

// Any rpc, by its path, as a client that knows no schema: sends one message (these bytes) and awaits the first one
// back, or the end. The status is OK if something came back.
struct RawAnswer {
  grpc::Status status;
  std::string message;
};
RawAnswer CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& path, const std::string& message,
                  const std::map<std::string, std::string>& metadata = {});

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_CALLS_H_

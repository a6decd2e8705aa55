#ifndef ACTIONCLUSTER_TESTS_CLUSTER_ASK_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_ASK_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

// What calls of all services have in common. For any thread.
namespace actioncluster::cluster {

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto);
absl::Time ToTime(const google::protobuf::Timestamp& proto);

// What any rpc gives.
template <class Response>
struct Answered {
  grpc::Status status;
  Response response;

  bool ok() const { return status.ok(); }
};

// Any rpc of any service. The limit is its deadline.
template <class Stub, class Request, class Response>
Answered<Response> AskStub(Stub& stub, grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
                           const Request& request, absl::Duration limit) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + limit));
  Answered<Response> answered;
  answered.status = (stub.*rpc)(&context, request, &answered.response);
  return answered;
}

// The reason of ours; empty without one.
std::string ReasonOf(const grpc::Status& status);
// The code, the reason and the message: for people.
std::string Describe(const grpc::Status& status);

// The response of a call that must succeed: otherwise it is empty, and the test hears why.
template <class Response>
Response Good(Answered<Response> answered) {
  EXPECT_TRUE(answered.ok()) << Describe(answered.status);
  return std::move(answered.response);
}

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_ASK_H_

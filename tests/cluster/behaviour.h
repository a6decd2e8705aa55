#ifndef ACTIONCLUSTER_TESTS_CLUSTER_BEHAVIOUR_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_BEHAVIOUR_H_

#include <gtest/gtest.h>

#include <deque>
#include <ostream>
#include <string>
#include <vector>

#include "tests/cluster/ask.h"
#include "tests/cluster/cache_calls.h"
#include "tests/cluster/connection_calls.h"
#include "tests/cluster/deployment.h"
#include "tests/cluster/task_calls.h"

// What an application sees, wherever it runs: one suite, in several files, that knows nothing of how the nodes are deployed.
namespace actioncluster::cluster {

// A way of running nodes.
struct Way {
  const char* name;
  Deployment (*deploy)();

  friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
};

// A fresh deployment for each test.
class BehaviourTest : public testing::TestWithParam<Way> {
 protected:
  // Whichever node is asked: another each time, if there are others.
  Node& Any() {
    std::deque<Node>& nodes = deployment_.cluster->nodes();
    return nodes[asked_++ % nodes.size()];
  }
  // Any rpc by whichever node. It must succeed, or the test hears why.
  template <class Stub, class Request, class Response>
  Response Do(grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*), const Request& request) {
    return Good(Ask(Any(), rpc, request));
  }
  // The reason why it fails, as it must.
  template <class Stub, class Request, class Response>
  std::string Why(grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*), const Request& request) {
    const auto answered = Ask(Any(), rpc, request);
    EXPECT_FALSE(answered.ok()) << answered.response.ShortDebugString();
    return ReasonOf(answered.status);
  }

  std::string Loaded(const std::string& key) { return Do(&Cache::Load, On<v1::LoadRequest>(key)).data(); }
  std::string WhyNotLoaded(const std::string& key) { return Why(&Cache::Load, On<v1::LoadRequest>(key)); }
  std::vector<std::string> KeysBy(const std::string& prefix) {
    grpc::ClientContext context;
    v1::ListKeysRequest request;
    request.set_prefix(prefix);
    const auto stream = Any().cache().ListKeys(&context, request);
    std::vector<std::string> keys;
    for (v1::ListKeysResponse page; stream->Read(&page);)
      keys.insert(keys.end(), page.keys().begin(), page.keys().end());
    EXPECT_TRUE(stream->Finish().ok());
    return keys;
  }
  v1::AwaitResponse Ended(const std::string& task_id) {
    v1::AwaitRequest request;
    request.set_task_id(task_id);
    return Do(&v1::TaskService::Stub::Await, request);
  }
  void Publish(const std::string& type, const std::string& data) {
    grpc::ClientContext context;
    v1::PublishRequest request;
    request.set_message_type(type);
    request.set_data(data);
    v1::PublishResponse response;
    const grpc::Status status = Any().pubsub().Publish(&context, request, &response);
    EXPECT_TRUE(status.ok()) << Describe(status);
  }

  Deployment deployment_ = GetParam().deploy();
  size_t asked_ = 0;
};

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_BEHAVIOUR_H_

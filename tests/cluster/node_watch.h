#ifndef ACTIONCLUSTER_TESTS_CLUSTER_NODE_WATCH_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_NODE_WATCH_H_

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "actioncluster/v1/cluster.grpc.pb.h"
#include "tests/cluster/cluster.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::cluster {

// What a node tells of the nodes, from the first `joined` on.
class NodeWatch {
 public:
  // It stands when the constructor returns: what happens from then on is heard.
  explicit NodeWatch(const Node& node)
      : stream_(node.cluster().WatchNodes(&context_, {})), reader_([this] {
          for (v1::WatchNodesResponse event; stream_->Read(&event);) {
            events_.Add(event);
            begun_.Add(true);
          }
          stream_->Finish();
          begun_.Add(false);
        }) {
    EXPECT_TRUE(begun_.Next()) << "the watch ended before it began";
  }
  ~NodeWatch() {
    context_.TryCancel();
    reader_.join();
  }
  NodeWatch(const NodeWatch&) = delete;
  NodeWatch& operator=(const NodeWatch&) = delete;

  // Awaits this event of this node; passes over others.
  v1::Node AwaitEvent(v1::WatchNodesResponse::Event event, const std::string& node_id) const {
    return events_
        .NextThat(
            [&](const v1::WatchNodesResponse& heard) { return heard.event() == event && heard.node().id() == node_id; })
        .node();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchNodesResponse>> stream_;
  fakes::Waiter<v1::WatchNodesResponse> events_;
  fakes::Waiter<bool> begun_;  // By the first event: the node itself is there.
  std::thread reader_;
};

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_NODE_WATCH_H_

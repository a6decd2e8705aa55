#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_CLIENT_CACHE_FIXTURE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_CLIENT_CACHE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "actioncluster/cache.h"
#include "actioncluster/client.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/client/fake_node.h"

// A client's cache, against a node that does what the test says.
namespace actioncluster::client {

using fakes::kPatience;
using fakes::Waiter;
using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;
using Operation = v1::PipelineRequest::Operation;

inline constexpr int64_t kByItself = 1;  // The version that the node gives to who does not share.

inline std::unique_ptr<Client> ClientOf(const FakeNode& node, absl::Duration timeout = kPatience,
                                        bool coalesce = true) {
  ClientOptions options;
  options.addresses = {node.address()};
  options.timeout = timeout;
  options.coalesce = coalesce;
  return *Client::Create(std::move(options));
}

template <class Request>
Request Of(const std::string& key) {
  Request request;
  request.set_key(key);
  return request;
}

// A request with a request_id.
template <class Request>
Request Named(const std::string& key) {
  Request request = Of<Request>(key);
  request.set_request_id("once");
  return request;
}

inline v1::PipelineResponse ResultOf(const Operation& operation, int64_t version) {
  v1::PipelineResponse frame;
  v1::PipelineResponse::Result* const result = frame.add_results();
  result->set_op_id(operation.op_id());
  if (operation.has_load()) result->mutable_load()->set_version(version);
  if (operation.has_save()) result->mutable_save()->set_version(version);
  return frame;
}

// A node whose Loads by themselves are answered, but for those of `anchor`, which stay until they are let go.
class CacheTest : public testing::Test {
 protected:
  using Stream = FakeNode::PipelineStream;

  FakeNode& Node(std::function<grpc::Status(Stream&)> pipeline, FakeNode::Scripts scripts = {}) {
    scripts.pipeline = std::move(pipeline);
    scripts.load = [this](const v1::LoadRequest& request, v1::LoadResponse* response) {
      if (request.key() == "anchor") {
        anchored_.Add(true);
        released_.Next();
      }
      response->set_version(kByItself);
      return grpc::Status::OK;
    };
    node_ = std::make_unique<FakeNode>(std::move(scripts));
    return *node_;
  }

  // While it lives a call is under way, so that others share.
  class Anchor {
   public:
    Anchor(CacheTest& test, Client& client)
        : test_(test), thread_([&client] { Cache(client).Load(Of<v1::LoadRequest>("anchor")).IgnoreError(); }) {
      test_.anchored_.Next();
    }
    ~Anchor() {
      test_.released_.Add(true);
      thread_.join();
    }
    Anchor(const Anchor&) = delete;
    Anchor& operator=(const Anchor&) = delete;

   private:
    CacheTest& test_;
    std::thread thread_;
  };

  // Answers all operations, each with a version larger than the one before, from 100 on.
  static grpc::Status AnswerAll(Stream& stream) {
    int64_t version = 100;
    for (v1::PipelineRequest frame; stream.Read(&frame);) {
      for (const Operation& operation : frame.operations()) stream.Write(ResultOf(operation, version++));
    }
    return grpc::Status::OK;
  }

  Waiter<bool> anchored_;
  Waiter<bool> released_;
  std::unique_ptr<FakeNode> node_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_CLIENT_CACHE_FIXTURE_H_

#ifndef ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_CACHE_SERVICE_TEST_BASE_H_
#define ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_CACHE_SERVICE_TEST_BASE_H_

#include <grpcpp/client_context.h>

#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/rpc/error_info.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/server/local_node.h"
#include "tests/integration/server/task_service_test_base.h"

namespace actioncluster {

// What the ErrorInfo of a status, or an error as a value, says more.
inline std::string DetailOf(const grpc::Status& status, const std::string& key) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) && details.details_size() > 0) details.details(0).UnpackTo(&info);
  const auto at = info.metadata().find(key);
  return at == info.metadata().end() ? "" : at->second;
}
inline std::string DetailOf(const v1::Error& error, const std::string& key) {
  const auto at = error.metadata().find(key);
  return at == error.metadata().end() ? "" : at->second;
}

// Two nodes on one Redis.
class CacheServiceTest : public testing::Test {
 protected:
  using Stub = v1::CacheService::Stub;
  template <class Request, class Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

  // A unary call with its request as JSON.
  template <class Request, class Response>
  static grpc::Status Call(LocalNode& node, Method<Request, Response> method, const std::string& json,
                           Response* response) {
    return CallWith(node, method, FromJson<Request>(json), response);
  }
  template <class Request, class Response>
  static grpc::Status CallWith(LocalNode& node, Method<Request, Response> method, const Request& request,
                               Response* response) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + fakes::kPatience));
    return (node.cache().*method)(&context, request, response);
  }
  // One that has to succeed, or to fail.
  template <class Request, class Response>
  static Response Ask(LocalNode& node, Method<Request, Response> method, const std::string& json) {
    Response response;
    const grpc::Status status = Call(node, method, json, &response);
    EXPECT_TRUE(status.ok()) << json << ": " << status.error_message();
    return response;
  }
  template <class Request, class Response>
  static grpc::Status Fail(LocalNode& node, Method<Request, Response> method, const std::string& json) {
    Response response;
    return Call(node, method, json, &response);
  }

  // A unary call that is under way on a thread of its own. Its deadline is later than any test waits, and so ends no wait.
  template <class Response>
  class Pending {
   public:
    template <class Request>
    Pending(LocalNode& node, Method<Request, Response> method, const std::string& json,
            absl::Duration timeout = 3 * fakes::kPatience) {
      context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
      status_ = std::async(std::launch::async, [this, &node, method, request = FromJson<Request>(json)] {
        return (node.cache().*method)(&context_, request, &response_);
      });
    }
    grpc::Status End() { return status_.get(); }
    const Response& response() const { return response_; }
    void Cancel() { context_.TryCancel(); }

   private:
    grpc::ClientContext context_;
    Response response_;
    std::future<grpc::Status> status_;
  };

  static size_t Waiting(LocalNode& node) {
    return node.io().Run([&node] { return node.rooms().cache_lines.waiting(); });
  }
  static void AwaitWaiting(LocalNode& node, size_t count) {
    const absl::Time limit = absl::Now() + fakes::kPatience;
    while (Waiting(node) != count) ASSERT_LT(absl::Now(), limit) << Waiting(node);
  }
  // Until Redis has so many keys.
  void AwaitKeys(int64_t count) {
    const absl::Time limit = absl::Now() + fakes::kPatience;
    while (Keys() != count) ASSERT_LT(absl::Now(), limit) << Keys();
  }
  // Of the cache: each node has some of its own.
  int64_t Keys() {
    return redis_.Command({"EVAL", "return #redis.call('KEYS', '*{actioncluster:c:*')", "0"}).view().Integer().value();
  }

  fakes::RedisServer redis_;
  LocalNode one_{redis_.endpoint()};
  LocalNode two_{redis_.endpoint()};
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_TESTS_INTEGRATION_SERVER_CACHE_SERVICE_TEST_BASE_H_

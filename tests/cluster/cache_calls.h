#ifndef ACTIONCLUSTER_TESTS_CLUSTER_CACHE_CALLS_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_CACHE_CALLS_H_

#include <grpcpp/support/client_callback.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "tests/cluster/ask.h"
#include "tests/cluster/cluster.h"

// CacheService as a client of a node calls it, in a line each. All for any thread.
namespace actioncluster::cluster {

// As in `Ask(node, &Cache::Load, request)`.
using Cache = v1::CacheService::Stub;

// Any rpc of CacheService. The limit is its deadline.
template <class Request, class Response>
Answered<Response> Ask(const Node& node, grpc::Status (Cache::*rpc)(grpc::ClientContext*, const Request&, Response*),
                       const Request& request, absl::Duration limit = 2 * kPatience) {
  return AskStub(node.cache(), rpc, request, limit);
}

// A request about this key; it says no more.
template <class Request>
Request On(const std::string& key) {
  Request request;
  request.set_key(key);
  return request;
}
v1::SaveRequest SaveOf(const std::string& key, const std::string& data);
v1::LockRequest LockOf(const std::string& key, const std::string& holder, absl::Duration expire_after,
                       absl::Duration wait_for = absl::ZeroDuration());
v1::UnlockRequest UnlockOf(const std::string& key, int64_t token);
v1::PushRequest PushOf(const std::string& key, const std::string& data);
v1::PopRequest PopOf(const std::string& key, absl::Duration wait_for = absl::ZeroDuration());

// Of what is worth repeating.
bool IsOutage(const grpc::Status& status);

// What Redis keeps of the cache, sorted; but for what is gone within half a minute by itself.
std::vector<std::string> CacheKeysIn(fakes::RedisServer& redis);
// How many stand in the line for the lock on a key, and have not got their turn.
int64_t WaitingForLock(fakes::RedisServer& redis, const std::string& key);
int64_t WaitingForItem(fakes::RedisServer& redis, const std::string& key);

// A call that may take long, on no thread of the test's own. The destructor cancels it, and awaits its end.
template <class Request, class Response>
class WaitingCall {
 public:
  using Rpc = void (v1::CacheService::StubInterface::async_interface::*)(grpc::ClientContext*, const Request*,
                                                                         Response*, std::function<void(grpc::Status)>);

  // Begins at once. `then` runs on another thread when it has ended.
  WaitingCall(
      const Node& node, Rpc rpc, Request request, std::function<void()> then = [] {})
      : request_(std::move(request)) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + kLimit));
    (node.cache().async()->*rpc)(&context_, &request_, &response_, [this, then = std::move(then)](grpc::Status status) {
      status_ = std::move(status);
      then();
      ended_.Notify();
    });
  }
  ~WaitingCall() {
    Cancel();
    ended_.WaitForNotification();
  }
  WaitingCall(const WaitingCall&) = delete;
  WaitingCall& operator=(const WaitingCall&) = delete;

  void Cancel() { context_.TryCancel(); }
  bool has_ended() const { return ended_.HasBeenNotified(); }
  // Awaits the end.
  Answered<Response> Await() const {
    ended_.WaitForNotification();
    return {.status = status_, .response = response_};
  }

 private:
  static constexpr absl::Duration kLimit = absl::Minutes(10);

  grpc::ClientContext context_;
  const Request request_;
  Response response_;
  grpc::Status status_;
  absl::Notification ended_;
};

using WaitingLock = WaitingCall<v1::LockRequest, v1::LockResponse>;
using WaitingPop = WaitingCall<v1::PopRequest, v1::PopResponse>;
using WaitingLoad = WaitingCall<v1::LoadRequest, v1::LoadResponse>;
std::unique_ptr<WaitingLock> WaitForLock(
    const Node& node, v1::LockRequest request, std::function<void()> then = [] {});
std::unique_ptr<WaitingLoad> WaitForLoad(const Node& node, v1::LoadRequest request);
std::unique_ptr<WaitingPop> WaitForItem(
    const Node& node, v1::PopRequest request, std::function<void()> then = [] {});

// One stream of CacheService.Pipeline. One thread at a time, but for Cut.
class Pipeline {
 public:
  using Operation = v1::PipelineRequest::Operation;
  using Result = v1::PipelineResponse::Result;

  explicit Pipeline(const Node& node);

  // Sends the operations in one frame, numbered by their places. False: the stream has ended.
  bool Send(std::vector<Operation> operations);
  // The results of the last frame, in the order of its operations. Nothing: the stream has ended.
  std::optional<std::vector<Result>> Receive();
  // Both; fails the test if the stream ends.
  std::vector<Result> Do(std::vector<Operation> operations);

  // As a client that dies: from any thread.
  void Cut() { context_.TryCancel(); }
  // The client's half is closed; gives how it ended.
  grpc::Status Finish();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::PipelineRequest, v1::PipelineResponse>> stream_;
  size_t expected_ = 0;
};

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_CACHE_CALLS_H_

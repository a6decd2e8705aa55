#include "tests/cluster/cache_calls.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/keys/keys.h"

namespace actioncluster::cluster {
namespace {

constexpr char kNamespace[] = "actioncluster";  // The default.
constexpr absl::Duration kSoon = absl::Seconds(30);
constexpr absl::Duration kStreamLimit = absl::Minutes(30);

int64_t Waiting(fakes::RedisServer& redis, Keys::CacheKind kind, const std::string& key) {
  return redis.Command({"ZCARD", Keys(kNamespace).CacheLine(kind, key)[0]}).view().Integer().value_or(-1);
}

}  // namespace

v1::SaveRequest SaveOf(const std::string& key, const std::string& data) {
  auto request = On<v1::SaveRequest>(key);
  request.set_data(data);
  return request;
}

v1::LockRequest LockOf(const std::string& key, const std::string& holder, absl::Duration expire_after,
                       absl::Duration wait_for) {
  auto request = On<v1::LockRequest>(key);
  request.set_holder(holder);
  SetDuration(expire_after, request.mutable_expire_after());
  if (wait_for > absl::ZeroDuration()) SetDuration(wait_for, request.mutable_wait_for());
  return request;
}

v1::UnlockRequest UnlockOf(const std::string& key, int64_t token) {
  auto request = On<v1::UnlockRequest>(key);
  request.set_token(token);
  return request;
}

v1::PushRequest PushOf(const std::string& key, const std::string& data) {
  auto request = On<v1::PushRequest>(key);
  request.set_data(data);
  return request;
}

v1::PopRequest PopOf(const std::string& key, absl::Duration wait_for) {
  auto request = On<v1::PopRequest>(key);
  if (wait_for > absl::ZeroDuration()) SetDuration(wait_for, request.mutable_wait_for());
  return request;
}

bool IsOutage(const grpc::Status& status) {
  return status.error_code() == grpc::UNAVAILABLE || status.error_code() == grpc::DEADLINE_EXCEEDED ||
         status.error_code() == grpc::CANCELLED;
}

std::vector<std::string> CacheKeysIn(fakes::RedisServer& redis) {
  const redis::Reply reply = redis.Command({"KEYS", absl::StrCat("*{", kNamespace, ":c:*")});
  std::vector<std::string> keys;
  keys.reserve(reply.view().size());
  for (size_t i = 0; i < reply.view().size(); ++i) {
    const std::string key(reply.view()[i].String().value_or(""));
    const int64_t left_ms = redis.Command({"PTTL", key}).view().Integer().value_or(-1);
    if (left_ms == -1 || absl::Milliseconds(left_ms) > kSoon) keys.push_back(key);
  }
  std::ranges::sort(keys);
  return keys;
}

int64_t WaitingForLock(fakes::RedisServer& redis, const std::string& key) {
  return Waiting(redis, Keys::CacheKind::kLock, key);
}

int64_t WaitingForItem(fakes::RedisServer& redis, const std::string& key) {
  return Waiting(redis, Keys::CacheKind::kList, key);
}

std::unique_ptr<WaitingLock> WaitForLock(const Node& node, v1::LockRequest request, std::function<void()> then) {
  const WaitingLock::Rpc rpc = &v1::CacheService::StubInterface::async_interface::Lock;
  return std::make_unique<WaitingLock>(node, rpc, std::move(request), std::move(then));
}

std::unique_ptr<WaitingLoad> WaitForLoad(const Node& node, v1::LoadRequest request) {
  const WaitingLoad::Rpc rpc = &v1::CacheService::StubInterface::async_interface::Load;
  return std::make_unique<WaitingLoad>(node, rpc, std::move(request));
}

std::unique_ptr<WaitingPop> WaitForItem(const Node& node, v1::PopRequest request, std::function<void()> then) {
  const WaitingPop::Rpc rpc = &v1::CacheService::StubInterface::async_interface::Pop;
  return std::make_unique<WaitingPop>(node, rpc, std::move(request), std::move(then));
}

Pipeline::Pipeline(const Node& node) {
  context_.set_deadline(absl::ToChronoTime(absl::Now() + kStreamLimit));
  stream_ = node.cache().Pipeline(&context_);
}

bool Pipeline::Send(std::vector<Operation> operations) {
  v1::PipelineRequest frame;
  expected_ = operations.size();
  for (size_t i = 0; i < operations.size(); ++i) {
    operations[i].set_op_id(i);
    *frame.add_operations() = std::move(operations[i]);
  }
  return stream_->Write(frame);
}

std::optional<std::vector<Pipeline::Result>> Pipeline::Receive() {
  std::vector<Result> results(expected_);
  size_t came = 0;
  for (v1::PipelineResponse frame; came < expected_;) {
    if (!stream_->Read(&frame)) return std::nullopt;
    for (Result& result : *frame.mutable_results()) {
      const uint64_t place = result.op_id();
      const bool fresh = place < results.size() && results[place].result_case() == Result::RESULT_NOT_SET;
      EXPECT_TRUE(fresh) << "a result of no operation, or a second one: " << result.ShortDebugString();
      if (fresh) results[place] = std::move(result);
      ++came;
    }
  }
  return results;
}

std::vector<Pipeline::Result> Pipeline::Do(std::vector<Operation> operations) {
  const size_t count = operations.size();
  Send(std::move(operations));
  std::optional<std::vector<Result>> results = Receive();
  if (results.has_value()) return *std::move(results);
  ADD_FAILURE() << "the stream ended: " << Describe(stream_->Finish());
  return std::vector<Result>(count);
}

grpc::Status Pipeline::Finish() {
  stream_->WritesDone();
  for (v1::PipelineResponse frame; stream_->Read(&frame);) {
  }
  return stream_->Finish();
}

}  // namespace actioncluster::cluster

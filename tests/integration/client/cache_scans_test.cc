// What walks over the whole cache, by the client library, against a node that does what the test says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "actioncluster/cache.h"
#include "actioncluster/client.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/client/fake_node.h"

namespace actioncluster::client {
namespace {

using fakes::Waiter;
using testing::ElementsAre;

std::unique_ptr<Client> ClientOf(const FakeNode& node, absl::Duration timeout = fakes::kPatience) {
  ClientOptions options;
  options.addresses = {node.address()};
  options.timeout = timeout;
  return *Client::Create(std::move(options));
}

TEST(CacheScansTest, KeysComeOneByOneHoweverTheNodeSendsThem) {
  FakeNode::Scripts scripts;
  scripts.list_keys = [](grpc::ServerWriter<v1::ListKeysResponse>& writer) {
    for (const std::vector<std::string>& some : {std::vector<std::string>{"a", "b"}, {}, {"c"}}) {
      v1::ListKeysResponse frame;
      frame.mutable_keys()->Assign(some.begin(), some.end());
      writer.Write(frame);
    }
    return grpc::Status::OK;
  };
  const FakeNode node(scripts);
  const auto client = ClientOf(node);
  std::vector<std::string> keys;
  const auto list = [&](size_t most) {
    keys.clear();
    return Cache(*client).ListKeys({}, [&](const std::string& key) {
      keys.push_back(key);
      return keys.size() < most;
    });
  };
  EXPECT_EQ(list(10), absl::OkStatus());
  EXPECT_THAT(keys, ElementsAre("a", "b", "c"));
  EXPECT_EQ(list(1), absl::OkStatus());
  EXPECT_THAT(keys, ElementsAre("a"));
}

// They have no deadline: what ends them is that no node is there.
TEST(CacheScansTest, WhatListsAllDoesNotWaitForEverForANodeThatIsGone) {
  auto node = std::make_unique<FakeNode>();
  const auto client = ClientOf(*node, absl::Milliseconds(200));
  const auto late = ClientOf(*node, absl::Milliseconds(200));
  // It is connected; the answer may take longer than it waits.
  EXPECT_FALSE(Cache(*client).Destroy({}).ok());
  node = nullptr;
  const auto list = [](Client& from) { return Cache(from).ListKeys({}, [](const std::string&) { return true; }); };
  EXPECT_TRUE(absl::IsUnavailable(list(*client)));
  EXPECT_TRUE(absl::IsUnavailable(list(*late)));
  Cache cache(*client);
  EXPECT_TRUE(absl::IsUnavailable(cache.ListLocks({}, [](const v1::ListLocksResponse&) { return true; })));
  EXPECT_TRUE(absl::IsUnavailable(cache.Dump({}, [](const v1::DumpEntry&) { return true; })));
  EXPECT_TRUE(absl::IsUnavailable(cache.Size({}, absl::InfiniteDuration()).status()));
}

TEST(CacheScansTest, ADumpThatIsCutIsNoDump) {
  int64_t told = 2;
  FakeNode::Scripts scripts;
  scripts.dump = [&told](grpc::ServerWriter<v1::DumpResponse>& writer) {
    v1::DumpResponse frame;
    for (const char* key : {"a", "b"}) {
      frame.mutable_entry()->set_key(key);
      writer.Write(frame);
    }
    frame.mutable_end()->set_entries(told);
    if (told > 0) writer.Write(frame);
    return grpc::Status::OK;
  };
  const FakeNode node(scripts);
  const auto client = ClientOf(node);
  std::vector<std::string> keys;
  const auto dump = [&](size_t most) {
    keys.clear();
    return Cache(*client).Dump({}, [&](const v1::DumpEntry& entry) {
      keys.push_back(entry.key());
      return keys.size() < most;
    });
  };
  EXPECT_EQ(dump(10), absl::OkStatus());
  EXPECT_THAT(keys, ElementsAre("a", "b"));
  EXPECT_EQ(dump(1), absl::OkStatus());
  EXPECT_THAT(keys, ElementsAre("a"));
  told = 3;
  EXPECT_TRUE(absl::IsDataLoss(dump(10)));
  told = 0;
  EXPECT_TRUE(absl::IsDataLoss(dump(10)));
}

TEST(CacheScansTest, ARestoreSendsAllOrNothingThatCounts) {
  Waiter<std::vector<v1::RestoreRequest>> heard;
  FakeNode::Scripts scripts;
  scripts.restore = [&heard](grpc::ServerReader<v1::RestoreRequest>& reader, v1::RestoreResponse* response) {
    std::vector<v1::RestoreRequest> frames;
    for (v1::RestoreRequest frame; reader.Read(&frame);) frames.push_back(frame);
    response->set_values(static_cast<int64_t>(frames.size()) - 2);
    heard.Add(std::move(frames));
    return grpc::Status::OK;
  };
  const FakeNode node(scripts);
  const auto client = ClientOf(node);
  v1::RestoreRequest::Begin begin;
  begin.set_restore_id("r");
  int left = 3;
  const auto response = Cache(*client).Restore(begin, [&left](v1::DumpEntry* entry) {
    entry->set_key(std::to_string(left));
    return left-- > 0;
  });
  EXPECT_EQ(response->values(), 3);
  const std::vector<v1::RestoreRequest> frames = heard.Next();
  EXPECT_EQ(frames.front().begin().restore_id(), "r");
  EXPECT_EQ(frames[1].entry().key(), "3");
  EXPECT_EQ(frames.back().end().entries(), 3);

  const absl::Status why = absl::DataLossError("the file is cut");
  EXPECT_EQ(Cache(*client).Restore(begin, [&why](v1::DumpEntry*) -> absl::StatusOr<bool> { return why; }).status(),
            why);
  for (const v1::RestoreRequest& frame : heard.Next()) EXPECT_FALSE(frame.has_end());
}

}  // namespace
}  // namespace actioncluster::client

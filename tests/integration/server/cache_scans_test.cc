#include <grpcpp/client_context.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/server/cache_scans_fixture.h"
#include "tests/integration/server/local_node.h"

// What walks over the whole cache, by its rpcs.
namespace actioncluster {
namespace {

TEST_F(CacheScansTest, KeysAreListedAndCountedByPrefix) {
  for (const std::string key : {"a{1}", "a*2", "ä%", "b"}) Save(key, "x");
  EXPECT_EQ(Size(), 4);
  EXPECT_EQ(Size("a"), 2);
  EXPECT_EQ(Size("a*"), 1);
  v1::ListKeysRequest request;
  const auto context = NewContext();
  const auto stream = node_.cache().ListKeys(context.get(), request);
  std::set<std::string> keys;
  for (v1::ListKeysResponse found; stream->Read(&found);) keys.insert(found.keys().begin(), found.keys().end());
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(keys, (std::set<std::string>{"a{1}", "a*2", "ä%", "b"}));
}

TEST_F(CacheScansTest, LocksAreListedWithTheirHolders) {
  for (const std::string key : {"one", "two", "three"}) {
    v1::LockRequest lock;
    lock.set_key(key);
    lock.set_holder("holder of " + key);
    v1::LockResponse taken;
    ASSERT_TRUE(node_.cache().Lock(NewContext().get(), lock, &taken).ok());
  }
  v1::ListLocksRequest request;
  request.set_prefix("t");
  const auto context = NewContext();
  const auto stream = node_.cache().ListLocks(context.get(), request);
  std::set<std::string> holders;
  for (v1::ListLocksResponse found; stream->Read(&found);) {
    holders.insert(found.held_by());
    EXPECT_TRUE(found.has_expires_at());
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(holders, (std::set<std::string>{"holder of two", "holder of three"}));
}

TEST_F(CacheScansTest, ClearTakesValuesAndListsAndLeavesLocks) {
  MustRestore(Frames("r", {Bytes("a1", "x"), Bytes("b", "x"), Part("a2", 0, true, 3)}));
  v1::LockRequest lock;
  lock.set_key("a1");
  lock.set_holder("me");
  v1::LockResponse taken;
  ASSERT_TRUE(node_.cache().Lock(NewContext().get(), lock, &taken).ok());
  const v1::ClearResponse response = Clear("a");
  EXPECT_EQ(response.values(), 1);
  EXPECT_EQ(response.lists(), 1);
  EXPECT_EQ(KeyCount(), 2);  // b, and the lock.
}

TEST_F(CacheScansTest, WhatIsDumpedIsRestoredEqualAndNothingElseIsLeft) {
  std::vector<DumpEntry> entries;
  entries.push_back(Bytes("bytes", std::string("\0\xff", 2)));
  entries.push_back(Bytes("large", std::string(4 << 20, 'x')));
  entries.push_back(Bytes("{%}*", ""));
  entries.emplace_back().set_key("json");
  (*entries.back().mutable_value()->mutable_struct_value()->mutable_fields())["n"].set_number_value(1e308);
  entries.emplace_back().set_key("null");
  entries.back().mutable_value()->set_null_value(google::protobuf::NULL_VALUE);
  entries.emplace_back().set_key("count");
  entries.back().set_integer((int64_t{1} << 53) + 1);
  entries.emplace_back().set_key("least");
  entries.back().set_integer(std::numeric_limits<int64_t>::min());
  for (DumpEntry& entry : entries) entry.mutable_created_at()->set_seconds(1'700'000'000);
  entries[0].mutable_expires_at()->set_seconds(absl::ToUnixSeconds(absl::Now()) + 3600);
  entries[0].mutable_expires_at()->set_nanos(123'000'000);
  entries.push_back(Part("list", 0, false, 1000));
  entries.push_back(Part("list", 1000, false, 1000));
  entries.push_back(Part("list", 2000, true, 5));
  const v1::RestoreResponse restored = MustRestore(Frames("r", entries));
  EXPECT_EQ(restored.values(), 7);
  EXPECT_EQ(restored.lists(), 1);
  EXPECT_EQ(KeyCount(), 8);

  std::map<std::string, DumpEntry> values;
  std::vector<std::string> items;
  for (const DumpEntry& entry : Dump()) {
    if (!entry.has_list()) {
      values[entry.key()] = entry;
      continue;
    }
    EXPECT_EQ(entry.list().offset(), static_cast<int64_t>(items.size()));
    EXPECT_LE(entry.list().items_size(), 1000);
    for (const DumpEntry::Item& item : entry.list().items()) items.push_back(item.data());
    EXPECT_EQ(entry.list().last(), items.size() == 2005);
  }
  ASSERT_EQ(values.size(), 7u);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(values[entries[i].key()], entries[i]))
        << entries[i].key();
  }
  for (size_t i = 0; i < items.size(); ++i) ASSERT_EQ(items[i], absl::StrCat(i));
}

TEST_F(CacheScansTest, LargeItemsAreDumpedAFewAtATime) {
  std::vector<DumpEntry> parts;
  for (int i = 0; i < 20; ++i) {
    parts.push_back(Part("l", i, i == 19, 0));
    parts.back().mutable_list()->add_items()->set_data(std::string(300'000, static_cast<char>('a' + i)));
  }
  MustRestore(Frames("r", parts));
  std::string letters;
  for (const DumpEntry& entry : Dump("l")) {
    EXPECT_LE(entry.ByteSizeLong(), (size_t{1} << 20) + 310'000);
    for (const DumpEntry::Item& item : entry.list().items()) letters += item.data()[0];
  }
  EXPECT_EQ(letters, "abcdefghijklmnopqrst");
}

TEST_F(CacheScansTest, WhoDoesNotReadHoldsTheWalkUp) {
  Fill(20'000, 1000);
  const int64_t earlier = Calls("scan");  // Those of other tests.
  const auto context = NewContext();
  const auto stream = node_.cache().Dump(context.get(), {});
  v1::DumpResponse frame;
  ASSERT_TRUE(stream->Read(&frame));
  // The walk stops once gRPC's buffers are full: when nothing new is asked of Redis between two looks, and some looks later neither.
  const absl::Time give_up = absl::Now() + fakes::kPatience;
  int64_t before = -1;
  for (int same = 0; same < 20;) {
    ASSERT_LT(absl::Now(), give_up) << "it goes on and on";
    // Each round trip of another caller's gives the walk the time for more.
    for (int i = 0; i < 20; ++i) Save("other", "x");
    const int64_t reads = Calls("scan");
    same = reads == before ? same + 1 : 0;
    before = reads;
  }
  EXPECT_LT(before - earlier, 200);
  int64_t entries = 1;
  while (stream->Read(&frame)) ++entries;
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_GE(entries, 20'001);
}

TEST_F(CacheScansTest, AWalkEndsWhenItsCallerIsGone) {
  Fill(50'000, 10);
  const int64_t before = Calls("scan");
  {
    const auto context = NewContext();
    const auto stream = node_.cache().ListKeys(context.get(), {});
    v1::ListKeysResponse found;
    ASSERT_TRUE(stream->Read(&found));
    context->TryCancel();
    while (stream->Read(&found)) continue;
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  v1::SizeResponse size;
  grpc::ClientContext brief;
  brief.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(20));
  EXPECT_FALSE(node_.cache().Size(&brief, {}, &size).ok());
  // Later calls find the walks at their ends.
  int64_t last = -1;
  const absl::Time give_up = absl::Now() + fakes::kPatience;
  for (int same = 0; same < 20;) {
    ASSERT_LT(absl::Now(), give_up);
    for (int i = 0; i < 20; ++i) Save("other", "x");
    const int64_t scans = Calls("scan") - before;
    same = scans == last ? same + 1 : 0;
    last = scans;
  }
  EXPECT_LT(last, 2 * 50'000 / 64);
}

}  // namespace
}  // namespace actioncluster

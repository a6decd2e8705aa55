#include <grpcpp/client_context.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"
#include "tests/integration/server/local_node.h"

// What walks over the whole cache, by its rpcs.
namespace actioncluster {
namespace {

using v1::DumpEntry;

DumpEntry Bytes(const std::string& key, const std::string& data) {
  DumpEntry entry;
  entry.set_key(key);
  entry.set_data(data);
  return entry;
}
DumpEntry Part(const std::string& key, int64_t offset, bool last, int items) {
  DumpEntry entry;
  entry.set_key(key);
  entry.mutable_list()->set_offset(offset);
  entry.mutable_list()->set_last(last);
  for (int i = 0; i < items; ++i) entry.mutable_list()->add_items()->set_data(absl::StrCat(offset + i));
  return entry;
}

class CacheScansTest : public testing::Test {
 protected:
  static std::unique_ptr<grpc::ClientContext> NewContext() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    return context;
  }

  void Save(const std::string& key, const std::string& data) {
    v1::SaveRequest request;
    request.set_key(key);
    request.set_data(data);
    v1::SaveResponse response;
    EXPECT_TRUE(node_.cache().Save(NewContext().get(), request, &response).ok());
  }
  // As Save writes them, by the thousand.
  void Fill(int count, int bytes) {
    redis_.Command({"EVAL",
                    "for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'v{actioncluster:c:key ' .. i .. '}',"
                    " struct.pack('>I8I8I8I8B', 1, 0, 0, i, 2) .. string.rep('x', tonumber(ARGV[2]))) end",
                    "0", absl::StrCat(count), absl::StrCat(bytes)});
  }
  int64_t Size(const std::string& prefix = "") {
    v1::SizeRequest request;
    request.set_prefix(prefix);
    v1::SizeResponse response;
    EXPECT_TRUE(node_.cache().Size(NewContext().get(), request, &response).ok());
    return response.size();
  }
  std::vector<DumpEntry> Dump(const std::string& prefix = "") {
    v1::DumpRequest request;
    request.set_prefix(prefix);
    const auto context = NewContext();
    const auto stream = node_.cache().Dump(context.get(), request);
    std::vector<DumpEntry> entries;
    v1::DumpResponse frame;
    bool ended = false;
    while (stream->Read(&frame)) {
      EXPECT_FALSE(ended) << "a frame after the end";
      ended = frame.has_end();
      if (ended) {
        EXPECT_EQ(frame.end().entries(), static_cast<int64_t>(entries.size()));
      }
      if (frame.has_entry()) entries.push_back(frame.entry());
    }
    EXPECT_TRUE(ended);
    EXPECT_TRUE(stream->Finish().ok());
    return entries;
  }

  static v1::RestoreRequest Begin(const std::string& id, bool keep = false) {
    v1::RestoreRequest frame;
    frame.mutable_begin()->set_restore_id(id);
    frame.mutable_begin()->set_keep_existing(keep);
    return frame;
  }
  static v1::RestoreRequest End(int64_t entries) {
    v1::RestoreRequest frame;
    frame.mutable_end()->set_entries(entries);
    return frame;
  }
  static std::vector<v1::RestoreRequest> Frames(const std::string& id, const std::vector<DumpEntry>& entries,
                                                bool keep = false) {
    std::vector<v1::RestoreRequest> frames = {Begin(id, keep)};
    for (const DumpEntry& entry : entries) *frames.emplace_back().mutable_entry() = entry;
    frames.push_back(End(static_cast<int64_t>(entries.size())));
    return frames;
  }
  grpc::Status Restore(const std::vector<v1::RestoreRequest>& frames, v1::RestoreResponse* response) {
    const auto context = NewContext();
    const auto stream = node_.cache().Restore(context.get(), response);
    for (const v1::RestoreRequest& frame : frames) {
      if (!stream->Write(frame)) break;
    }
    stream->WritesDone();
    return stream->Finish();
  }
  v1::RestoreResponse MustRestore(const std::vector<v1::RestoreRequest>& frames) {
    v1::RestoreResponse response;
    const grpc::Status status = Restore(frames, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // How often Redis has run a command.
  int64_t Calls(const std::string& command) {
    const auto reply = redis_.Command({"INFO", "commandstats"});
    const std::string text(*reply.view().String());
    const std::string name = absl::StrCat("cmdstat_", command, ":calls=");
    const size_t at = text.find(name);
    if (at == std::string::npos) return 0;
    int64_t calls = 0;
    EXPECT_TRUE(absl::SimpleAtoi(text.substr(at + name.size(), text.find(',', at) - at - name.size()), &calls));
    return calls;
  }
  // Redis runs full somewhere in the middle, after so many bytes more, with what it needs for itself: what is written until then stays.
  void CutRestore(const std::vector<DumpEntry>& entries, int64_t bytes = 200'000) {
    const auto used = redis_.Command({"INFO", "memory"});
    const std::string text(*used.view().String());
    int64_t memory = 0;
    const size_t at = text.find("used_memory:") + 12;
    ASSERT_TRUE(absl::SimpleAtoi(text.substr(at, text.find('\r', at) - at), &memory));
    redis_.Command({"CONFIG", "SET", "maxmemory", absl::StrCat(memory + bytes)});
    v1::RestoreResponse response;
    EXPECT_EQ(Restore(Frames("r", entries), &response).error_code(), grpc::StatusCode::UNAVAILABLE);
    redis_.Command({"CONFIG", "SET", "maxmemory", "0"});
    // As if some seconds had passed: whoever goes on with it need not wait for this call.
    redis_.Command({"HSET", "p{actioncluster:c:r}", "until", "1"});
  }
  v1::ClearResponse Clear(const std::string& prefix = "") {
    v1::ClearRequest request;
    request.set_prefix(prefix);
    v1::ClearResponse response;
    EXPECT_TRUE(node_.cache().Clear(NewContext().get(), request, &response).ok());
    return response;
  }
  int64_t Length(const std::string& list) {
    return *redis_.Command({"LLEN", absl::StrCat("q{actioncluster:c:", list, "}")}).view().Integer();
  }
  // Of the cache, but for what is known of restores.
  int64_t KeyCount() { return static_cast<int64_t>(redis_.Command({"KEYS", "[^p]{actioncluster:c:*"}).view().size()); }
  int64_t RestoreCount() { return static_cast<int64_t>(redis_.Command({"KEYS", "p{actioncluster:c:*"}).view().size()); }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(/*cluster=*/false);
  LocalNode node_{redis_.endpoint()};
};

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
  EXPECT_LT(before, 200);
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

TEST_F(CacheScansTest, WhatIsBadChangesNothingAndIsNamed) {
  Save("mine", "x");
  std::vector<std::pair<std::vector<v1::RestoreRequest>, std::string>> bad;
  bad.push_back({{End(0)}, "the first frame is begin"});
  bad.push_back({{Begin("")}, "restore_id must have"});
  bad.push_back({{Begin("r"), Begin("r")}, "only the first frame is begin"});
  bad.push_back({{Begin("r")}, "cut after 0 entries"});
  bad.push_back({{Begin("r"), End(1)}, "end says that there are 1 entries, but 0 came"});
  const auto with = [&](const DumpEntry& entry, const std::string& why) {
    bad.push_back({Frames("r", {Bytes("fine", "x"), entry}), why});
  };
  with(Bytes("", "x"), "entry 1 (key \"\"): ");
  with(DumpEntry(), "entry 1 (key \"\"): ");
  DumpEntry nan = Bytes("nan", "");
  nan.mutable_value()->set_number_value(std::numeric_limits<double>::quiet_NaN());
  with(nan, "entry 1 (key \"nan\"): value has a number that is NaN");
  DumpEntry none = Bytes("none", "");
  none.clear_data();
  with(none, "there is no content");
  with(Bytes(std::string(1025, 'k'), "x"), "entry 1 (key \"kkk");
  with(Bytes("large", std::string((4 << 20) + 1, 'x')), "entry 1 (key \"large\"): data has 4194305 bytes");
  DumpEntry late = Bytes("late", "");
  late.mutable_expires_at()->set_seconds(9'999'999'999);
  with(late, "expires_at is not between the years");
  with(Part("l", 5, true, 1), "a part of the list with offset 5 comes where 0 items were before");
  with(Part("l", 0, true, 0), "only the last part of a list may be empty");
  with(Part("l", 0, true, 1001), "at most 1000 items");
  with(Part("l", 0, false, 1), "the list of entry 1 has no last part");
  bad.push_back({Frames("r", {Part("l", 0, false, 1), Bytes("v", "x")}), "the list before it has no last part"});
  bad.push_back({Frames("r", {Part("l", 0, false, 1), Part("m", 1, true, 1)}), "the list before it has no last part"});
  DumpEntry item = Part("l", 0, true, 2);
  item.mutable_list()->mutable_items(1)->clear_content();
  with(item, "entry 1 (key \"l\"): item 1: there is no content");
  for (const auto& [frames, why] : bad) {
    v1::RestoreResponse response;
    const grpc::Status status = Restore(frames, &response);
    EXPECT_TRUE(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT ||
                status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED)
        << why << ": " << status.error_code();
    EXPECT_TRUE(absl::StrContains(status.error_message(), why)) << why << " is not in: " << status.error_message();
  }
  EXPECT_EQ(KeyCount(), 1);
}

TEST_F(CacheScansTest, ARestoreThatIsCutWhileItWritesGoesOnExactly) {
  std::vector<DumpEntry> entries;
  for (int i = 0; i < 2000; ++i) entries.push_back(Bytes(absl::StrCat("v", i), absl::StrCat(i)));
  for (int part = 0; part < 40; ++part) entries.push_back(Part("list", part * 100, part == 39, 100));
  CutRestore(entries);
  v1::RestoreResponse response;
  const int64_t written = Size();
  ASSERT_GT(written, 0);
  ASSERT_LT(written, 2000);

  EXPECT_EQ(Restore(Frames("r", {Bytes("other", "x")}), &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  response = MustRestore(Frames("r", entries));
  EXPECT_GT(response.resumed_at(), 0);
  EXPECT_LE(response.resumed_at(), written);
  EXPECT_EQ(response.values(), 2000 - response.resumed_at());
  EXPECT_EQ(response.lists(), 1);
  EXPECT_EQ(Size(), 2000);
  EXPECT_EQ(*redis_.Command({"LLEN", "q{actioncluster:c:list}"}).view().Integer(), 4000);
  EXPECT_EQ(KeyCount(), 2001);
}

TEST_F(CacheScansTest, WhatIsClearedAfterARestoreWasCutIsRestoredAnew) {
  std::vector<DumpEntry> entries;
  for (int i = 0; i < 2000; ++i) entries.push_back(Bytes(absl::StrCat("v", i), absl::StrCat(i)));
  CutRestore(entries);
  ASSERT_GT(Size(), 0);
  Clear();
  EXPECT_EQ(KeyCount() + RestoreCount(), 0) << "nothing is left of the restore either";
  const v1::RestoreResponse response = MustRestore(Frames("r", entries));
  EXPECT_EQ(response.resumed_at(), 0);
  EXPECT_EQ(response.values(), 2000);
  EXPECT_EQ(Size(), 2000);
}

TEST_F(CacheScansTest, ListsThatWereWrittenJustBeforeTheCutAreRestoredAnewAfterClear) {
  std::vector<DumpEntry> entries;
  for (int i = 0; i < 10; ++i) entries.push_back(Part(absl::StrCat("l", i), 0, true, 2));
  for (int i = 0; i < 500; ++i) entries.push_back(Bytes(absl::StrCat("v", i), std::string(4000, 'x')));
  CutRestore(entries, 1'000'000);
  ASSERT_EQ(Length("l9"), 2);
  ASSERT_GT(redis_.Command({"KEYS", "s{actioncluster:c:*"}).view().size(), 0u) << "it is noted which lists are written";
  Clear("l");
  EXPECT_EQ(redis_.Command({"KEYS", "s{actioncluster:c:*"}).view().size(), 0u);
  const v1::RestoreResponse response = MustRestore(Frames("r", entries));
  EXPECT_EQ(response.lists(), 10);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Length(absl::StrCat("l", i)), 2);
}

TEST_F(CacheScansTest, ARestoreThatIsRepeatedAfterItsEndWritesNothingUnlessThatIsAskedFor) {
  std::vector<v1::RestoreRequest> frames = Frames("r", {Bytes("v", "x"), Part("l", 0, true, 2)});
  EXPECT_EQ(MustRestore(frames).resumed_at(), 0);
  Save("v", "mine");
  redis_.Command({"LPOP", "q{actioncluster:c:l}"});
  v1::RestoreResponse again = MustRestore(frames);
  EXPECT_EQ(again.resumed_at(), 2);
  EXPECT_EQ(again.values() + again.lists(), 0);
  EXPECT_EQ(Dump("v").at(0).data(), "mine");
  EXPECT_EQ(Length("l"), 1);

  frames.front().mutable_begin()->set_from_start(true);
  again = MustRestore(frames);
  EXPECT_EQ(again.resumed_at(), 0);
  EXPECT_EQ(again.values(), 1);
  EXPECT_EQ(again.lists(), 1);
  EXPECT_EQ(Dump("v").at(0).data(), "x");
  EXPECT_EQ(Length("l"), 2);
}

TEST_F(CacheScansTest, WhoGoesOnWithARestoreWaitsForWhoMayStillWrite) {
  const std::vector<v1::RestoreRequest> frames = Frames("r", {Bytes("v", "x")});
  MustRestore(frames);
  // As if a call had gone on with it that has said nothing since.
  const std::string record = "p{actioncluster:c:r}";
  redis_.Command({"HSET", record, "call", "another", "written", "0"});
  redis_.Command({"DEL", "v{actioncluster:c:v}"});
  const absl::Time until = absl::Now() + absl::Milliseconds(300);
  redis_.Command({"HSET", record, "until", absl::StrCat(absl::ToUnixMicros(until))});
  EXPECT_EQ(MustRestore(frames).values(), 1);
  EXPECT_GE(absl::Now(), until);
}

TEST_F(CacheScansTest, TheNodesOwnMemoryHasNothingOfWhatItHasClearedOrRestored) {
  Settings settings;
  settings.near_cache_bytes = 1 << 20;
  LocalNode near(redis_.endpoint(), settings);
  const auto load = [&near] {
    v1::LoadRequest request;
    request.set_key("v");
    request.set_allow_near(true);
    v1::LoadResponse response;
    return near.cache().Load(NewContext().get(), request, &response).ok() ? response.data() : "none";
  };
  const auto restore = [&near](const std::string& id, const std::string& data) {
    const auto context = NewContext();
    v1::RestoreResponse response;
    const auto stream = near.cache().Restore(context.get(), &response);
    for (const v1::RestoreRequest& frame : Frames(id, {Bytes("v", data)})) stream->Write(frame);
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  };
  // News by Redis comes a moment later: in some of these rounds it would be too late.
  for (int round = 0; round < 50; ++round) {
    restore(absl::StrCat("one ", round), "one");
    for (int i = 0; i < 3; ++i) ASSERT_EQ(load(), "one");
    restore(absl::StrCat("two ", round), "two");
    for (int i = 0; i < 3; ++i) ASSERT_EQ(load(), "two");
    v1::ClearResponse cleared;
    ASSERT_TRUE(near.cache().Clear(NewContext().get(), {}, &cleared).ok());
    ASSERT_EQ(load(), "none");
  }
}

TEST_F(CacheScansTest, WhatIsThereIsKeptOnRequest) {
  Save("v", "mine");
  const v1::RestoreResponse response =
      MustRestore(Frames("r", {Bytes("v", "x"), Bytes("w", "x"), Part("l", 0, true, 1)}, /*keep=*/true));
  EXPECT_EQ(response.kept(), 1);
  EXPECT_EQ(response.values(), 1);
  EXPECT_EQ(response.lists(), 1);
  EXPECT_EQ(Dump("v").at(0).data(), "mine");
}

TEST_F(CacheScansTest, ARestoreMayNotBeLargerThanTheDiskAllows) {
  Settings settings;
  settings.restore_bytes = 100'000;
  LocalNode small(redis_.endpoint(), settings);
  const auto context = NewContext();
  v1::RestoreResponse response;
  const auto stream = small.cache().Restore(context.get(), &response);
  ASSERT_TRUE(stream->Write(Begin("r")));
  v1::RestoreRequest frame;
  *frame.mutable_entry() = Bytes("k", std::string(10'000, 'x'));
  int64_t written = 0;
  while (written < 1000 && stream->Write(frame)) ++written;
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_EQ(KeyCount(), 0);
}

}  // namespace
}  // namespace actioncluster

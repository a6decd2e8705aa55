
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actioncluster/v1/cache.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/cache_scans_fixture.h"
#include "tests/integration/server/local_node.h"

// What becomes of restores: bad, cut, repeated.
namespace actioncluster {
namespace {

using CacheRestoreTest = CacheScansTest;

TEST_F(CacheRestoreTest, WhatIsBadChangesNothingAndIsNamed) {
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

TEST_F(CacheRestoreTest, ARestoreThatIsCutWhileItWritesGoesOnExactly) {
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

TEST_F(CacheRestoreTest, WhatIsClearedAfterARestoreWasCutIsRestoredAnew) {
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

TEST_F(CacheRestoreTest, ListsThatWereWrittenJustBeforeTheCutAreRestoredAnewAfterClear) {
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

TEST_F(CacheRestoreTest, ARestoreThatIsRepeatedAfterItsEndWritesNothingUnlessThatIsAskedFor) {
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

TEST_F(CacheRestoreTest, WhoGoesOnWithARestoreWaitsForWhoMayStillWrite) {
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

TEST_F(CacheRestoreTest, TheNodesOwnMemoryHasNothingOfWhatItHasClearedOrRestored) {
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

TEST_F(CacheRestoreTest, WhatIsThereIsKeptOnRequest) {
  Save("v", "mine");
  const v1::RestoreResponse response =
      MustRestore(Frames("r", {Bytes("v", "x"), Bytes("w", "x"), Part("l", 0, true, 1)}, /*keep=*/true));
  EXPECT_EQ(response.kept(), 1);
  EXPECT_EQ(response.values(), 1);
  EXPECT_EQ(response.lists(), 1);
  EXPECT_EQ(Dump("v").at(0).data(), "mine");
}

TEST_F(CacheRestoreTest, ARestoreMayNotBeLargerThanTheDiskAllows) {
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

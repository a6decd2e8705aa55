#include "client/cli/cache_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "actioncluster/json.h"

namespace actioncluster::cli {
namespace {

using testing::HasSubstr;

ContentOptions Json(const std::string& text) { return {.json = text, .has_json = true}; }

TEST(CacheCommandsTest, WhatIsNotGivenIsNotSet) {
  v1::LoadRequest load;
  load.set_key("k");
  EXPECT_EQ(MakeLoad({.key = "k"})->SerializeAsString(), load.SerializeAsString());
  v1::LockRequest lock;
  lock.set_key("k");
  EXPECT_EQ(MakeLock({.key = "k"})->SerializeAsString(), lock.SerializeAsString());
  v1::PopRequest pop;
  pop.set_key("k");
  EXPECT_EQ(MakePop({.key = "k"})->SerializeAsString(), pop.SerializeAsString());
  EXPECT_EQ(MakeIncrement({.key = "k"})->by(), 1);
}

TEST(CacheCommandsTest, EachOptionOfLoadIsAField) {
  const v1::LoadRequest load =
      MakeLoad({.key = "k", .expire_after = "1m", .holder = "me", .wait = "250ms", .track_reads = true, .near = true})
          .value();
  EXPECT_EQ(load.expire_after().seconds(), 60);
  EXPECT_EQ(load.holder(), "me");
  EXPECT_EQ(load.wait_for_lock().nanos(), 250'000'000);
  EXPECT_TRUE(load.track_reads());
  EXPECT_TRUE(load.allow_near());
}

TEST(CacheCommandsTest, EachOptionOfAChangeIsAField) {
  const CacheOptions options = {.key = "k",
                                .content = Json("[1, null]"),
                                .expire_after = "2s",
                                .holder = "me",
                                .token = 7,
                                .version = 0,
                                .by = -5};
  const v1::SaveRequest save = MakeSave(options).value();
  EXPECT_EQ(client::ToJson(save.value()), "[1,null]");
  EXPECT_EQ(save.expire_after().seconds(), 2);
  EXPECT_EQ(save.holder(), "me");
  EXPECT_EQ(save.token(), 7);
  const v1::CompareAndSaveRequest compare = MakeCompareAndSave(options).value();
  EXPECT_EQ(client::ToJson(compare.value()), "[1,null]");
  EXPECT_EQ(compare.version(), 0);
  EXPECT_EQ(compare.token(), 7);
  const v1::IncrementRequest increment = MakeIncrement(options).value();
  EXPECT_EQ(increment.by(), -5);
  EXPECT_EQ(increment.expire_after().seconds(), 2);
  EXPECT_EQ(increment.token(), 7);
}

TEST(CacheCommandsTest, NullIsContentAndNothingIsNot) {
  EXPECT_TRUE(MakePush({.key = "k", .content = Json("null")})->has_value());
  EXPECT_EQ(MakePush({.key = "k"})->content_case(), v1::PushRequest::CONTENT_NOT_SET);
}

TEST(CacheCommandsTest, EachOptionOfLockAndPopIsAField) {
  const v1::LockRequest lock = MakeLock({.key = "k", .expire_after = "1m", .holder = "me", .wait = "1h"}).value();
  EXPECT_EQ(lock.holder(), "me");
  EXPECT_EQ(lock.expire_after().seconds(), 60);
  EXPECT_EQ(lock.wait_for().seconds(), 3600);
  EXPECT_EQ(MakePop({.key = "k", .wait = "5s"})->wait_for().seconds(), 5);
}

TEST(CacheCommandsTest, NonsenseIsToldByItsName) {
  const auto told = [](const absl::Status& status) { return std::string(status.message()); };
  EXPECT_THAT(told(MakeSave({.key = "k", .content = Json("[1")}).status()), HasSubstr("JSON: no JSON"));
  EXPECT_THAT(told(MakeSave({.key = "k", .content = {.data_file = "/no/such"}}).status()), HasSubstr("/no/such"));
  EXPECT_THAT(told(MakeSave({.key = "k", .expire_after = "5"}).status()), HasSubstr("--expire-after"));
  EXPECT_THAT(told(MakeLoad({.key = "k", .wait = "5"}).status()), HasSubstr("--wait"));
  EXPECT_THAT(told(MakeLock({.key = "k", .wait = "-5s"}).status()), HasSubstr("--wait"));
  EXPECT_THAT(told(MakePop({.key = "k", .wait = "soon"}).status()), HasSubstr("--wait"));
}

}  // namespace
}  // namespace actioncluster::cli

#include "server/services/room_service.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/services/connection_listing.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(RoomRecordTest, WithoutWishesARoomKeepsNothingAndWaitsTwoSecondsForHooks) {
  const auto record = RoomRecordOf({});
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->history_messages(), 0u);
  EXPECT_EQ(record->history_us(), 0);
  EXPECT_EQ(record->hook_timeout_us(), 2'000'000);
  EXPECT_EQ(record->required_hooks_size(), 0);
}

TEST(RoomRecordTest, AHistoryHasALimitInMessagesAlways) {
  v1::RoomServiceCreateRequest request;
  request.mutable_history()->mutable_keep_for()->set_seconds(7 * 24 * 3600);
  auto record = RoomRecordOf(request);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->history_messages(), 10'000u);
  EXPECT_EQ(record->history_us(), int64_t{7} * 24 * 3600 * 1'000'000);
  request.mutable_history()->set_messages(3);
  record = RoomRecordOf(request);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->history_messages(), 3u);
}

TEST(RoomRecordTest, EachRequiredHookIsNamedOnce) {
  v1::RoomServiceCreateRequest request;
  for (const char* hook : {"join", "say.deliver", "join"}) request.mutable_hooks()->add_required(hook);
  request.mutable_hooks()->mutable_timeout()->set_nanos(1'500'000);
  const auto record = RoomRecordOf(request);
  ASSERT_TRUE(record.ok());
  EXPECT_THAT(record->required_hooks(), ElementsAre("join", "say.deliver"));
  EXPECT_EQ(record->hook_timeout_us(), 1'500);
}

TEST(RoomRecordTest, WhatIsBeyondTheLimitsIsRefused) {
  const auto error = [](auto change) {
    v1::RoomServiceCreateRequest request;
    change(request);
    return std::string(RoomRecordOf(request).status().message());
  };
  EXPECT_THAT(error([](auto& request) { request.mutable_history()->set_messages(10'001); }), HasSubstr("10000"));
  EXPECT_THAT(error([](auto& request) { request.mutable_history()->mutable_keep_for(); }), HasSubstr("keep_for"));
  EXPECT_THAT(error([](auto& request) { request.mutable_history()->mutable_keep_for()->set_seconds(604'801); }),
              HasSubstr("7 days"));
  EXPECT_THAT(error([](auto& request) { request.mutable_hooks()->add_required("say"); }), HasSubstr("say.receive"));
  EXPECT_THAT(error([](auto& request) { request.mutable_hooks()->mutable_timeout(); }), HasSubstr("hooks.timeout"));
  EXPECT_THAT(error([](auto& request) { request.mutable_hooks()->mutable_timeout()->set_seconds(61); }),
              HasSubstr("1m"));
}

TEST(ConnectionPlaceTest, ATokenGivesThePlaceBackAndAnythingElseIsRefused) {
  const ConnectionPlace place{.node_id = "node-1", .node_token = std::string("a\nb\0\xff", 5)};
  const auto parsed = ConnectionPlace::Parse(place.ToToken());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->node_id, place.node_id);
  EXPECT_EQ(parsed->node_token, place.node_token);
  const auto first = ConnectionPlace::Parse("");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->node_id, "");
  for (const char* bad : {"?", "bm9kZQ", "CmE"}) {
    EXPECT_EQ(ConnectionPlace::Parse(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace actioncluster

#include "backplane/chat/room_wire.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster::room_wire {
namespace {

using internal::v1::RoomChange;
using internal::v1::RoomMemberRecord;
using testing::ElementsAre;
using testing::Pair;

RoomMemberRecord Member(const std::string& id) {
  RoomMemberRecord member;
  member.set_connection_id(id);
  member.set_node_id("node-1");
  member.set_boot_id("aaaaaaaaaaaaaaaa");
  member.set_type("browser");
  return member;
}

RoomChange ChangeOfThree(RoomChange::Kind kind) {
  return ChangeOf("lobby", kind, {Member("x"), Member("y"), Member("z")}).room_change();
}

std::vector<std::string> IdsOf(const RoomChange& change) {
  std::vector<std::string> ids;
  for (const RoomMemberRecord& member : change.members()) ids.push_back(member.connection_id());
  return ids;
}

TEST(RoomWireTest, NamesAreFromThePrefixOrBehindTheLastOne) {
  EXPECT_THAT(NameRange("", ""), Pair("[", "+"));
  EXPECT_THAT(NameRange("ab", ""), Pair("[ab", "(ac"));
  EXPECT_THAT(NameRange("ab", "abc"), Pair("(abc", "(ac"));
  EXPECT_THAT(NameRange("ab", "ab"), Pair("(ab", "(ac"));
  EXPECT_THAT(NameRange("ab", "aa"), Pair("[ab", "(ac"));
  EXPECT_THAT(NameRange("", "z"), Pair("(z", "+"));
  EXPECT_THAT(NameRange("a\xff\xff", ""), Pair("[a\xff\xff", "(b"));
  EXPECT_THAT(NameRange("\xff", ""), Pair("[\xff", "+"));
  EXPECT_THAT(NameRange("a\x7f", ""), Pair("[a\x7f", "(a\x80"));
}

TEST(RoomWireTest, ThePostmarkSaysWhenMembersCameIn) {
  RoomChange change = ChangeOfThree(RoomChange::KIND_JOINED);
  EXPECT_TRUE(ApplyPostmark(1234, &change));
  EXPECT_THAT(IdsOf(change), ElementsAre("x", "y", "z"));
  EXPECT_EQ(change.members(2).joined_at_us(), 1234);
  EXPECT_EQ(change.members(2).type(), "browser");
}

TEST(RoomWireTest, ThePostmarkSaysWhoIsGone) {
  for (const RoomChange::Kind kind : {RoomChange::KIND_LEFT, RoomChange::KIND_LOST}) {
    RoomChange change = ChangeOfThree(kind);
    EXPECT_TRUE(ApplyPostmark(0b101, &change));
    EXPECT_THAT(IdsOf(change), ElementsAre("x", "z"));
    EXPECT_EQ(change.members(0).boot_id(), "aaaaaaaaaaaaaaaa");
    EXPECT_EQ(change.members(0).type(), "") << "of those that left only who and where";
    change = ChangeOfThree(kind);
    EXPECT_TRUE(ApplyPostmark(0b10, &change));
    EXPECT_THAT(IdsOf(change), ElementsAre("y"));
    change = ChangeOfThree(kind);
    EXPECT_FALSE(ApplyPostmark(0b1000, &change)) << "of nobody";
    change = ChangeOfThree(kind);
    EXPECT_FALSE(ApplyPostmark(0, &change));
  }
}

TEST(RoomWireTest, OfMoreThanAPostmarkHasBitsForNobodyIsGone) {
  std::vector<RoomMemberRecord> members;
  for (int i = 0; i < 70; ++i) members.push_back(Member(absl::StrCat(i)));
  RoomChange change = ChangeOf("lobby", RoomChange::KIND_LEFT, members).room_change();
  EXPECT_TRUE(ApplyPostmark(~uint64_t{0}, &change));
  EXPECT_EQ(change.members_size(), 64);
}

TEST(RoomWireTest, ADestroyedRoomNeedsNoPostmark) {
  RoomChange change = ChangeOf("lobby", RoomChange::KIND_DESTROYED, {}).room_change();
  EXPECT_TRUE(ApplyPostmark(0, &change));
  EXPECT_EQ(change.room(), "lobby");
}

TEST(RoomWireTest, WhatIsSaidComesBackAsItWas) {
  const RoomSaying saying{.from = "x", .content = {.kind = Content::Kind::kBytes, .body = std::string("a\0b", 3)}};
  internal::v1::Envelope envelope = EnvelopeOf("lobby", saying);
  envelope.set_sent_at_us(7);
  const std::optional<RoomPast> past = PastOf("lobby", 9, envelope);
  ASSERT_TRUE(past.has_value());
  EXPECT_EQ(past->offset, 9u);
  EXPECT_EQ(past->saying.from, "x");
  EXPECT_EQ(past->saying.content, saying.content);
  EXPECT_EQ(past->sent_at, absl::FromUnixMicros(7));
  EXPECT_FALSE(PastOf("other", 9, envelope).has_value());
  EXPECT_FALSE(PastOf("lobby", 9, ChangeOf("lobby", RoomChange::KIND_LEFT, {})).has_value());
}

}  // namespace
}  // namespace actioncluster::room_wire

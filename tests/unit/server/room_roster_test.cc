#include "server/services/room_roster.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Change = internal::v1::RoomChange;

RoomRoster::Member Member(const std::string& id, const std::string& boot = "boot", int64_t joined_at_us = 1) {
  RoomRoster::Member member;
  member.set_connection_id(id);
  member.set_boot_id(boot);
  member.set_joined_at_us(joined_at_us);
  return member;
}

Change ChangeOf(Change::Kind kind, const std::vector<RoomRoster::Member>& members) {
  Change change;
  change.set_kind(kind);
  for (const RoomRoster::Member& member : members) *change.add_members() = member;
  return change;
}

std::vector<std::string> Ids(const std::vector<RoomRoster::Member>& members) {
  std::vector<std::string> ids;
  for (const RoomRoster::Member& member : members) ids.push_back(member.connection_id());
  return ids;
}

std::vector<std::string> There(const RoomRoster& roster) {
  std::vector<std::string> there;
  for (const auto& [id, member] : roster.members()) there.push_back(absl::StrCat(id, "@", member.boot_id()));
  return there;
}

bool AllLive(absl::string_view) { return true; }

TEST(RoomRosterTest, WhatIsReadAndWhoseBootLivesIsThere) {
  RoomRoster roster;
  roster.Begin();
  roster.Read({Member("b"), Member("a")});
  roster.Read({Member("c", "dead"), Member("b")});
  roster.Complete([](absl::string_view boot) { return boot != "dead"; });
  EXPECT_THAT(There(roster), ElementsAre("a@boot", "b@boot"));
}

TEST(RoomRosterTest, WhatIsHeardWhileItIsReadCountsAfterIt) {
  RoomRoster roster;
  roster.Begin();
  EXPECT_THAT(roster.Apply(ChangeOf(Change::KIND_LEFT, {Member("a")})), IsEmpty());
  EXPECT_THAT(roster.Apply(ChangeOf(Change::KIND_JOINED, {Member("new", "unknown yet")})), IsEmpty());
  EXPECT_THAT(roster.Apply(ChangeOf(Change::KIND_LEFT, {Member("back")})), IsEmpty());
  EXPECT_THAT(roster.Apply(ChangeOf(Change::KIND_JOINED, {Member("back", "boot", 2)})), IsEmpty());
  EXPECT_THAT(roster.BootGone("gone"), IsEmpty());
  roster.Read({Member("a"), Member("back", "boot", 2), Member("lost", "gone")});
  roster.Complete([](absl::string_view boot) { return boot != "unknown yet"; });
  EXPECT_THAT(There(roster), ElementsAre("back@boot", "new@unknown yet"));
}

TEST(RoomRosterTest, OnlyNewsIsTold) {
  RoomRoster roster;
  roster.Begin();
  roster.Complete(AllLive);
  EXPECT_THAT(Ids(roster.Apply(ChangeOf(Change::KIND_JOINED, {Member("a"), Member("b")}))), ElementsAre("a", "b"));
  EXPECT_THAT(roster.Apply(ChangeOf(Change::KIND_JOINED, {Member("a")})), IsEmpty()) << "it is known";
  EXPECT_THAT(Ids(roster.Apply(ChangeOf(Change::KIND_JOINED, {Member("a", "other")}))), ElementsAre("a"))
      << "it has moved";
  EXPECT_THAT(roster.Apply(ChangeOf(Change::KIND_LOST, {Member("a")})), IsEmpty()) << "it is elsewhere by now";
  EXPECT_THAT(Ids(roster.Apply(ChangeOf(Change::KIND_LOST, {Member("a", "other")}))), ElementsAre("a"));
  EXPECT_THAT(roster.Apply(ChangeOf(Change::KIND_LEFT, {Member("a", "other")})), IsEmpty());
  EXPECT_THAT(There(roster), ElementsAre("b@boot"));
}

TEST(RoomRosterTest, WithItsBootAMemberIsGoneAndIsToldOnce) {
  RoomRoster roster;
  roster.Begin();
  roster.Read({Member("a"), Member("b", "other"), Member("c")});
  roster.Complete(AllLive);
  EXPECT_THAT(Ids(roster.BootGone("boot")), ElementsAre("a", "c"));
  EXPECT_THAT(roster.Apply(ChangeOf(Change::KIND_LOST, {Member("a"), Member("c")})), IsEmpty())
      << "what is swept later is no news";
  EXPECT_THAT(There(roster), ElementsAre("b@other"));
}

TEST(RoomRosterTest, BegunAnewItForgetsWhatWas) {
  RoomRoster roster;
  roster.Begin();
  roster.Read({Member("a")});
  roster.Complete(AllLive);
  roster.Begin();
  roster.Read({Member("b")});
  roster.Complete(AllLive);
  EXPECT_THAT(There(roster), ElementsAre("b@boot"));
}

}  // namespace
}  // namespace actioncluster

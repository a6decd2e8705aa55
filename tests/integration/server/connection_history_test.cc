// What members have missed in rooms, and get, or are told of.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_proxy.h"
#include "tests/fakes/redis_server.h"
#include "tests/integration/server/host_client.h"
#include "tests/integration/server/local_node.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Welcome = v1::OpenResponse::Welcome;

constexpr int64_t kNoRoom = 0;
constexpr int64_t kRoomForAll = 1'000'000;

class ConnectionHistoryTest : public ::testing::Test {
 protected:
  // Amy was in these rooms, and is away; gives how she comes back, with what she has heard so far.
  v1::OpenRequest::Hello GoneFrom(const std::vector<std::string>& rooms, uint32_t history = 10'000) {
    HostClient amy(node_, HelloOf("amy"));
    v1::OpenRequest::Hello hello = Resuming(amy.AwaitWelcome());
    for (const std::string& room : rooms) {
      CreateRoom(other_, room, history);
      EXPECT_TRUE(amy.Verb("roomAdd", absl::StrCat("[\"", room, "\"]")).has_result());
      AddOffset(room, Broadcast(other_, room, "before"), &hello);
      EXPECT_EQ(amy.NextText(), "before");
    }
    amy.Detach(/*finished=*/false);
    EXPECT_TRUE(
        AwaitThat([this] { return node_.io().Run([this] { return node_.rooms().connections.unsettled() == 0; }); }));
    return hello;
  }
  void Say(const std::string& room, int from, int till) {
    for (int i = from; i < till; ++i) Broadcast(other_, room, absl::StrCat(i));
  }
  static void ExpectTexts(const HostClient& client, int from, int till) {
    for (int i = from; i < till; ++i) ASSERT_EQ(client.NextText(), absl::StrCat(i));
  }
  // How often a history was looked into since the server was made; each page takes two or more.
  int64_t Looks() {
    const redis::Reply info = redis_.Command({"INFO", "commandstats"});
    const std::string text(info.view().String().value_or(""));
    const std::vector<std::string> parts = absl::StrSplit(text, "cmdstat_xrange:calls=");
    int64_t calls = 0;
    if (parts.size() > 1) {
      EXPECT_TRUE(absl::SimpleAtoi(std::vector<std::string>(absl::StrSplit(parts[1], ','))[0], &calls));
    }
    return calls;
  }
  // Cuts node_ from what is said, until proxy_ lets it in again; what it sends itself gets through.
  void CutFeed() {
    proxy_.SetMode(fakes::RedisProxy::Mode::kRefuse);
    redis_.Command({"CLIENT", "KILL", "TYPE", "pubsub"});
  }

  fakes::RedisServer redis_;
  fakes::RedisProxy proxy_{redis_.unix_path()};
  LocalNode node_{proxy_.endpoint()};
  LocalNode other_{redis_.endpoint()};
};

TEST_F(ConnectionHistoryTest, WhatWasMissedComesAsTheClientReadsAndPushesNothingOut) {
  const v1::OpenRequest::Hello hello = GoneFrom({"hall"});
  Say("hall", 0, 600);
  HostClient back(node_, hello, kNoRoom);
  const Welcome welcome = back.AwaitWelcome();
  EXPECT_TRUE(welcome.resumed());
  EXPECT_THAT(welcome.rooms_with_gaps(), IsEmpty());
  back.SetRoom(10);
  ExpectTexts(back, 0, 10);
  // More than waits for it here.
  Say("hall", 600, 1000);
  back.SetRoom(300);
  ExpectTexts(back, 10, 310);
  EXPECT_EQ(back.frames().size(), 0u);
  back.SetRoom(kRoomForAll);
  ExpectTexts(back, 310, 1000);
  Say("hall", 1000, 1001);
  ExpectTexts(back, 1000, 1001);
  EXPECT_EQ(node_.io().Run([&] { return back.stream().pushed_out(); }), 0);
}

TEST_F(ConnectionHistoryTest, OfManyRoomsOnlyAFewAreReadAtATime) {
  constexpr int kRooms = 20;
  std::vector<std::string> rooms;
  for (int i = 0; i < kRooms; ++i) rooms.push_back(absl::StrCat("room-", i));
  const v1::OpenRequest::Hello hello = GoneFrom(rooms);
  for (const std::string& room : rooms) Broadcast(other_, room, room);
  const int64_t before = Looks();
  HostClient back(node_, hello, kNoRoom);
  EXPECT_TRUE(back.AwaitWelcome().resumed());
  // What is asked for at once has been asked for.
  AwaitCommands(node_);
  // Of each room whether all is there still; of four a page, which takes three.
  EXPECT_EQ(Looks() - before, kRooms + 4 * 3);
  back.SetRoom(kRoomForAll);
  std::vector<std::string> heard;
  for (int i = 0; i < kRooms; ++i) heard.push_back(back.NextText());
  EXPECT_THAT(heard, ::testing::UnorderedElementsAreArray(rooms));
  EXPECT_EQ(node_.io().Run([&] { return back.stream().pushed_out(); }), 0);
}

TEST_F(ConnectionHistoryTest, ARoomThatIsLeftMeanwhileGivesUpItsTurnAndStartsAnewWhenItIsJoinedAgain) {
  const std::vector<std::string> rooms = {"a", "b", "c", "d", "e", "f"};
  const v1::OpenRequest::Hello hello = GoneFrom(rooms);
  for (const std::string& room : rooms) Broadcast(other_, room, "missed in " + room);
  HostClient back(node_, hello, kNoRoom);
  EXPECT_TRUE(back.AwaitWelcome().resumed());
  for (const std::string room : {"a", "b", "c", "d"}) {
    EXPECT_TRUE(back.Verb("roomLeave", absl::StrCat("[\"", room, "\"]")).has_result());
  }
  EXPECT_TRUE(back.Verb("roomAdd", R"(["a"])").has_result());
  back.SetRoom(kRoomForAll);
  std::vector<std::string> heard;
  for (int i = 0; i < 2; ++i) heard.push_back(back.NextText());
  EXPECT_THAT(heard, UnorderedElementsAre("missed in e", "missed in f"));
  Broadcast(other_, "a", "new");
  EXPECT_EQ(back.NextText(), "new");
}

TEST_F(ConnectionHistoryTest, AGapIsToldOnceInTheWelcomeAndTheRestComes) {
  const v1::OpenRequest::Hello hello = GoneFrom({"hall", "lost count"}, /*history=*/3);
  v1::OpenRequest::Hello partly = hello;
  partly.mutable_resume()->RemoveLast();
  Say("hall", 0, 5);
  Say("lost count", 0, 1);
  HostClient back(node_, partly);
  EXPECT_THAT(back.AwaitWelcome().rooms_with_gaps(), UnorderedElementsAre("hall", "lost count"));
  ExpectTexts(back, 2, 5);
  Broadcast(other_, "lost count", "last");
  EXPECT_EQ(back.NextText(), "last");
}

TEST_F(ConnectionHistoryTest, WhoComesBackIsNotInARoomThatWasMadeAnewMeanwhile) {
  v1::OpenRequest::Hello hello = GoneFrom({"hall", "attic"});
  DestroyRoom(other_, "hall");
  CreateRoom(other_, "hall", 10);
  HostClient back(node_, hello);
  const Welcome welcome = back.AwaitWelcome();
  EXPECT_TRUE(welcome.resumed());
  EXPECT_THAT(welcome.connection().rooms(), ElementsAre("attic"));
  EXPECT_THAT(MembersOf(other_, "hall"), IsEmpty());
  EXPECT_TRUE(back.Verb("roomAdd", R"(["hall"])").has_result());
}

TEST_F(ConnectionHistoryTest, WhoDidNotHearThatItsRoomWasMadeAnewIsToldAfterTheCut) {
  for (const char* room : {"hall", "attic"}) CreateRoom(other_, room);
  HostClient amy(node_, "amy");
  for (const char* room : {R"(["hall"])", R"(["attic"])"}) ASSERT_TRUE(amy.Verb("roomAdd", room).has_result());
  CutFeed();
  EXPECT_TRUE(amy.frames().Next().missed().gap());
  DestroyRoom(other_, "hall");
  CreateRoom(other_, "hall");
  proxy_.SetMode(fakes::RedisProxy::Mode::kOpen);
  const v1::OpenResponse left =
      amy.frames().NextThat([](const v1::OpenResponse& frame) { return !frame.has_missed(); });
  EXPECT_EQ(left.left().room(), "hall");
  EXPECT_EQ(left.left().reason(), "destroyed");
  EXPECT_THAT(MembersOf(other_, "hall"), IsEmpty());
  EXPECT_THAT(MembersOf(other_, "attic"), ElementsAre("amy"));
  EXPECT_TRUE(amy.Verb("roomAdd", R"(["hall"])").has_result());
  EXPECT_THAT(MembersOf(other_, "hall"), ElementsAre("amy"));
}

TEST_F(ConnectionHistoryTest, AfterACutEachMemberIsCaughtUpOrToldOfAGapOnce) {
  CreateRoom(other_, "kept", 1000);
  CreateRoom(other_, "plain");
  HostClient amy(node_, "amy");
  HostClient bob(node_, "bob");
  HostClient cat(node_, "cat");
  for (HostClient* client : {&amy, &bob}) ASSERT_TRUE(client->Verb("roomAdd", R"(["kept"])").has_result());
  ASSERT_TRUE(cat.Verb("roomAdd", R"(["plain"])").has_result());
  for (int cut = 0; cut < 3; ++cut) {
    CutFeed();
    EXPECT_TRUE(cat.frames().Next().missed().gap());
    Say("kept", 0, 300);
    Say("plain", 0, 1);
    proxy_.SetMode(fakes::RedisProxy::Mode::kOpen);
    for (const HostClient* client : {&amy, &bob}) ASSERT_NO_FATAL_FAILURE(ExpectTexts(*client, 0, 300));
    Say("kept", 300, 301);
    Say("plain", 1, 2);
    for (const HostClient* client : {&amy, &bob}) ExpectTexts(*client, 300, 301);
    ExpectTexts(cat, 1, 2);
    for (const HostClient* client : {&amy, &bob, &cat}) EXPECT_EQ(client->frames().size(), 0u);
  }
}

}  // namespace
}  // namespace actioncluster

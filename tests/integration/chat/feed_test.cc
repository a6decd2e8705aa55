#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/chat/chat_node.h"

// What nodes hear of rooms.
namespace actioncluster {
namespace {

using internal::v1::RoomChange;
using testing::ElementsAre;
using testing::IsEmpty;

class FeedTest : public testing::Test {
 protected:
  fakes::RedisServer redis_;
  ChatNode a_{redis_, "aaaaaaaaaaaaaaaa"};
  ChatNode b_{redis_, "bbbbbbbbbbbbbbbb"};
};

TEST_F(FeedTest, WhoComesInIsHeardWithTheTime) {
  ASSERT_TRUE(a_.Create("lobby").ok());
  for (ChatNode* node : {&a_, &b_}) ASSERT_TRUE(node->Want("lobby").ok());
  const int64_t joined_at = a_.Join("lobby", "x")->joined_at_us;
  for (ChatNode* node : {&a_, &b_}) {
    const RoomChange change = node->NextChange();
    EXPECT_EQ(change.kind(), RoomChange::KIND_JOINED);
    EXPECT_EQ(change.room(), "lobby");
    ASSERT_THAT(IdsOf(change), ElementsAre("x"));
    EXPECT_EQ(change.members(0).joined_at_us(), joined_at);
    EXPECT_EQ(change.members(0).type(), "browser");
    EXPECT_EQ(change.members(0).boot_id(), a_.boot());
    EXPECT_EQ(change.members(0).node_id(), absl::StrCat("node-of-", a_.boot()));
  }
  EXPECT_EQ(b_.Join("lobby", "x", joined_at)->joined_at_us, joined_at);
  const RoomChange moved = a_.NextChange();
  EXPECT_EQ(moved.members(0).boot_id(), b_.boot());
  EXPECT_EQ(moved.members(0).joined_at_us(), joined_at);
}

TEST_F(FeedTest, OfThoseThatAreTakenOutOnlyThoseAreHeardOfWhoWere) {
  ASSERT_TRUE(a_.Create("lobby").ok());
  std::vector<std::string> ids;
  for (int i = 0; i < 60; ++i) ids.push_back(absl::StrCat("x", i));
  for (const std::string& id : ids) ASSERT_TRUE(a_.Join("lobby", id).ok());
  for (const std::string id : {"x0", "x49", "x59"}) ASSERT_TRUE(b_.Join("lobby", id).ok());
  ASSERT_TRUE(b_.Want("lobby").ok());

  EXPECT_EQ(a_.Leave("lobby", {"x0"}), 0);
  EXPECT_EQ(a_.Leave("lobby", {"x0", "x1", "x2", "x49"}), 2);
  const RoomChange left = b_.NextChange();
  EXPECT_EQ(left.kind(), RoomChange::KIND_LEFT);
  EXPECT_THAT(IdsOf(left), ElementsAre("x1", "x2")) << "and nothing of the first attempt";
  EXPECT_EQ(left.members(0).boot_id(), a_.boot());

  EXPECT_EQ(a_.Leave("lobby", ids, RoomChange::KIND_LOST), 55);
  std::vector<std::string> lost;
  for (int i = 0; i < 2; ++i) {
    const RoomChange change = b_.NextChange();
    EXPECT_EQ(change.kind(), RoomChange::KIND_LOST);
    for (const std::string& id : IdsOf(change)) lost.push_back(id);
  }
  EXPECT_EQ(lost.size(), 55u);
  EXPECT_EQ(lost.front(), "x3");
  EXPECT_EQ(lost.back(), "x58");

  EXPECT_EQ(b_.Leave("lobby", {"x0"}, RoomChange::KIND_UNSPECIFIED), 1);
  EXPECT_EQ(b_.Destroy("lobby").value(), 2);
  EXPECT_EQ(b_.NextChange().kind(), RoomChange::KIND_DESTROYED) << "the one before was not told";
}

TEST_F(FeedTest, OnlyWantedRoomsAreHeard) {
  for (const std::string room : {"a", "b"}) ASSERT_TRUE(a_.Create(room).ok());
  ASSERT_TRUE(b_.Want("a").ok());
  ASSERT_TRUE(b_.Want("b").ok());
  ASSERT_TRUE(b_.Want("b").ok());
  b_.Unwant("a");
  b_.Unwant("b");
  ASSERT_TRUE(a_.Say("a", "unheard").ok());
  ASSERT_TRUE(a_.Say("b", "heard").ok());
  EXPECT_EQ(b_.Next().body, "heard") << "one wants it still";
  b_.Unwant("b");
  ASSERT_TRUE(b_.Want("a").ok());  // By the same connection: the end of "b" has come to Redis before it.
  EXPECT_EQ(a_.Say("b", "unheard")->receivers, 0);
  ASSERT_TRUE(b_.Want("b").ok());
  ASSERT_TRUE(a_.Say("b", "heard again").ok());
  EXPECT_EQ(b_.Next().body, "heard again");
  EXPECT_EQ(b_.unread(), 0u);
}

TEST_F(FeedTest, WhoWantsARoomNoMoreHearsNothingOfIt) {
  const fakes::Waiter<absl::Status> first;
  const fakes::Waiter<absl::Status> second;
  b_.thread().Run([&] {
    b_.feed().Want("lobby", first.Callback());
    b_.feed().Unwant("lobby");
    b_.feed().Want("lobby", second.Callback());
  });
  EXPECT_TRUE(second.Next().ok());
  EXPECT_EQ(first.size(), 0u);
  // Also of one that is heard already.
  b_.thread().Run([&] {
    b_.feed().Want("lobby", second.Callback());
    b_.feed().Unwant("lobby");
    b_.feed().Unwant("lobby");
  });
  EXPECT_TRUE(b_.Want("lobby").ok());
  EXPECT_EQ(second.size(), 0u);
}

TEST_F(FeedTest, ForgedWordsAreNotHeard) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  ASSERT_TRUE(b_.Want("lobby").ok());
  const std::string channel = b_.keys().ChannelRoom("lobby");
  internal::v1::Envelope envelope;
  envelope.mutable_room_message()->set_room("lobby");
  envelope.set_sender_boot("somebody");
  envelope.set_sequence(1);
  envelope.set_sent_at_us(absl::ToUnixMicros(absl::Now()));
  const Sealer other = Sealer::Create("a token of another cluster", "test").value();
  redis_.Command({"PUBLISH", channel, other.Seal(channel, envelope)});
  redis_.Command({"PUBLISH", channel, absl::StrCat("\0021:", other.Seal(channel, envelope))});
  redis_.Command({"PUBLISH", channel, "\0021:"});
  ASSERT_TRUE(a_.Say("lobby", "genuine").ok());
  EXPECT_EQ(b_.Next().body, "genuine");
  // What the history keeps is no news.
  const redis::Reply kept = redis_.Command({"XRANGE", b_.keys().RoomHistory("lobby"), "-", "+"});
  redis_.Command({"PUBLISH", channel, std::string(*kept.view()[0][1][1].String())});
  ASSERT_TRUE(a_.Say("lobby", "genuine too").ok());
  EXPECT_EQ(b_.Next().body, "genuine too");
}

TEST_F(FeedTest, AnOutageIsToldAndItsEnd) {
  ASSERT_TRUE(b_.Want("lobby").ok());
  redis_.Kill();
  EXPECT_EQ(b_.Next().what, "interrupted");
  EXPECT_EQ(ReasonOf(b_.Want("other")), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(a_.Say("lobby", "lost").status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(a_.Create("lobby").status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(a_.Join("lobby", "x").status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(a_.Read("lobby").status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  redis_.Start();
  const auto resumed = [](const ChatNode::Heard& heard) { return heard.what == "resumed"; };
  b_.NextThat(resumed);
  while (!a_.Create("lobby").ok()) {
    // Its own connection comes back when it does.
  }
  ASSERT_TRUE(a_.Say("lobby", "heard").ok());
  EXPECT_EQ(b_.Next().body, "heard");
  // It was wanted all the same.
  ASSERT_TRUE(b_.Want("other").ok());
  b_.Unwant("other");
  ASSERT_TRUE(a_.Create("other").ok());
  EXPECT_EQ(a_.Say("other", "heard").value().receivers, 1);
  EXPECT_EQ(b_.Next().body, "heard");
}

TEST_F(FeedTest, WhoWasToldOfAnOutageIsToldOfItsEndThoughNothingIsWantedAnyMore) {
  ASSERT_TRUE(b_.Want("lobby").ok());
  redis_.Kill();
  EXPECT_EQ(b_.Next().what, "interrupted");
  b_.Unwant("lobby");
  redis_.Start();
  EXPECT_EQ(b_.Next().what, "resumed");
  while (!a_.Create("lobby").ok()) {
    // Its own connection comes back when it does.
  }
  ASSERT_TRUE(b_.Want("lobby").ok());
  ASSERT_TRUE(a_.Say("lobby", "hello").ok());
  EXPECT_EQ(b_.Next().body, "hello") << "once";
}

TEST_F(FeedTest, WhoWaitsForARoomWhenTheBusBreaksHearsOfIt) {
  redis_.Pause();
  const fakes::Waiter<absl::Status> listening = b_.StartWanting("lobby");
  EXPECT_EQ(listening.size(), 0u);
  redis_.Kill();
  EXPECT_EQ(ReasonOf(listening.Next()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  redis_.Start();
  b_.NextThat([](const ChatNode::Heard& heard) { return heard.what == "resumed"; });
  EXPECT_TRUE(b_.Want("lobby").ok());
}

}  // namespace
}  // namespace actioncluster

// What an application sees of connections and rooms, wherever it runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/behaviour.h"

namespace actioncluster::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Event = v1::WatchRoomResponse;

TEST_P(BehaviourTest, AConnectionIsReachedByItsIdFromEveryNode) {
  const Node& home = Any();
  RawClient ann(home, HelloOf("ann"));
  const RawClient::Frame::Welcome welcome = ann.AwaitWelcome();
  for (size_t i = 0; i < deployment_.cluster->nodes().size(); ++i) {
    EXPECT_EQ(Do(&Connections::Get, GetOf("ann")).connection().node_id(), home.id());
    EXPECT_THAT(Listed(Any()), ElementsAre("ann"));
  }
  const v1::ApplyResponse set = Do(&Connections::Apply, ApplyOf("ann", "set", R"(["role", "editor"])"));
  EXPECT_EQ(set.connection().attributes().at("role").string_value(), "editor");
  Do(&Connections::Apply, ApplyOf("ann", "sendMessage", R"(["psst"])"));
  EXPECT_EQ(ann.directs().Next().value().string_value(), "psst");
  ann.Done("paramAdd", R"(["language", "en"])");
  EXPECT_EQ(Do(&Connections::Get, GetOf("ann")).connection().params().at("language").string_value(), "en");

  grpc::ClientContext context;
  v1::InvokeResponse answer;
  const v1::InvokeRequest question = InvokeOf("ann", "age");
  std::thread asker([&] { EXPECT_TRUE(Any().connections().Invoke(&context, question, &answer).ok()); });
  const RawClient::Frame::Invoke asked = ann.invokes().Next();
  EXPECT_EQ(asked.method(), "age");
  ann.Answer(asked.call_id(), "42");
  asker.join();
  EXPECT_EQ(answer.result().number_value(), 42);

  // Lost, it comes back wherever it shows its token, and nobody else does.
  ann.HangUp();
  ann.AwaitEnd();
  RawClient thief(Any(), HelloOf("ann"));
  EXPECT_FALSE(thief.AwaitWelcomeOrEnd().has_value());
  EXPECT_EQ(ReasonOf(thief.AwaitEnd()), "CONNECTION_EXISTS");
  RawClient back(Any(), Resuming(welcome));
  const RawClient::Frame::Welcome resumed = back.AwaitWelcome();
  EXPECT_TRUE(resumed.resumed());
  EXPECT_EQ(resumed.connection().attributes().at("role").string_value(), "editor");
  Do(&Connections::Apply, ApplyOf("ann", "destroy", R"(["enough"])"));
  const RawClient::Frame::Goodbye goodbye = back.goodbyes().Next();
  EXPECT_EQ(goodbye.reason(), "destroyed");
  EXPECT_EQ(goodbye.message(), "enough");
  EXPECT_EQ(Why(&Connections::Get, GetOf("ann")), "CONNECTION_NOT_FOUND");
}

TEST_P(BehaviourTest, WhatIsSaidInARoomReachesItsMembersAndWhoComesBackHearsTheRest) {
  EXPECT_EQ(Why(&Rooms::Broadcast, BroadcastOf("hall", "1")), "ROOM_NOT_FOUND");
  v1::RoomServiceCreateRequest create;
  create.mutable_history()->set_messages(10);
  CreateRoom(Any(), "hall", create);
  create.set_room("hall");
  EXPECT_EQ(Why(&Rooms::Create, create), "ROOM_EXISTS");
  const RoomWatch watch(Any(), "hall");
  EXPECT_THAT(watch.Next(Event::KIND_SNAPSHOT), IsEmpty());
  RawClient ann(Any(), HelloOf("ann"));
  const RawClient::Frame::Welcome welcome = ann.AwaitWelcome();
  const auto bob = OpenIn(Any(), "bob", "hall");
  EXPECT_THAT(watch.Next(Event::KIND_JOINED), ElementsAre("bob"));
  Do(&Rooms::AddMember, AddOf("ann", "hall"));
  EXPECT_EQ(Why(&Rooms::AddMember, AddOf("ann", "hall")), "ALREADY_MEMBER");
  EXPECT_THAT(watch.Next(Event::KIND_JOINED), ElementsAre("ann"));
  EXPECT_THAT(MembersOf(Any(), "hall"), ElementsAre("ann", "bob"));

  bob->Done("say", R"(["hall", "hello"])");
  Do(&Rooms::Broadcast, BroadcastOf("hall", "\"dinner\""));
  for (const RawClient* member : std::vector<const RawClient*>{&ann, bob.get()}) {
    const RawClient::Frame::Message hello = member->messages().Next();
    EXPECT_EQ(hello.from(), "bob");
    EXPECT_EQ(hello.value().string_value(), "hello");
  }
  const uint64_t heard = ann.messages().Next().offset();
  ann.HangUp();
  EXPECT_THAT(watch.Next(Event::KIND_LOST), ElementsAre("ann"));
  Do(&Rooms::Broadcast, BroadcastOf("hall", "\"is ready\"", "bob"));
  RawClient back(Any(), Resuming(welcome, {{"hall", heard}}));
  EXPECT_THAT(back.AwaitWelcome().rooms_with_gaps(), IsEmpty());
  EXPECT_EQ(back.NextText(), "\"is ready\"");
  EXPECT_THAT(watch.Next(Event::KIND_JOINED), ElementsAre("ann"));
  Do(&Rooms::RemoveMember, RemoveOf("bob", "hall"));
  EXPECT_EQ(bob->lefts().Next().reason(), "removed");

  v1::RoomServiceExistsRequest exists;
  exists.set_room("hall");
  EXPECT_TRUE(Do(&Rooms::Exists, exists).exists());
  v1::RoomServiceDestroyRequest destroy;
  destroy.set_room("hall");
  EXPECT_EQ(Do(&Rooms::Destroy, destroy).members_count(), 1U);
  EXPECT_EQ(back.lefts().Next().reason(), "destroyed");
  EXPECT_FALSE(Do(&Rooms::Exists, exists).exists());
}

}  // namespace
}  // namespace actioncluster::cluster

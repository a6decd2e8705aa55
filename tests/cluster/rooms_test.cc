// Rooms over several nodes: who is in them, and what is said in them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"

namespace actioncluster::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Frame = RawClient::Frame;
using Event = v1::WatchRoomResponse;

v1::RoomServiceCreateRequest WithHistory(uint32_t messages, absl::Duration keep_for = absl::ZeroDuration()) {
  v1::RoomServiceCreateRequest request;
  request.mutable_history()->set_messages(messages);
  if (keep_for > absl::ZeroDuration()) SetDuration(keep_for, request.mutable_history()->mutable_keep_for());
  return request;
}

class RoomsTest : public testing::Test {
 protected:
  // The reasons of what each node says of it.
  std::string ReasonOfAdd(const Node& node, const std::string& id) {
    return ReasonOf(Ask(node, &Rooms::AddMember, AddOf(id, "hall")).status);
  }
  std::string ReasonOfRemove(const Node& node, const std::string& id) {
    return ReasonOf(Ask(node, &Rooms::RemoveMember, RemoveOf(id, "hall")).status);
  }
  uint64_t Say(const std::string& room, const std::string& text) {
    return Good(Ask(cluster_.node(1), &Rooms::Broadcast, BroadcastOf(room, absl::StrCat("\"", text, "\"")))).offset();
  }
  Cluster cluster_{3};
};

TEST_F(RoomsTest, NodesSeeEachOthersMembersAndWhatOneSaysAllHear) {
  CreateRoom(cluster_.node(1), "hall");
  std::vector<std::unique_ptr<RawClient>> members;
  for (const Node& node : cluster_.nodes()) members.push_back(OpenIn(node, absl::StrCat("of-", node.id()), "hall"));
  const auto stranger = Open(cluster_.node(1), "stranger");
  for (const Node& node : cluster_.nodes()) {
    const v1::RoomServiceStatusResponse status = StatusOf(node, "hall");
    EXPECT_EQ(status.members_count(), 3U);
    ASSERT_EQ(status.members_size(), 3);
    for (const v1::RoomMember& member : status.members()) {
      EXPECT_EQ(member.connection_id(), "of-" + member.node_id());
      EXPECT_LT(absl::AbsDuration(ToTime(member.joined_at()) - absl::Now()), absl::Seconds(20));
    }
  }
  for (const auto& member : members) {
    EXPECT_EQ(member->Done("roomView", R"(["hall"])").struct_value().fields().at("members").list_value().values_size(),
              3);
    member->Done("say", R"(["hall", {"n": [1, null]}])");
    const std::string from = member->Done("detailsView").struct_value().fields().at("id").string_value();
    for (const auto& listener : members) {
      const Frame::Message heard = listener->messages().Next();
      EXPECT_EQ(heard.room(), "hall");
      EXPECT_EQ(heard.from(), from);
      EXPECT_EQ(heard.context(), "user");
      EXPECT_EQ(heard.offset(), 0U);
      EXPECT_EQ(ToJson(heard.value()), R"({"n":[1,null]})");
      EXPECT_LT(absl::AbsDuration(ToTime(heard.sent_at()) - absl::Now()), absl::Seconds(20));
    }
  }
  EXPECT_EQ(Good(Ask(cluster_.node(2), &Rooms::Broadcast, BroadcastOf("hall", "7"))).receivers(), 3);
  for (const auto& listener : members) {
    const Frame::Message heard = listener->messages().Next();
    EXPECT_EQ(heard.context(), "system");
    EXPECT_EQ(heard.from(), "");
  }
  // From any node in the name of a member, and of nobody else.
  Good(Ask(cluster_.node(1), &Rooms::Broadcast, BroadcastOf("hall", "8", "of-actioncluster-worker-3")));
  for (const auto& listener : members) EXPECT_EQ(listener->messages().Next().from(), "of-actioncluster-worker-3");
  EXPECT_EQ(ReasonOf(Ask(cluster_.node(2), &Rooms::Broadcast, BroadcastOf("hall", "9", "stranger")).status),
            "NOT_MEMBER");
  EXPECT_EQ(ErrorIn(stranger->Do("say", R"(["hall", 1])")), "NOT_MEMBER");
  EXPECT_EQ(ErrorIn(stranger->Do("roomView", R"(["hall"])")), "NOT_MEMBER");
  EXPECT_EQ(stranger->messages().size(), 0U);
}

TEST_F(RoomsTest, AnyNodePutsConnectionsOfAnyNodeIntoRoomsAndTakesThemOut) {
  for (const Node& asked : cluster_.nodes()) EXPECT_EQ(ReasonOfAdd(asked, "nobody"), "CONNECTION_NOT_FOUND");
  const auto one = Open(cluster_.node(1), "one");
  EXPECT_EQ(ReasonOfAdd(cluster_.node(2), "one"), "ROOM_NOT_FOUND");
  EXPECT_EQ(ReasonOfRemove(cluster_.node(2), "one"), "ROOM_NOT_FOUND");
  CreateRoom(cluster_.node(1), "hall");
  const auto three = Open(cluster_.node(3), "three");
  for (const Node& asked : cluster_.nodes()) {
    for (RawClient* client : {one.get(), three.get()}) {
      const std::string id = client == one.get() ? "one" : "three";
      EXPECT_EQ(ReasonOfRemove(asked, id), "NOT_MEMBER");
      Good(Ask(asked, &Rooms::AddMember, AddOf(id, "hall")));
      for (const Node& node : cluster_.nodes()) EXPECT_EQ(ReasonOfAdd(node, id), "ALREADY_MEMBER");
      EXPECT_EQ(ErrorIn(client->Do("roomAdd", R"(["hall"])")), "ALREADY_MEMBER");
      EXPECT_EQ(ReasonOf(Ask(asked, &Connections::Apply, ApplyOf(id, "roomAdd", R"(["hall"])")).status),
                "ALREADY_MEMBER");
      EXPECT_THAT(MembersOf(asked, "hall"), ElementsAre(id));
      EXPECT_THAT(Good(Ask(asked, &Connections::Get, GetOf(id))).connection().rooms(), ElementsAre("hall"));
      Good(Ask(asked, &Rooms::RemoveMember, RemoveOf(id, "hall")));
      const Frame::Left left = client->lefts().Next();
      EXPECT_EQ(left.room(), "hall");
      EXPECT_EQ(left.reason(), "removed");
      // Likewise by Apply, and by itself.
      EXPECT_THAT(Good(Ask(asked, &Connections::Apply, ApplyOf(id, "roomAdd", R"(["hall"])"))).connection().rooms(),
                  ElementsAre("hall"));
      EXPECT_THAT(Good(Ask(asked, &Connections::Apply, ApplyOf(id, "roomLeave", R"(["hall"])"))).connection().rooms(),
                  IsEmpty());
      EXPECT_EQ(client->lefts().Next().reason(), "removed");
      client->Done("roomAdd", R"(["hall"])");
      client->Done("roomLeave", R"(["hall"])");
      EXPECT_EQ(ErrorIn(client->Do("roomLeave", R"(["hall"])")), "NOT_MEMBER");
      EXPECT_THAT(MembersOf(asked, "hall"), IsEmpty());
    }
  }
  Say("hall", "unheard");
  one->Done("detailsView");
  three->Done("detailsView");
  EXPECT_EQ(one->messages().size() + three->messages().size(), 0U);
}

TEST_F(RoomsTest, ARoomThatIsDestroyedIsEmptyEverywhere) {
  CreateRoom(cluster_.node(1), "hall", WithHistory(10));
  v1::RoomServiceCreateRequest again;
  again.set_room("hall");
  EXPECT_EQ(ReasonOf(Ask(cluster_.node(2), &Rooms::Create, again).status), "ROOM_EXISTS");
  std::vector<std::unique_ptr<RawClient>> members;
  for (int i = 0; i < 6; ++i) members.push_back(OpenIn(cluster_.node(1 + i % 3), absl::StrCat("c", i), "hall"));
  Say("hall", "before");
  v1::RoomServiceDestroyRequest request;
  request.set_room("hall");
  EXPECT_EQ(Good(Ask(cluster_.node(2), &Rooms::Destroy, request)).members_count(), 6U);
  for (const auto& member : members) {
    EXPECT_EQ(member->NextText(), "\"before\"");
    EXPECT_EQ(member->lefts().Next().reason(), "destroyed");
    EXPECT_THAT(ErrorIn(member->Do("say", R"(["hall", 1])")), "ROOM_NOT_FOUND");
    EXPECT_EQ(member->Done("detailsView").struct_value().fields().at("rooms").list_value().values_size(), 0);
  }
  for (const Node& node : cluster_.nodes()) {
    v1::RoomServiceExistsRequest exists;
    exists.set_room("hall");
    EXPECT_FALSE(Good(Ask(node, &Rooms::Exists, exists)).exists());
    EXPECT_EQ(ReasonOf(Ask(node, &Rooms::Destroy, request).status), "ROOM_NOT_FOUND");
    EXPECT_EQ(ReasonOf(Ask(node, &Rooms::Broadcast, BroadcastOf("hall", "1")).status), "ROOM_NOT_FOUND");
  }
  // The next of that name has nothing of it.
  CreateRoom(cluster_.node(3), "hall");
  EXPECT_THAT(MembersOf(cluster_.node(1), "hall"), IsEmpty());
  members[0]->Done("roomAdd", R"(["hall"])");
  Say("hall", "after");
  EXPECT_EQ(members[0]->NextText(), "\"after\"");
}

TEST_F(RoomsTest, ListsAndStatusesAreCountedAndPaged) {
  for (int i = 0; i < 25; ++i) CreateRoom(cluster_.node(1 + i % 3), absl::StrCat("r", 10 + i), WithHistory(3));
  std::vector<std::unique_ptr<RawClient>> members;
  for (int i = 0; i < 7; ++i) members.push_back(OpenIn(cluster_.node(1 + i % 3), absl::StrCat("c", i), "r12"));
  for (const Node& node : cluster_.nodes()) {
    v1::RoomServiceListRequest request;
    request.set_prefix("r1");
    request.set_page_size(4);
    std::map<std::string, uint64_t> counts;
    do {
      const auto page = Good(Ask(node, &Rooms::List, request));
      EXPECT_LE(page.rooms_size(), 4);
      for (const auto& room : page.rooms()) {
        EXPECT_TRUE(counts.emplace(room.room(), room.members_count()).second) << room.room();
        EXPECT_EQ(room.history().messages(), 3U);
      }
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    EXPECT_THAT(counts, SizeIs(10));
    EXPECT_EQ(counts["r12"], 7U);
    EXPECT_EQ(counts["r13"], 0U);

    v1::RoomServiceStatusRequest status;
    status.set_room("r12");
    status.set_page_size(3);
    std::vector<std::string> places;
    do {
      const auto page = Good(Ask(node, &Rooms::Status, status));
      EXPECT_EQ(page.members_count(), 7U);
      for (const auto& member : page.members()) places.push_back(member.node_id() + " " + member.connection_id());
      status.set_page_token(page.next_page_token());
    } while (!status.page_token().empty());
    EXPECT_THAT(places, SizeIs(7));
    EXPECT_TRUE(std::ranges::is_sorted(places));
  }
}

TEST_F(RoomsTest, EachMemberGetsEachMessageOnceAndAllOfOneSenderInTheirOrder) {
  constexpr int kEach = 1000;
  constexpr int kAtOnce = 100;
  CreateRoom(cluster_.node(1), "plain");
  CreateRoom(cluster_.node(1), "kept", WithHistory(10'000));
  for (const std::string room : {"plain", "kept"}) {
    std::vector<std::unique_ptr<RawClient>> members;
    for (int i = 0; i < 6; ++i) {
      members.push_back(OpenIn(cluster_.node(1 + i % 3), absl::StrCat(room, "-", i), room));
    }
    const absl::Time begun = absl::Now();
    std::vector<std::thread> senders;
    for (int sender = 0; sender < 4; ++sender) {
      senders.emplace_back([&member = *members[static_cast<size_t>(sender)], &room] {
        for (int said = 0; said < kEach; said += kAtOnce) {
          for (int i = said; i < said + kAtOnce; ++i) {
            member.Send(VerbOf("say", absl::StrCat("[\"", room, "\", ", i, "]")));
          }
          for (int i = 0; i < kAtOnce; ++i) EXPECT_EQ(ErrorIn(member.replies().Next()), "");
        }
      });
    }
    for (std::thread& sender : senders) sender.join();
    std::vector<uint64_t> order;  // Of the first member.
    for (const auto& member : members) {
      std::map<std::string, int> next;
      std::vector<uint64_t> offsets;
      for (int i = 0; i < 4 * kEach; ++i) {
        const Frame::Message heard = member->messages().Next();
        ASSERT_EQ(heard.value().number_value(), next[heard.from()]++) << heard.from();
        offsets.push_back(heard.offset());
      }
      EXPECT_THAT(next, SizeIs(4));
      EXPECT_EQ(member->messages().size(), 0U);
      EXPECT_EQ(member->missed().size(), 0U);
      EXPECT_TRUE(std::ranges::is_sorted(offsets));
      if (order.empty()) order = offsets;
      EXPECT_EQ(offsets, order);
    }
    std::cout << "24000 deliveries in the room " << room << " took " << absl::Now() - begun << "\n";
  }
}

TEST_F(RoomsTest, WhoeverWatchesARoomIsToldWhoComesGoesAndIsLost) {
  CreateRoom(cluster_.node(1), "hall");
  const auto one = OpenIn(cluster_.node(1), "one", "hall");
  const RoomWatch watch(cluster_.node(2), "hall");
  EXPECT_THAT(watch.Next(Event::KIND_SNAPSHOT), ElementsAre("one"));
  const auto two = Open(cluster_.node(3), "two");
  Good(Ask(cluster_.node(1), &Connections::Apply, ApplyOf("two", "set", R"(["role", "guest"])")));
  two->Done("roomAdd", R"(["hall"])");
  const Event joined = watch.Next();
  ASSERT_EQ(joined.kind(), Event::KIND_JOINED) << joined.ShortDebugString();
  EXPECT_EQ(joined.members(0).connection_id(), "two");
  EXPECT_EQ(joined.members(0).node_id(), cluster_.node(3).id());
  EXPECT_EQ(ToJson(joined.members(0).attributes().at("role")), "\"guest\"");
  EXPECT_TRUE(joined.members(0).has_joined_at());
  two->Done("roomLeave", R"(["hall"])");
  EXPECT_THAT(watch.Next(Event::KIND_LEFT), ElementsAre("two"));
  two->Done("roomAdd", R"(["hall"])");
  EXPECT_THAT(watch.Next(Event::KIND_JOINED), ElementsAre("two"));
  two->HangUp();
  EXPECT_THAT(watch.Next(Event::KIND_LOST), ElementsAre("two"));
  one->Done("quit");
  EXPECT_THAT(watch.Next(Event::KIND_LEFT), ElementsAre("one"));
  v1::RoomServiceDestroyRequest request;
  request.set_room("hall");
  Good(Ask(cluster_.node(3), &Rooms::Destroy, request));
  EXPECT_EQ(ReasonOf(watch.AwaitEnd()), "ROOM_NOT_FOUND");
  EXPECT_EQ(ReasonOf(RoomWatch(cluster_.node(1), "hall").AwaitEnd()), "ROOM_NOT_FOUND");
}

TEST_F(RoomsTest, WhoComesBackGetsExactlyWhatItMissed) {
  CreateRoom(cluster_.node(1), "hall", WithHistory(100));
  auto amy = std::make_unique<RawClient>(cluster_.node(1), HelloOf("amy"));
  const Frame::Welcome welcome = amy->AwaitWelcome();
  amy->Done("roomAdd", R"(["hall"])");
  Say("hall", "m0");
  Say("hall", "m1");
  amy->messages().Next();
  uint64_t seen = amy->messages().Next().offset();
  EXPECT_GT(seen, 0U);
  const Node* const nodes[] = {&cluster_.node(1), &cluster_.node(2), &cluster_.node(3)};
  int said = 2;
  for (int round = 0; round < 6; ++round) {
    amy->HangUp();
    if (round % 2 == 0) amy->AwaitEnd();  // Otherwise it is away and back at once.
    const int missed = 5 * round;
    for (int i = 0; i < missed; ++i) Say("hall", absl::StrCat("m", said + i));
    amy = std::make_unique<RawClient>(*nodes[round % 3], Resuming(welcome, {{"hall", seen}}));
    const Frame::Welcome back = amy->AwaitWelcome();
    EXPECT_TRUE(back.resumed());
    EXPECT_THAT(back.rooms_with_gaps(), IsEmpty());
    Say("hall", absl::StrCat("m", said + missed));
    for (int i = 0; i <= missed; ++i) {
      const Frame::Message heard = amy->messages().Next();
      EXPECT_EQ(heard.value().string_value(), absl::StrCat("m", said + i));
      EXPECT_GT(heard.offset(), seen);
      seen = heard.offset();
    }
    said += missed + 1;
  }
  amy->Done("detailsView");
  EXPECT_EQ(amy->messages().size(), 0U);
}

TEST_F(RoomsTest, RoomsWithGapsAreNamedAndWhatIsLeftComes) {
  CreateRoom(cluster_.node(1), "short", WithHistory(3));
  CreateRoom(cluster_.node(1), "brief", WithHistory(0, absl::Seconds(3)));
  CreateRoom(cluster_.node(1), "kept", WithHistory(100));
  CreateRoom(cluster_.node(1), "plain");
  const std::vector<std::string> rooms = {"short", "brief", "kept", "plain"};
  RawClient amy(cluster_.node(1), HelloOf("amy"));
  const Frame::Welcome welcome = amy.AwaitWelcome();
  std::map<std::string, uint64_t> offsets;
  for (const std::string& room : rooms) {
    amy.Done("roomAdd", absl::StrCat("[\"", room, "\"]"));
    Say(room, "seen");
    offsets[room] = amy.messages().Next().offset();
  }
  EXPECT_EQ(offsets["plain"], 0U);
  amy.HangUp();
  for (const std::string& room : rooms) {
    for (int i = 0; i < 5; ++i) Say(room, absl::StrCat(room, i));
  }
  const absl::Time said = absl::Now();
  EXPECT_TRUE(Await([&] { return absl::Now() > said + absl::Milliseconds(3100); }));
  Say("brief", "brief5");
  offsets.erase("plain");
  RawClient back(cluster_.node(2), Resuming(welcome, offsets));
  EXPECT_THAT(back.AwaitWelcome().rooms_with_gaps(), testing::UnorderedElementsAre("short", "brief", "plain"));
  std::map<std::string, std::vector<std::string>> heard;
  for (int i = 0; i < 3 + 1 + 5; ++i) {
    const Frame::Message message = back.messages().Next();
    heard[message.room()].push_back(message.value().string_value());
  }
  EXPECT_THAT(heard["short"], ElementsAre("short2", "short3", "short4"));
  EXPECT_THAT(heard["brief"], ElementsAre("brief5"));
  EXPECT_THAT(heard["kept"], ElementsAre("kept0", "kept1", "kept2", "kept3", "kept4"));
  back.Done("detailsView");
  EXPECT_EQ(back.messages().size(), 0U);
}

}  // namespace
}  // namespace actioncluster::cluster

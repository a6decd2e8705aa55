// Nodes with connections die, drain, or lose Redis: who is gone is gone everywhere, who is there stays, and all works
// again.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/connection_calls.h"

namespace actioncluster::cluster {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using Frame = RawClient::Frame;

constexpr absl::Duration kLease = absl::Seconds(2);
constexpr absl::Duration kWindow = absl::Seconds(3);

v1::ConnectionServiceListRequest PagesOf1000(const std::string& room = "") {
  v1::ConnectionServiceListRequest request;
  request.set_page_size(1000);
  request.set_room(room);
  return request;
}

class ConnectionLossTest : public testing::Test {
 protected:
  // Many clients, over several channels: one does not carry so many streams well.
  void OpenMany(const Node& node, int count, const std::string& room) {
    for (int i = 0; i < count; ++i) {
      if (i % 500 == 0) stubs_.push_back(v1::ConnectionService::NewStub(node.NewChannel()));
      many_.push_back(
          std::make_unique<RawClient>(*stubs_.back(), HelloOf(absl::StrCat("many-", i)), RawClient::Options{}));
    }
    for (const auto& client : many_) welcomes_.push_back(client->AwaitWelcome());
    for (const auto& client : many_) client->Send(VerbOf("roomAdd", absl::StrCat("[\"", room, "\"]")));
    for (const auto& client : many_) ASSERT_EQ(ErrorIn(client->replies().Next()), "");
  }
  // Whether this node knows of none of them; never of one that is not there.
  bool AllGone(const Node& by, const std::string& room) {
    v1::RoomServiceStatusRequest request;
    request.set_room(room);
    const auto status = Ask(by, &Rooms::Status, request);
    const auto page = Ask(by, &Connections::List, PagesOf1000());
    return status.ok() && status.response.members_count() == 1 && status.response.members_size() == 1 && page.ok() &&
           page.response.connections_size() == 1 && page.response.missing_nodes_size() == 0;
  }

  Cluster cluster_{3, {.lease = kLease, .flags = {"--resume-window", absl::FormatDuration(kWindow)}, .redis = {}}};
  std::vector<std::unique_ptr<v1::ConnectionService::Stub>> stubs_;
  std::vector<std::unique_ptr<RawClient>> many_;
  std::vector<Frame::Welcome> welcomes_;
};

TEST_F(ConnectionLossTest, AKilledNodesConnectionsAreGoneWithinItsLeaseAndTheirIdsComeFree) {
  constexpr int kMany = 3000;
  CreateRoom(cluster_.node(1), "hall");
  const absl::Time begun = absl::Now();
  ASSERT_NO_FATAL_FAILURE(OpenMany(cluster_.node(2), kMany, "hall"));
  const absl::Duration opened = absl::Now() - begun;
  const auto amy = OpenIn(cluster_.node(1), "amy", "hall");
  for (const Node& node : cluster_.nodes()) {
    EXPECT_EQ(Listed(node, PagesOf1000()).size(), size_t{kMany} + 1);
    EXPECT_EQ(Listed(node, PagesOf1000("hall")).size(), size_t{kMany} + 1);
    EXPECT_EQ(StatusOf(node, "hall").members_count(), uint64_t{kMany} + 1);
  }
  const RoomWatch watch(cluster_.node(3), "hall");
  size_t snapshot = 0;
  for (bool more = true; more;) {
    const v1::WatchRoomResponse event = watch.Next();
    snapshot += static_cast<size_t>(event.members_size());
    more = event.more();
  }
  EXPECT_EQ(snapshot, size_t{kMany} + 1);

  cluster_.node(2).Kill();
  const absl::Time killed = absl::Now();
  for (const int number : {1, 3}) EXPECT_TRUE(Await([&] { return AllGone(cluster_.node(number), "hall"); }));
  const absl::Duration gone = absl::Now() - killed;
  EXPECT_LT(gone, kLease + absl::Seconds(2));
  // From now on they never show.
  const absl::Time asked = absl::Now();
  EXPECT_EQ(ReasonOf(Ask(cluster_.node(1), &Connections::Apply, ApplyOf("many-7")).status), "CONNECTION_NOT_FOUND");
  EXPECT_LT(absl::Now() - asked, absl::Milliseconds(500));
  std::set<std::string> lost;
  while (lost.size() < kMany) {
    const std::vector<std::string> ids = watch.Next(v1::WatchRoomResponse::KIND_LOST);
    for (const std::string& id : ids) EXPECT_TRUE(lost.insert(id).second) << id << " is lost twice";
  }
  const absl::Duration told = absl::Now() - killed;

  // Some come back, elsewhere.
  for (size_t i = 0; i < 5; ++i) {
    RawClient back(cluster_.node(1), Resuming(welcomes_[i]));
    const Frame::Welcome welcome = back.AwaitWelcome();
    EXPECT_TRUE(welcome.resumed());
    EXPECT_THAT(welcome.connection().rooms(), ElementsAre("hall"));
    EXPECT_EQ(watch.Next(v1::WatchRoomResponse::KIND_JOINED).size(), 1U);
    back.Done("quit");
    EXPECT_EQ(watch.Next(v1::WatchRoomResponse::KIND_LEFT).size(), 1U);
  }
  // Of the others the ids are anyone's after a while.
  std::unique_ptr<RawClient> other;
  EXPECT_TRUE(Await([&] {
    other = std::make_unique<RawClient>(cluster_.node(3), HelloOf("many-2999"));
    return other->AwaitWelcomeOrEnd().has_value();
  }));
  const absl::Duration free = absl::Now() - killed;
  EXPECT_GE(free, kWindow);
  EXPECT_LT(free, kLease + kWindow + absl::Seconds(15));
  amy->Done("say", R"(["hall", 1])");
  EXPECT_EQ(amy->NextText(), "1");
  std::cout << kMany << " connections opened and joined in " << opened << "; after the kill gone everywhere in " << gone
            << ", all told as lost in " << told << ", an id free in " << free << "\n";
}

TEST_F(ConnectionLossTest, WhenRedisComesBackEmptyConnectionsStayOrHearThatTheyAreLostAndAllWorksAgain) {
  CreateRoom(cluster_.node(1), "hall");
  std::vector<std::unique_ptr<RawClient>> clients;
  std::vector<Frame::Welcome> welcomes;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(std::make_unique<RawClient>(cluster_.node(1 + i % 3), HelloOf(absl::StrCat("c", i))));
    welcomes.push_back(clients.back()->AwaitWelcome());
    clients.back()->Done("roomAdd", R"(["hall"])");
  }
  cluster_.redis().Kill();
  EXPECT_TRUE(Await([&] { return !cluster_.node(1).IsServing(); }));
  const auto cut = Ask(cluster_.node(1), &Connections::Apply, ApplyOf("c1"), absl::Seconds(10));
  EXPECT_EQ(cut.status.error_code(), grpc::UNAVAILABLE) << Describe(cut.status);
  clients[0]->HangUp();  // Of which Redis can only be told later.
  cluster_.redis().Start();
  for (const Node& node : cluster_.nodes()) EXPECT_TRUE(Await([&] { return node.IsServing(); })) << node.id();

  // Each is there for all, or has heard that it is not.
  const auto seen = [this](size_t i) {
    return Ask(cluster_.node(1), &Connections::Get, GetOf(absl::StrCat("c", i))).ok();
  };
  for (size_t i = 1; i < clients.size(); ++i) {
    EXPECT_TRUE(Await([&] { return clients[i]->has_ended() || seen(i); })) << i;
  }
  int lost = 0;
  for (size_t i = 1; i < clients.size(); ++i) {
    if (!clients[i]->has_ended()) continue;
    ++lost;
    EXPECT_EQ(clients[i]->goodbyes().Next().reason(), "lost");
    EXPECT_EQ(clients[i]->AwaitEnd().error_code(), grpc::UNAVAILABLE);
    clients[i] = std::make_unique<RawClient>(cluster_.node(1 + static_cast<int>(i) % 3), Resuming(welcomes[i]));
    clients[i]->AwaitWelcome();
  }
  clients[0] = std::make_unique<RawClient>(cluster_.node(2), HelloOf("c0"));
  clients[0]->AwaitWelcome();
  std::set<std::string> ids;
  for (size_t i = 0; i < clients.size(); ++i) ids.insert(absl::StrCat("c", i));
  // Redis has nothing of the room, and nobody is in it.
  CreateRoom(cluster_.node(3), "hall");
  for (const Node& node : cluster_.nodes()) {
    const std::vector<std::string> listed = Listed(node);
    EXPECT_EQ(std::set<std::string>(listed.begin(), listed.end()), ids);
    EXPECT_EQ(listed.size(), ids.size());
    EXPECT_THAT(MembersOf(node, "hall"), IsEmpty());
  }
  for (const std::string& id : ids) {
    Good(Ask(cluster_.node(3), &Connections::Apply, ApplyOf(id, "set", R"(["k", 1])")));
    Good(Ask(cluster_.node(2), &Rooms::AddMember, AddOf(id, "hall")));
  }
  clients[4]->Done("say", R"(["hall", "all"])");
  for (const auto& client : clients) EXPECT_EQ(client->NextText(), "\"all\"");
  std::cout << lost << " of 11 connections heard that they were lost\n";
}

TEST_F(ConnectionLossTest, ACutFromRedisLosesNothingOfRoomsWithAHistoryAndIsToldInOthers) {
  constexpr int kSaid = 300;
  v1::RoomServiceCreateRequest history;
  history.mutable_history()->set_messages(10'000);
  CreateRoom(cluster_.node(1), "kept", history);
  CreateRoom(cluster_.node(1), "plain");
  std::vector<std::unique_ptr<RawClient>> kept;
  std::vector<std::unique_ptr<RawClient>> plain;
  for (int number = 1; number <= 3; ++number) {
    kept.push_back(OpenIn(cluster_.node(number), absl::StrCat("kept-", number), "kept"));
    plain.push_back(OpenIn(cluster_.node(number), absl::StrCat("plain-", number), "plain"));
  }
  // What is said again was not acknowledged, and may be heard twice.
  int said_again = 0;
  for (int i = 0; i < kSaid; ++i) {
    if (i % 100 == 50) cluster_.redis().Command({"CLIENT", "KILL", "TYPE", "pubsub"});
    if (i % 100 == 80) cluster_.redis().Command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
    for (const char* room : {"kept", "plain"}) {
      EXPECT_TRUE(Await([&] {
        const bool ok = Ask(cluster_.node(1), &Rooms::Broadcast, BroadcastOf(room, absl::StrCat(i))).ok();
        said_again += ok ? 0 : 1;
        return ok;
      }));
    }
  }
  for (const auto& client : kept) {
    int next = 0;
    uint64_t last = 0;
    while (next < kSaid) {
      const Frame::Message heard = client->messages().Next();
      EXPECT_GT(heard.offset(), last);
      last = heard.offset();
      if (heard.value().number_value() < next) {
        EXPECT_GT(said_again, 0);
        continue;
      }
      ASSERT_EQ(heard.value().number_value(), next);
      ++next;
    }
    EXPECT_EQ(client->missed().size(), 0U);
  }
  for (const auto& client : plain) EXPECT_TRUE(client->missed().Next().gap());
  // Nobody has gone, and each is where it was.
  EXPECT_EQ(Listed(cluster_.node(2)).size(), 6U);
  EXPECT_EQ(MembersOf(cluster_.node(3), "kept").size(), 3U);
  std::cout << said_again << " of " << 2 * kSaid << " were said again\n";
}

TEST_F(ConnectionLossTest, ANodeThatDrainsSendsItsClientsElsewhereWithAllTheyHave) {
  CreateRoom(cluster_.node(1), "hall");
  auto amy = std::make_unique<RawClient>(cluster_.node(2), HelloOf("amy"));
  const Frame::Welcome welcome = amy->AwaitWelcome();
  amy->Done("roomAdd", R"(["hall"])");
  amy->Done("paramAdd", R"(["k", 1])");
  const auto bob = OpenIn(cluster_.node(1), "bob", "hall");
  cluster_.node(2).program().Signal(SIGTERM);
  const Frame::Goodbye goodbye = amy->goodbyes().Next();
  EXPECT_EQ(goodbye.reason(), "draining");
  EXPECT_THAT(goodbye.alternatives(), Contains(cluster_.node(1).address()));
  EXPECT_THAT(goodbye.alternatives(), Contains(cluster_.node(3).address()));
  EXPECT_EQ(amy->AwaitEnd().error_code(), grpc::UNAVAILABLE);
  RawClient back(cluster_.node(3), Resuming(welcome));
  const Frame::Welcome resumed = back.AwaitWelcome();
  EXPECT_TRUE(resumed.resumed());
  EXPECT_EQ(ToJson(resumed.connection().params().at("k")), "1");
  bob->Done("say", R"(["hall", "hello"])");
  EXPECT_EQ(back.NextText(), "\"hello\"");
  EXPECT_EQ(cluster_.node(2).program().Wait(), std::make_optional(0));
  EXPECT_THAT(MembersOf(cluster_.node(1), "hall"), ElementsAre("amy", "bob"));
}

}  // namespace
}  // namespace actioncluster::cluster

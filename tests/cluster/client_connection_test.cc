// C++ connections on real nodes: they talk, are asked, and hear all that rooms keep though their node drains or is killed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "actioncluster/connection.h"
#include "actioncluster/json.h"
#include "actioncluster/rooms.h"
#include "actioncluster/status.h"
#include "tests/cluster/client_support.h"
#include "tests/cluster/cluster.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::cluster {
namespace {

using client::Connection;
using client::ConnectionOptions;
using client::Connections;
using client::Rooms;
using fakes::kPatience;
using testing::ElementsAre;
using testing::Pair;

constexpr char kOne[] = "actioncluster-worker-1";
constexpr char kTwo[] = "actioncluster-worker-2";

void CreateRoom(Client& client, const std::string& name, uint32_t keep) {
  v1::RoomServiceCreateRequest request;
  request.set_room(name);
  if (keep > 0) request.mutable_history()->set_messages(keep);
  const auto created = Rooms(client).Create(request);
  ASSERT_TRUE(created.ok()) << created.status();
}

absl::StatusOr<v1::ApplyResponse> Apply(Client& client, const std::string& id, const std::string& method,
                                        google::protobuf::ListValue args) {
  v1::ApplyRequest request;
  request.set_connection_id(id);
  request.set_method(method);
  *request.mutable_args() = std::move(args);
  return Connections(client).Apply(request);
}

class ClientConnectionTest : public testing::Test {
 protected:
  ConnectionOptions Telling(const std::string& id) const {
    ConnectionOptions options;
    options.id = id;
    options.on_message = messages_.Callback();
    options.on_direct = directs_.Callback();
    options.on_missed = missed_.Callback();
    options.on_left = left_.Callback();
    options.on_event = events_.Listener();
    return options;
  }
  static std::unique_ptr<Connection> Connect(Client& client, ConnectionOptions options) {
    auto connection = Connection::Connect(client, std::move(options), kPatience);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return connection.ok() ? *std::move(connection) : nullptr;
  }
  static std::unique_ptr<Connection> Connect(Client& client, const std::string& id) {
    ConnectionOptions options;
    options.id = id;
    return Connect(client, std::move(options));
  }

  fakes::Waiter<v1::OpenResponse::Message> messages_;
  fakes::Waiter<v1::OpenResponse::Direct> directs_;
  fakes::Waiter<client::MissedMessages> missed_;
  fakes::Waiter<v1::OpenResponse::Left> left_;
  const Events events_;
};

TEST_F(ClientConnectionTest, ConnectionsOfTwoNodesTalkInARoom) {
  Cluster cluster(2);
  const auto one = NewClient(cluster.node(1));
  const auto two = NewClient(cluster.node(2));
  CreateRoom(*one, "hall", 0);
  const auto ann = Connect(*one, Telling("ann"));
  const auto bob = Connect(*two, "bob");
  ASSERT_TRUE(ann->Join("hall").ok());
  EXPECT_EQ(client::ReasonOf(ann->Join("hall")), v1::ERROR_REASON_ALREADY_MEMBER);
  EXPECT_EQ(client::ReasonOf(bob->Say("hall", client::ToValue(1))), v1::ERROR_REASON_NOT_MEMBER);
  ASSERT_TRUE(bob->Join("hall").ok());
  ASSERT_TRUE(bob->Say("hall", client::ToValue("hi")).ok());
  ASSERT_TRUE(bob->SayBytes("hall", "bytes").ok());
  v1::OpenResponse::Message message = messages_.Next();
  EXPECT_EQ(message.from(), "bob");
  EXPECT_EQ(message.value().string_value(), "hi");
  EXPECT_EQ(messages_.Next().data(), "bytes");
  const auto details = ann->Details();
  ASSERT_TRUE(details.ok()) << details.status();
  EXPECT_EQ(details->id(), "ann");
  EXPECT_EQ(details->node_id(), kOne);
  EXPECT_THAT(details->rooms(), ElementsAre("hall"));
  ASSERT_TRUE(ann->Leave("hall").ok());
  ASSERT_TRUE(bob->Say("hall", client::ToValue("gone?")).ok());
  EXPECT_EQ(client::ReasonOf(ann->Leave("hall")), v1::ERROR_REASON_NOT_MEMBER);
  EXPECT_EQ(messages_.size(), 0U);
}

TEST_F(ClientConnectionTest, AnyNodeReachesAConnectionAndItsMethods) {
  Cluster cluster(2);
  const auto one = NewClient(cluster.node(1));
  const auto two = NewClient(cluster.node(2));
  ConnectionOptions options = Telling("ann");
  options.methods = {{"double", client::Returning([](const v1::ServeResponse::Call& call) {
                        return client::ToValue(2 * call.args().values(0).number_value());
                      })}};
  const auto ann = Connect(*one, std::move(options));
  v1::InvokeRequest invoke;
  invoke.set_connection_id("ann");
  invoke.set_method("double");
  *invoke.mutable_args() = client::Args(21);
  const auto answer = Connections(*two).Invoke(invoke);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->result().number_value(), 42);
  EXPECT_EQ(answer->node_id(), kOne);
  invoke.set_method("other");
  EXPECT_EQ(client::ReasonOf(Connections(*two).Invoke(invoke).status()), v1::ERROR_REASON_HANDLER_FAILED);

  ASSERT_TRUE(Apply(*two, "ann", "sendMessage", client::Args("psst")).ok());
  const v1::OpenResponse::Direct direct = directs_.Next();
  EXPECT_EQ(direct.value().string_value(), "psst");
  EXPECT_EQ(direct.from_node_id(), kTwo);
  CreateRoom(*two, "hall", 0);
  ASSERT_TRUE(Apply(*two, "ann", "roomAdd", client::Args("hall")).ok());
  ASSERT_TRUE(Apply(*two, "ann", "roomLeave", client::Args("hall")).ok());
  EXPECT_EQ(left_.Next().reason(), "removed");
  ASSERT_TRUE(Apply(*two, "ann", "destroy", client::Args("enough")).ok());
  const absl::Status end = events_.Await(AttachmentEvent::Kind::kEnded).status;
  EXPECT_THAT(client::MetadataOf(end), ElementsAre(Pair("goodbye", "destroyed")));
  EXPECT_THAT(std::string(end.message()), testing::HasSubstr("enough"));
  EXPECT_EQ(ann->Join("hall"), end);
}

TEST_F(ClientConnectionTest, AClosedConnectionLeavesItsIdToOthers) {
  Cluster cluster(2);
  const auto one = NewClient(cluster.node(1));
  const auto two = NewClient(cluster.node(2));
  const auto ann = Connect(*one, "ann");
  const auto taken = Connection::Connect(*two, Telling("ann"), kPatience);
  EXPECT_EQ(client::ReasonOf(taken.status()), v1::ERROR_REASON_CONNECTION_EXISTS);
  ann->Close();
  v1::ConnectionServiceGetRequest get;
  get.set_connection_id("ann");
  EXPECT_TRUE(Await(
      [&] { return client::ReasonOf(Connections(*two).Get(get).status()) == v1::ERROR_REASON_CONNECTION_NOT_FOUND; }));
  EXPECT_EQ(Connect(*two, "ann")->id(), "ann");
}

// Two talk at nodes 1 and 3 while what is to happen happens to the listener at node 2: it hears each of their messages once, and each one's in their order.
class ClientConnectionLossTest : public ClientConnectionTest {
 protected:
  static constexpr int kSayings = 400;

  ClientConnectionLossTest() : cluster_(3), first_(NewClient(cluster_.node(1))), third_(NewClient(cluster_.node(3))) {
    listening_ =
        NewClient({.addresses = {cluster_.node(2).address(), cluster_.node(3).address(), cluster_.node(1).address()}});
    CreateRoom(*first_, "hall", 10'000);
  }

  void TalkWhile(const std::function<void()>& happens) {
    const auto listener = Connect(*listening_, Telling("listener"));
    ASSERT_TRUE(listener->Join("hall").ok());
    EXPECT_EQ(events_.AwaitAttached(), kTwo);
    const auto talk = [](Connection& speaker) {
      for (int i = 0; i < kSayings; ++i) ASSERT_TRUE(speaker.Say("hall", client::ToValue(i)).ok());
    };
    const auto ann = Connect(*first_, "ann");
    const auto bob = Connect(*third_, "bob");
    ASSERT_TRUE(ann->Join("hall").ok());
    ASSERT_TRUE(bob->Join("hall").ok());
    std::thread ann_talks([&] { talk(*ann); });
    std::thread bob_talks([&] { talk(*bob); });
    std::map<std::string, int> heard;
    for (int i = 0; i < 2 * kSayings; ++i) {
      if (i == kSayings / 4) happens();
      const v1::OpenResponse::Message message = messages_.Next();
      EXPECT_EQ(message.value().number_value(), heard[message.from()]++) << message.from();
    }
    ann_talks.join();
    bob_talks.join();
    EXPECT_THAT(heard, ElementsAre(Pair("ann", kSayings), Pair("bob", kSayings)));
    EXPECT_NE(events_.AwaitAttached(), kTwo);
    EXPECT_THAT(listener->Details().value().rooms(), ElementsAre("hall"));
    ASSERT_TRUE(listener->Say("hall", client::ToValue("end")).ok());
    EXPECT_EQ(messages_.Next().from(), "listener") << "nothing came twice";
    EXPECT_EQ(missed_.size(), 0U);
    EXPECT_EQ(left_.size(), 0U);
  }

  Cluster cluster_;
  std::unique_ptr<Client> first_;
  std::unique_ptr<Client> third_;
  std::unique_ptr<Client> listening_;
};

TEST_F(ClientConnectionLossTest, WhenItsNodeIsKilledNothingIsMissedAndNothingComesTwice) {
  TalkWhile([this] { cluster_.node(2).Kill(); });
}

TEST_F(ClientConnectionLossTest, WhenItsNodeDrainsNothingIsMissedAndNothingComesTwice) {
  TalkWhile([this] {
    v1::DrainRequest drain;
    drain.set_node_id(kTwo);
    ASSERT_TRUE(first_->Drain(drain).ok());
  });
}

}  // namespace
}  // namespace actioncluster::cluster

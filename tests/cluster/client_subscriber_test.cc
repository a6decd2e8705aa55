// What a C++ Subscriber hears, also when its node drains or is killed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/time/clock.h"
#include "actioncluster/json.h"
#include "actioncluster/subscriber.h"
#include "tests/cluster/client_support.h"
#include "tests/cluster/cluster.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::cluster {
namespace {

using client::Subscriber;

constexpr char kOne[] = "actioncluster-worker-1";
constexpr char kTwo[] = "actioncluster-worker-2";

v1::SubscribeRequest To(const std::string& message_type) {
  v1::SubscribeRequest request;
  request.add_message_types(message_type);
  return request;
}

v1::PublishRequest Message(const std::string& type, int number) {
  v1::PublishRequest request;
  request.set_message_type(type);
  *request.mutable_value() = client::ToValue(number);
  return request;
}

class ClientSubscriberTest : public testing::Test {
 protected:
  // Publishes numbers until one is heard; gives what was heard first: that, or what came before it.
  v1::SubscribeResponse PublishUntilHeard(Client& by) {
    EXPECT_TRUE(Await([&] {
      EXPECT_TRUE(by.Publish(Message("news", ++published_)).ok());
      return messages_.size() > 0;
    }));
    return messages_.Next();
  }

  int published_ = 0;
  fakes::Waiter<v1::SubscribeResponse> messages_;
  const Events events_;
};

TEST_F(ClientSubscriberTest, MessagesOfItsTypesAreHeardInTheirOrderFromTheMomentItIsAttached) {
  Cluster cluster(2);
  const auto one = NewClient(cluster.node(1));
  const auto two = NewClient(cluster.node(2));
  Subscriber subscriber(*two, To("news"), messages_.Callback(), events_.Listener());
  ASSERT_TRUE(subscriber.AwaitAttached(kPatience).ok());
  EXPECT_EQ(events_.AwaitAttached(), kTwo);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(one->Publish(Message("other", i)).ok());
    ASSERT_TRUE(one->Publish(Message("news", i)).ok());
  }
  for (int i = 0; i < 100; ++i) {
    const v1::SubscribeResponse message = messages_.Next();
    EXPECT_EQ(message.message_type(), "news");
    EXPECT_EQ(message.node_id(), kOne);
    EXPECT_EQ(message.value().number_value(), i);
    EXPECT_FALSE(message.gap());
  }
  subscriber.Stop();
  EXPECT_TRUE(events_.Await(AttachmentEvent::Kind::kEnded).status.ok());
  ASSERT_TRUE(one->Publish(Message("news", 1)).ok());
  EXPECT_EQ(messages_.size(), 0U);
}

TEST_F(ClientSubscriberTest, WhenItsNodeIsKilledItHearsOfTheGapAndThenTheMessagesElsewhere) {
  Cluster cluster(2);
  const auto one = NewClient(cluster.node(1));
  const auto two = NewClient({.addresses = {cluster.node(2).address(), cluster.node(1).address()}});
  Subscriber subscriber(*two, To("news"), messages_.Callback(), events_.Listener());
  EXPECT_EQ(events_.AwaitAttached(), kTwo);
  EXPECT_FALSE(PublishUntilHeard(*one).gap());
  const absl::Time killed = absl::Now();
  cluster.node(2).Kill();
  EXPECT_EQ(events_.AwaitAttached(), kOne);
  EXPECT_LT(absl::Now() - killed, absl::Seconds(2));
  v1::SubscribeResponse message;
  do {
    message = messages_.Next();
  } while (!message.gap());  // What had been heard before the kill.
  EXPECT_EQ(message.message_type(), "");
  EXPECT_EQ(message.missed(), 0U);
  message = PublishUntilHeard(*one);
  EXPECT_FALSE(message.gap());
  EXPECT_EQ(message.message_type(), "news");
}

TEST_F(ClientSubscriberTest, WhenItsNodeDrainsItGoesWhereThatOneSays) {
  Cluster cluster(2);
  const auto one = NewClient(cluster.node(1));
  const auto two = NewClient(cluster.node(2));
  Subscriber subscriber(*two, To("news"), messages_.Callback(), events_.Listener());
  EXPECT_EQ(events_.AwaitAttached(), kTwo);
  v1::DrainRequest drain;
  drain.set_node_id(kTwo);
  ASSERT_TRUE(one->Drain(drain).ok());
  EXPECT_EQ(events_.Await(AttachmentEvent::Kind::kLost).status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(events_.AwaitAttached(), kOne);
  EXPECT_TRUE(messages_.Next().gap());
  EXPECT_EQ(PublishUntilHeard(*one).message_type(), "news");
}

TEST_F(ClientSubscriberTest, AnInterestThatIsNoneEndsIt) {
  Cluster cluster(1);
  const auto client = NewClient(cluster.node(1));
  Subscriber subscriber(*client, {}, messages_.Callback(), events_.Listener());
  EXPECT_EQ(subscriber.AwaitAttached(kPatience).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(events_.Await(AttachmentEvent::Kind::kEnded).status.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ClientSubscriberTest, SubscribersComeAndGoInAnyState) {
  Cluster cluster(1);
  const auto client = NewClient(cluster.node(1));
  for (int i = 0; i < 50; ++i) {
    Subscriber subscriber(*client, To("news"), messages_.Callback());
    if (i % 2 == 0) {
      ASSERT_TRUE(subscriber.AwaitAttached(kPatience).ok());
    }
    ASSERT_TRUE(client->Publish(Message("news", i)).ok());
    if (i % 3 == 0) subscriber.Stop();
  }
  EXPECT_TRUE(Await([&] { return client->Publish(Message("news", 0)).value().receivers() == 0; }))
      << "no stream is left";
}

}  // namespace
}  // namespace actioncluster::cluster

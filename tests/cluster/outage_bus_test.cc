// Redis takes commands, and its messages do not come: a connection may be open, and half dead.

#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"
#include "tests/fakes/redis_proxy.h"
#include "tests/fakes/subscription.h"

namespace actioncluster::cluster {
namespace {

using fakes::Subscription;

constexpr absl::Duration kSeconds = absl::Seconds(6);  // Without a message for 3 s, and a while to see it.

class OutageBusTest : public testing::Test {
 protected:
  void ExpectAll(bool serving) {
    const absl::Time begun = absl::Now();
    for (const Node& node : cluster_.nodes()) {
      EXPECT_TRUE(Await([&] { return node.IsServing() == serving; })) << node.id();
    }
    const absl::Duration took = absl::Now() - begun;
    EXPECT_LT(took, kSeconds) << serving;
    std::cout << (serving ? "all serve" : "none serves") << " after " << took << "\n";
  }
  grpc::Status Publish(const std::string& data) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    v1::PublishRequest request;
    request.set_message_type("news");
    request.set_data(data);
    v1::PublishResponse response;
    return cluster_.node(1).pubsub().Publish(&context, request, &response);
  }
  // Calls and messages pass from one node to the other.
  void ExpectAllWorks() {
    EXPECT_TRUE(Await([&] { return Call(cluster_.node(1), Request("echo", "[1]")).ok(); }));
    const Subscription news(cluster_.node(2).pubsub(), {{"news"}});
    EXPECT_NE(news.AwaitOpen(), "");
    EXPECT_TRUE(Publish("well").ok());
    EXPECT_EQ(news.Next().data(), "well");
  }

  fakes::RedisServer redis_;
  fakes::RedisProxy proxy_{redis_.unix_path()};
  Cluster cluster_{2, {.flags = {}, .redis = {}, .redis_url = proxy_.url()}};
  const AppHost app_{cluster_.node(2), {{"echo", Echoing()}}};
};

TEST_F(OutageBusTest, ANodeWhoseSubscriberHearsNothingDoesNotServeAndServesWhenItHearsAgain) {
  Subscription news(cluster_.node(2).pubsub(), {{"news"}});
  EXPECT_NE(news.AwaitOpen(), "");
  proxy_.SetMode(fakes::RedisProxy::Mode::kDeaf);
  ExpectAll(false);
  // It is said, and not taken for a timeout or for what nobody offers.
  const Answer deaf = Call(cluster_.node(1), Request("echo", "[1]"));
  EXPECT_EQ(deaf.reason(), "BACKPLANE_UNAVAILABLE") << testing::PrintToString(deaf);
  EXPECT_LT(deaf.took, absl::Milliseconds(500));
  proxy_.SetMode(fakes::RedisProxy::Mode::kOpen);
  ExpectAll(true);
  ExpectAllWorks();
  // What was missed, nobody knows; that something may be is told.
  EXPECT_TRUE(Publish("after").ok());
  const Subscription::Message first = news.Next();
  EXPECT_TRUE(first.gap()) << first.ShortDebugString();
}

TEST_F(OutageBusTest, SubscribersThatRedisThrowsOutAreBackByThemselves) {
  for (int i = 0; i < 5; ++i) {
    redis_.Command({"CLIENT", "KILL", "TYPE", "pubsub"});
    ExpectAllWorks();
  }
  ExpectAll(true);
}

// Redis answers what reads, and nothing else: so it does while it hands over to another.
TEST_F(OutageBusTest, ARedisThatHoldsUpAllThatWritesIsNotServedByUntilItGoesOn) {
  redis_.Command({"CLIENT", "PAUSE", "60000", "WRITE"});
  ExpectAll(false);
  redis_.Command({"CLIENT", "UNPAUSE"});
  ExpectAll(true);
  ExpectAllWorks();
}

}  // namespace
}  // namespace actioncluster::cluster

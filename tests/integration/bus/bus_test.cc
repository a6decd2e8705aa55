#include "backplane/bus/bus.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_proxy.h"
#include "tests/integration/bus/bus_node.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class BusTest : public ::testing::Test {
 protected:
  std::unique_ptr<BusNode> MakeNode(BusNode::Options options = {}) {
    const int database = options.endpoint.database;
    options.endpoint = redis_.endpoint();
    options.endpoint.database = database;
    return std::make_unique<BusNode>(options);
  }
  std::unique_ptr<BusNode> StartNode(const std::string& boot, const BusNode::Options& options = {}) {
    std::unique_ptr<BusNode> node = MakeNode(options);
    node->BeginWell(boot);
    return node;
  }

  fakes::RedisServer redis_;
  const Keys keys_{fakes::kNamespace};
};

TEST_F(BusTest, TwoNodesHearEachOtherAndNotThemselves) {
  const auto a = StartNode("a"), b = StartNode("b");
  const absl::Time before = MonotonicNow();
  EXPECT_EQ(*a->Publish(keys_.ChannelAll(), CallEnvelope("to-all")), 2);
  const BusNode::Heard heard = b->NextCall();
  EXPECT_EQ(heard.envelope.call().method(), "to-all");
  EXPECT_EQ(heard.envelope.sender_boot(), "a");
  EXPECT_EQ(heard.envelope.sender_id(), "node-of-a");
  EXPECT_LE(heard.sent_at, MonotonicNow());
  EXPECT_GT(heard.sent_at, before - absl::Seconds(1));
  EXPECT_EQ(*b->Publish(keys_.ChannelBoot("a"), CallEnvelope("to-a")), 1);
  EXPECT_EQ(a->NextMethod(), "to-a");
  EXPECT_EQ(a->counters().own, 1u);
  EXPECT_EQ(a->rejected() + b->rejected(), 0u);
  EXPECT_EQ(b->unread(), 0u);
}

TEST_F(BusTest, ChannelIsHeardWhenItIsListenedToAndNotAfterwards) {
  const auto a = StartNode("a"), b = StartNode("b");
  const std::string channel = keys_.ChannelMethod("mail.send");
  EXPECT_EQ(*a->Publish(channel, CallEnvelope("early")), 0);
  b->Listen(channel);
  EXPECT_EQ(*a->Publish(channel, CallEnvelope("first")), 1);
  EXPECT_EQ(b->NextMethod(), "first");
  b->StopListening(channel);
  b->Listen(keys_.ChannelMethod("other"));  // Confirmed after the other was given up.
  EXPECT_EQ(*a->Publish(channel, CallEnvelope("late")), 0);
  b->Listen(channel);
  EXPECT_EQ(*a->Publish(channel, CallEnvelope("again")), 1);
  EXPECT_EQ(b->NextMethod(), "again");
}

TEST_F(BusTest, EnvelopesArriveInTheOrderOfPublishing) {
  const auto a = StartNode("a"), b = StartNode("b");
  fakes::Waiter<absl::StatusOr<int64_t>> done;
  a->thread().Run([&] {
    for (int i = 0; i < 5000; ++i) {
      a->bus().Publish(keys_.ChannelBoot("b"), CallEnvelope(absl::StrCat(i)), done.Callback());
    }
  });
  for (int i = 0; i < 5000; ++i) EXPECT_EQ(b->NextMethod(), absl::StrCat(i));
  EXPECT_EQ(b->rejected(), 0u);
}

TEST_F(BusTest, LargestContentPassesAndWhatIsTooLargeIsRefused) {
  const auto a = StartNode("a"), b = StartNode("b");
  internal::v1::Envelope envelope = CallEnvelope("large");
  envelope.mutable_call()->mutable_arguments()->set_body(std::string(4 << 20, '\xFF'));
  EXPECT_EQ(*a->Publish(keys_.ChannelBoot("b"), envelope), 1);
  EXPECT_EQ(b->NextCall().envelope.call().arguments().body().size(), 4u << 20);
  envelope.mutable_call()->mutable_arguments()->set_body(std::string(8 << 20, '\xFF'));
  EXPECT_EQ(ReasonOf(a->Publish(keys_.ChannelBoot("b"), envelope).status()), v1::ERROR_REASON_LIMIT_EXCEEDED);
}

TEST_F(BusTest, NothingIsSentBeforeItHasBegun) {
  const auto node = MakeNode();
  const absl::Status status = node->Publish(keys_.ChannelAll(), CallEnvelope("m")).status();
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(node->state()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

TEST_F(BusTest, KeysAreTheSameForTheSameTokenOnly) {
  BusNode::Options other;
  other.token = "the token of another cluster";
  const auto a = StartNode("a"), b = StartNode("b"), c = StartNode("c", other);
  EXPECT_EQ(a->bus().key_fingerprint(), b->bus().key_fingerprint());
  EXPECT_NE(a->bus().key_fingerprint(), c->bus().key_fingerprint());
  EXPECT_EQ(*c->Publish(keys_.ChannelAll(), CallEnvelope("intruder")), 3);
  EXPECT_EQ(*b->Publish(keys_.ChannelAll(), CallEnvelope("friend")), 3);
  EXPECT_EQ(a->NextMethod(), "friend");
  EXPECT_EQ(a->rejected(Rejection::kForeign), 1u);
}

TEST_F(BusTest, NamespacesAndDatabasesDoNotHearEachOther) {
  // Rights are not what keeps them apart.
  redis_.Command({"ACL", "SETUSER", fakes::kNodesUser, "&other:*"});
  std::vector<std::unique_ptr<BusNode>> nodes;
  for (const char* cluster_namespace : {fakes::kNamespace, "other"}) {
    for (const int database : {0, 1}) {
      BusNode::Options options;
      options.cluster_namespace = cluster_namespace;
      options.endpoint.database = database;
      for (const char* boot : {"x", "y"}) nodes.push_back(StartNode(boot, options));
    }
  }
  // Each tells its own cluster: it has one mate.
  for (size_t i = 0; i < nodes.size(); i += 2) {
    EXPECT_EQ(*nodes[i]->Publish(nodes[i]->keys().ChannelAll(), CallEnvelope(absl::StrCat(i))), 2);
    EXPECT_EQ(*nodes[i]->Publish(nodes[i]->keys().ChannelBoot("y"), CallEnvelope("end")), 1);
  }
  for (size_t i = 0; i < nodes.size(); i += 2) {
    EXPECT_EQ(nodes[i + 1]->NextMethod(), absl::StrCat(i));
    EXPECT_EQ(nodes[i + 1]->NextMethod(), "end");
    EXPECT_EQ(nodes[i + 1]->unread() + nodes[i]->unread(), 0u);
    EXPECT_EQ(nodes[i + 1]->rejected() + nodes[i]->rejected(), 0u);
  }
}

TEST_F(BusTest, RejoiningUnderAnotherBootGivesUpTheFormerChannel) {
  const auto a = StartNode("a"), b = StartNode("b");
  b->Begin("b2");
  EXPECT_TRUE(b->state().ok());
  EXPECT_THAT(*a->FindDeaf({"a", "b", "b2"}), ElementsAre("b"));
  EXPECT_EQ(*a->Publish(keys_.ChannelBoot("b2"), CallEnvelope("to-b2")), 1);
  EXPECT_EQ(b->NextMethod(), "to-b2");
  EXPECT_EQ(*b->Publish(keys_.ChannelAll(), CallEnvelope("from-b2")), 2);
  EXPECT_EQ(a->NextCall().envelope.sender_boot(), "b2");
}

TEST_F(BusTest, ABootThatEndsHasHandledAllThatItWasSentBeforeOthersHearThatItIsDeaf) {
  constexpr int kMany = 2'000;
  const auto a = StartNode("a"), b = StartNode("b");
  const auto sent = a->PublishMany(keys_.ChannelBoot("b"), CallEnvelope("m"), kMany);
  const size_t heard = b->EndBoot().Next();
  int64_t received = 0;
  for (int i = 0; i < kMany; ++i) received += *sent.Next();
  EXPECT_EQ(heard, static_cast<size_t>(received));
  EXPECT_EQ(b->unread(), heard);
  EXPECT_EQ(*a->Publish(keys_.ChannelBoot("b"), CallEnvelope("late")), 0);
  EXPECT_EQ(*a->Publish(keys_.ChannelAll(), CallEnvelope("to-all")), 2) << "it goes on with the others";
  EXPECT_TRUE(b->state().ok());
}

TEST_F(BusTest, ABootEndsAtOnceWithoutAConnection) {
  const auto b = StartNode("b");
  redis_.Kill();
  b->AwaitState(false);
  EXPECT_EQ(b->EndBoot().Next(), 0u);
}

TEST_F(BusTest, DeafBootsAreThoseThatNobodyListensFor) {
  const auto a = StartNode("a"), b = StartNode("b");
  EXPECT_THAT(*a->FindDeaf({"ghost", "b", "a", "phantom"}), ElementsAre("ghost", "phantom"));
  EXPECT_THAT(*a->FindDeaf({"a"}), IsEmpty());
  EXPECT_THAT(*a->FindDeaf({}), IsEmpty());
}

TEST_F(BusTest, LossOfTheSubscriberIsAnnouncedAndRepaired) {
  const auto a = StartNode("a"), b = StartNode("b");
  const std::string channel = keys_.ChannelMethod("m");
  b->Listen(channel);
  for (int round = 0; round < 5; ++round) {
    while (b->states().size() > 0) (void)b->states().Next();
    redis_.Command({"CLIENT", "KILL", "TYPE", "pubsub"});
    const absl::Status lost = b->states().NextThat([](const absl::Status& status) { return !status.ok(); });
    EXPECT_EQ(ReasonOf(lost), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
    EXPECT_TRUE(b->states().NextThat([](const absl::Status& status) { return status.ok(); }).ok());
    a->AwaitState(true);
    EXPECT_EQ(*a->Publish(channel, CallEnvelope(absl::StrCat("call-", round))), 1);
    EXPECT_EQ(b->NextMethod(), absl::StrCat("call-", round));
  }
  EXPECT_EQ(b->rejected(), 0u);
}

TEST_F(BusTest, SubscriberThatDeliversNothingIsConnectedAnew) {
  // It is connected to another Redis: open, confirmed, and deaf.
  fakes::RedisServer elsewhere;
  BusNode::Options options;
  options.subscriber = elsewhere.endpoint();
  options.bus = {.canary_every = absl::Milliseconds(20), .canary_timeout = absl::Milliseconds(100)};
  const auto node = MakeNode(options);
  node->Begin("a");
  const auto subscriber = [&] {
    return std::string(*elsewhere.Command({"CLIENT", "LIST", "TYPE", "pubsub"}).view().String()).substr(0, 8);
  };
  const std::string first = subscriber();
  const absl::Time limit = absl::Now() + fakes::kPatience;
  while ((subscriber() == first || subscriber().empty()) && absl::Now() < limit) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_NE(subscriber(), first);
  EXPECT_FALSE(node->state().ok());
}

// Redis passes what is published on to its replicas: a subscriber of a replica is well until the replica is cut off, and then confirms
// all channels and gives nothing back.
TEST_F(BusTest, SubscriptionThatIsConfirmedAndSilentIsNotOkUntilACanaryIsBack) {
  fakes::RedisServer source({.tcp = true, .password = {}, .args = {"--repl-diskless-sync-delay", "0"}}), replica;
  const auto follow = [&] { replica.Command({"REPLICAOF", "127.0.0.1", absl::StrCat(source.port())}); };
  follow();
  BusNode::Options options;
  options.endpoint = source.endpoint();
  options.subscriber = replica.endpoint();
  options.bus.canary_timeout = fakes::kPatience;
  BusNode node(options);
  node.BeginWell("a");
  replica.Command({"REPLICAOF", "NO", "ONE"});
  replica.Command({"CLIENT", "KILL", "TYPE", "pubsub"});
  node.AwaitState(false);
  node.Listen(keys_.ChannelMethod("m"));  // The connection is back, and everything before this is confirmed.
  EXPECT_FALSE(node.state().ok());
  follow();
  node.AwaitState(true);
}

TEST_F(BusTest, RedisThatHangsIsNotOkUntilItAnswersAgain) {
  const auto a = StartNode("a"), b = StartNode("b");
  redis_.Pause();
  a->AwaitState(false);
  EXPECT_EQ(ReasonOf(a->state()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  redis_.Resume();
  a->AwaitState(true);
  b->AwaitState(true);
  EXPECT_TRUE(a->Publish(keys_.ChannelBoot("b"), CallEnvelope("again")).ok());
  EXPECT_EQ(b->NextMethod(), "again");
}

TEST_F(BusTest, WorksWithinTwoSecondsAfterRedisIsBack) {
  const auto a = StartNode("a"), b = StartNode("b");
  redis_.Kill();
  a->AwaitState(false);
  b->AwaitState(false);
  EXPECT_EQ(ReasonOf(a->Publish(keys_.ChannelAll(), CallEnvelope("lost")).status()),
            v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(a->FindDeaf({"b"}).status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  redis_.Start();
  const absl::Time back = MonotonicNow();
  a->AwaitState(true);
  b->AwaitState(true);
  EXPECT_EQ(*a->Publish(keys_.ChannelAll(), CallEnvelope("works")), 2);
  EXPECT_EQ(b->NextMethod(), "works");
  EXPECT_LT(MonotonicNow() - back, absl::Seconds(2));
}

TEST_F(BusTest, ProvesItselfAtOnceWhicheverOfItsConnectionsIsBackLast) {
  fakes::RedisProxy commands(redis_.unix_path()), subscriber(redis_.unix_path(), redis_.unix_path() + ".2");
  BusNode::Options options;
  options.endpoint = commands.endpoint();
  options.subscriber = subscriber.endpoint();
  options.bus.canary_every = absl::Hours(1);
  BusNode node(options);
  node.BeginWell("a");
  const auto connected = [&](const std::string& type) {
    const redis::Reply clients = redis_.Command({"CLIENT", "LIST", "TYPE", type});
    return absl::StrContains(*clients.view().String(), absl::StrCat("user=", fakes::kNodesUser));
  };
  for (const bool subscriber_first : {false, true}) {
    commands.SetMode(fakes::RedisProxy::Mode::kCut);
    subscriber.SetMode(fakes::RedisProxy::Mode::kCut);
    const absl::Time give_up = MonotonicNow() + fakes::kPatience;
    while (connected("normal") || connected("pubsub")) ASSERT_LT(MonotonicNow(), give_up);
    node.AwaitState(false);
    (subscriber_first ? subscriber : commands).SetMode(fakes::RedisProxy::Mode::kOpen);
    if (subscriber_first) {
      node.Listen(keys_.ChannelMethod("m"));
    } else {
      while (!node.Publish(keys_.ChannelAll(), CallEnvelope("m")).ok()) ASSERT_LT(MonotonicNow(), give_up);
    }
    EXPECT_FALSE(node.state().ok());
    (subscriber_first ? commands : subscriber).SetMode(fakes::RedisProxy::Mode::kOpen);
    node.AwaitState(true);
  }
}

TEST_F(BusTest, BeginsWhenRedisComesLater) {
  redis_.Kill();
  const auto node = MakeNode();
  fakes::Waiter<bool> listening;
  node->thread().Run([&] { node->bus().Begin("a", [listening] { listening.Add(true); }); });
  EXPECT_FALSE(node->Publish(keys_.ChannelAll(), CallEnvelope("m")).ok());
  EXPECT_EQ(listening.size(), 0u);
  redis_.Start();
  listening.Next();
  node->AwaitState(true);
}

TEST_F(BusTest, EveryCallbackRunsOnceAndNeverInsideTheCallAlsoAtTheEnd) {
  const auto node = StartNode("a");
  constexpr int kCalls = 100;
  std::vector<int> calls(kCalls, 0);
  node->thread().Run([&] {
    for (int i = 0; i < kCalls; ++i) {
      node->bus().Publish(keys_.ChannelAll(), CallEnvelope("m"), [&calls, i](absl::StatusOr<int64_t>) { ++calls[i]; });
      EXPECT_EQ(calls[i], 0);
    }
  });
  node->Stop();
  node->thread().Run([] {});  // What was posted meanwhile has run.
  EXPECT_THAT(calls, ::testing::Each(1));
}

}  // namespace
}  // namespace actioncluster

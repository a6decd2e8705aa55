#include "backplane/redis/subscriber_core.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/redis/core_test_base.h"

namespace actioncluster::redis {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string Push(absl::string_view kind, absl::string_view channel, absl::string_view last) {
  return absl::StrCat("*3\r\n$", kind.size(), "\r\n", kind, "\r\n$", channel.size(), "\r\n", channel, "\r\n", last);
}
std::string Ack(absl::string_view kind, absl::string_view channel) { return Push(kind, channel, ":1\r\n"); }
std::string Message(absl::string_view channel, absl::string_view payload) {
  return Push("message", channel, absl::StrCat("$", payload.size(), "\r\n", payload, "\r\n"));
}

class SubscriberCoreTest : public CoreTestBase<SubscriberCore> {
 protected:
  SubscriberCoreTest()
      : core_({}, [this](absl::string_view channel, absl::string_view payload) {
          events_.push_back(absl::StrCat(channel, "=", payload));
          if (on_message_) on_message_();
        }) {}
  SubscriberCore& core() override { return core_; }

  void Open() {
    core_.Opened(now_);
    ASSERT_TRUE(Feed("+PONG\r\n").ok());
  }
  void Subscribe(const std::string& channel, const std::string& name) {
    core_.Subscribe(channel, now_, [this, name] { events_.push_back(name); });
  }
  std::vector<std::string> Events() { return std::exchange(events_, {}); }

  SubscriberCore core_;
  std::vector<std::string> events_;
  std::function<void()> on_message_;
};

TEST_F(SubscriberCoreTest, WithoutChannelsItIsReadyWhenGreeted) {
  EXPECT_FALSE(core_.ready());
  core_.Opened(now_);
  EXPECT_EQ(Output(), Command({"PING"}).wire());
  EXPECT_FALSE(core_.ready());
  EXPECT_TRUE(Feed("+PONG\r\n").ok());
  EXPECT_TRUE(core_.ready());
}

TEST_F(SubscriberCoreTest, AConnectionBeginsWithAllWantedChannelsInOneCommand) {
  Subscribe("a", "a1");
  Subscribe("b", "b1");
  EXPECT_EQ(Output(), "");
  core_.Opened(now_);
  EXPECT_EQ(Output(), Command({"PING"}).wire() + Command({"SUBSCRIBE", "a", "b"}).wire());
  EXPECT_TRUE(Feed("+PONG\r\n" + Ack("subscribe", "a")).ok());
  EXPECT_FALSE(core_.ready());
  EXPECT_THAT(Events(), ElementsAre("a1"));
  EXPECT_TRUE(Feed(Ack("subscribe", "b")).ok());
  EXPECT_TRUE(core_.ready());
  EXPECT_THAT(Events(), ElementsAre("b1"));
}

TEST_F(SubscriberCoreTest, AChannelAskedForLaterDoesNotMakeItUnready) {
  Open();
  Output();
  Subscribe("a", "a1");
  EXPECT_TRUE(core_.ready());
  EXPECT_EQ(Output(), Command({"SUBSCRIBE", "a"}).wire());
  EXPECT_THAT(Events(), IsEmpty());
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  EXPECT_THAT(Events(), ElementsAre("a1"));
}

TEST_F(SubscriberCoreTest, SubscribingTwiceIsOneSubscriptionWithTwoCallbacks) {
  Open();
  Output();
  Subscribe("a", "a1");
  Subscribe("a", "a2");
  EXPECT_EQ(Output(), Command({"SUBSCRIBE", "a"}).wire());
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  EXPECT_THAT(Events(), ElementsAre("a1", "a2"));
  Subscribe("a", "a3");
  EXPECT_EQ(Output(), "");
  EXPECT_THAT(Events(), IsEmpty()) << "never inside the call";
  EXPECT_EQ(Next(), now_);
  EXPECT_THAT(Events(), IsEmpty()) << "asking runs nothing";
  EXPECT_TRUE(Tick().ok());
  EXPECT_THAT(Events(), ElementsAre("a3"));
  EXPECT_GT(next_, now_);
}

TEST_F(SubscriberCoreTest, ACallbackOfAChannelLostMeanwhileWaitsForItsReturn) {
  Open();
  Subscribe("a", "a1");
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  Subscribe("a", "a2");
  core_.Closed(BackplaneUnavailable("gone"));
  EXPECT_TRUE(Tick().ok());
  EXPECT_THAT(Events(), ElementsAre("a1"));
  Open();
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  EXPECT_THAT(Events(), ElementsAre("a2"));
}

TEST_F(SubscriberCoreTest, TheConfirmationOfAWithdrawnSubscriptionConfirmsNothing) {
  Open();
  Output();
  Subscribe("a", "a1");
  core_.Unsubscribe("a", now_);
  Subscribe("a", "a2");
  EXPECT_EQ(Output(), Command({"SUBSCRIBE", "a"}).wire() + Command({"UNSUBSCRIBE", "a"}).wire() +
                          Command({"SUBSCRIBE", "a"}).wire());
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  EXPECT_TRUE(Feed(Ack("unsubscribe", "a")).ok());
  EXPECT_THAT(Events(), IsEmpty());
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  EXPECT_THAT(Events(), ElementsAre("a2"));
}

TEST_F(SubscriberCoreTest, AChannelGivenUpIsNotSubscribedAgain) {
  Open();
  Subscribe("a", "a1");
  Subscribe("b", "b1");
  core_.Unsubscribe("a", now_);
  core_.Unsubscribe("never", now_);
  core_.Closed(BackplaneUnavailable("gone"));
  core_.Opened(now_);
  EXPECT_EQ(Output(), Command({"PING"}).wire() + Command({"SUBSCRIBE", "b"}).wire());
}

TEST_F(SubscriberCoreTest, AChannelIsGoneWhenRedisSaysSoBehindWhatCameBefore) {
  Open();
  Subscribe("a", "a1");
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  core_.Unsubscribe("a", now_, [this] { events_.push_back("gone"); });
  EXPECT_TRUE(Feed(Message("a", "last")).ok());
  EXPECT_THAT(Events(), ElementsAre("a1", "a=last"));
  EXPECT_TRUE(Feed(Ack("unsubscribe", "a")).ok());
  EXPECT_THAT(Events(), ElementsAre("gone"));
}

TEST_F(SubscriberCoreTest, AChannelIsGoneWithItsConnection) {
  Open();
  Subscribe("a", "a1");
  core_.Unsubscribe("a", now_, [this] { events_.push_back("gone"); });
  EXPECT_THAT(Events(), IsEmpty());
  core_.Closed(BackplaneUnavailable("gone"));
  EXPECT_THAT(Events(), ElementsAre("gone"));
}

TEST_F(SubscriberCoreTest, AChannelThatCannotBeHeardIsGoneAtTheNextTick) {
  Subscribe("a", "a1");
  core_.Unsubscribe("a", now_, [this] { events_.push_back("gone"); });
  core_.Unsubscribe("never", now_, [this] { events_.push_back("never was"); });
  EXPECT_THAT(Events(), IsEmpty());
  EXPECT_TRUE(Tick().ok());
  EXPECT_THAT(Events(), ElementsAre("gone", "never was"));
}

TEST_F(SubscriberCoreTest, GivingUpAChannelWhileItIsBeingConfirmedLeavesItReady) {
  Subscribe("a", "a1");
  core_.Opened(now_);
  core_.Unsubscribe("a", now_);
  EXPECT_TRUE(Feed("+PONG\r\n" + Ack("subscribe", "a")).ok());
  EXPECT_TRUE(core_.ready());
  EXPECT_TRUE(Feed(Ack("unsubscribe", "a")).ok());
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(SubscriberCoreTest, EveryLossMeansAllConfirmationsAnewAndCallbacksOnce) {
  Subscribe("a", "a1");
  for (int round = 0; round < 3; ++round) {
    Open();
    EXPECT_FALSE(core_.ready());
    EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
    EXPECT_TRUE(core_.ready());
    core_.Closed(BackplaneUnavailable("gone"));
    EXPECT_FALSE(core_.ready());
  }
  EXPECT_THAT(Events(), ElementsAre("a1"));
}

TEST_F(SubscriberCoreTest, MessagesComeInBetweenWhateverTheyHold) {
  Subscribe("a", "a1");
  Subscribe("b", "b1");
  Open();
  const std::string binary("\0\r\n*3\r\n", 7);
  EXPECT_TRUE(Feed(Ack("subscribe", "a") + Message("a", binary) + Ack("subscribe", "b") + Message("b", "")).ok());
  EXPECT_THAT(Events(), ElementsAre("a1", "a=" + binary, "b1", "b="));
}

TEST_F(SubscriberCoreTest, BytesSplitAtEveryPositionAreTheSame) {
  Subscribe("a", "a1");
  const std::string wire = "+PONG\r\n" + Ack("subscribe", "a") + Message("a", "x") + Message("a", "y");
  for (size_t at = 0; at <= wire.size(); ++at) {
    core_.Opened(now_);
    EXPECT_TRUE(Feed(wire.substr(0, at)).ok());
    EXPECT_TRUE(Feed(wire.substr(at)).ok());
    std::vector<std::string> events = Events();
    if (at == 0) events.erase(events.begin());
    EXPECT_THAT(events, ElementsAre("a=x", "a=y")) << at;
    core_.Closed(BackplaneUnavailable("next"));
  }
}

TEST_F(SubscriberCoreTest, CallbacksMaySubscribeAndUnsubscribe) {
  Open();
  on_message_ = [this] { core_.Unsubscribe("a", now_); };
  core_.Subscribe("a", now_, [this] {
    events_.push_back("a1");
    Subscribe("b", "b1");
  });
  EXPECT_TRUE(Feed(Ack("subscribe", "a") + Message("a", "1") + Message("a", "2")).ok());
  EXPECT_TRUE(Feed(Ack("subscribe", "b") + Ack("unsubscribe", "a")).ok());
  EXPECT_THAT(Events(), ElementsAre("a1", "a=1", "a=2", "b1"));
}

TEST_F(SubscriberCoreTest, ACallbackThatGivesTheChannelUpDropsTheOthers) {
  Open();
  core_.Subscribe("a", now_, [this] { core_.Unsubscribe("a", now_); });
  Subscribe("a", "a2");
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(SubscriberCoreTest, ACallbackThatSubscribesAgainRunsAgainLater) {
  Open();
  core_.Subscribe("a", now_, [this] { Subscribe("a", "again"); });
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  EXPECT_THAT(Events(), IsEmpty());
  EXPECT_TRUE(Tick().ok());
  EXPECT_THAT(Events(), ElementsAre("again"));
}

TEST_F(SubscriberCoreTest, AQuietConnectionIsProbedAndGivenUpIfItStaysSilent) {
  Open();
  Output();
  EXPECT_EQ(Next(), now_ + absl::Milliseconds(2500));
  now_ += absl::Milliseconds(2500);
  EXPECT_TRUE(Tick().ok());
  EXPECT_EQ(Output(), Command({"PING"}).wire());
  EXPECT_EQ(next_, now_ + absl::Milliseconds(2500));
  now_ += absl::Milliseconds(2499);
  EXPECT_TRUE(Tick().ok());
  now_ += absl::Milliseconds(1);
  EXPECT_FALSE(Tick().ok());
}

TEST_F(SubscriberCoreTest, BothKindsOfPongAnswerAProbe) {
  Open();
  for (const std::string pong : {"+PONG\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n"}) {
    now_ = Next();
    EXPECT_TRUE(Tick().ok());
    EXPECT_TRUE(Feed(pong).ok());
    EXPECT_EQ(Next(), now_ + absl::Milliseconds(2500));
  }
}

TEST_F(SubscriberCoreTest, MessagesKeepAConnectionFromBeingProbed) {
  Open();
  Subscribe("a", "a1");
  EXPECT_TRUE(Feed(Ack("subscribe", "a")).ok());
  Output();
  now_ += absl::Seconds(2);
  EXPECT_TRUE(Feed(Message("a", "x")).ok());
  now_ += absl::Seconds(1);
  EXPECT_TRUE(Tick().ok());
  EXPECT_EQ(Output(), "");
}

TEST_F(SubscriberCoreTest, ASubscriptionThatIsNotConfirmedIsASilentConnectionThoughMessagesCome) {
  Open();
  Subscribe("a", "a1");
  now_ += absl::Seconds(5);
  EXPECT_TRUE(Feed(Message("b", "x")).ok());
  EXPECT_FALSE(Tick().ok());
}

TEST_F(SubscriberCoreTest, WhatASubscriberIsNeverToldEndsTheConnection) {
  const std::string nil_payload = Push("message", "a", "$-1\r\n");
  const std::string array_payload = Push("message", "a", "*1\r\n$1\r\nk\r\n");
  for (const std::string& wire :
       {std::string("+OK\r\n"), std::string(":1\r\n"), std::string("$-1\r\n"), std::string("*0\r\n"),
        std::string("+PONG\r\n"), std::string("-NOPERM no\r\n"), std::string("*1\r\n$7\r\nmessage\r\n"),
        Ack("subscribe", "b"), Ack("unsubscribe", "a"), Push("pmessage", "a", "+x\r\n"), nil_payload, array_payload,
        std::string("garbage\r\n")}) {
    Subscribe("a", "a1");
    Open();
    const absl::Status status = Feed(wire);
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) << wire;
    core_.Closed(status);
  }
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(SubscriberCoreTest, ARefusedGreetingEndsTheConnection) {
  core_.Opened(now_);
  EXPECT_FALSE(Feed("-LOADING Redis is loading\r\n").ok());
  EXPECT_FALSE(core_.ready());
}

}  // namespace
}  // namespace actioncluster::redis

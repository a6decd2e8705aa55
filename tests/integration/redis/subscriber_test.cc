#include "backplane/redis/subscriber.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/integration/redis/redis_test_base.h"

namespace actioncluster::redis {
namespace {

class SubscriberTest : public testing::Test {
 protected:
  void Connect(LinkOptions options) {
    thread_.Run([&] {
      subscriber_ = std::make_unique<Subscriber>(
          thread_.loop(), std::move(options),
          [messages = messages_](absl::string_view channel, absl::string_view payload) {
            messages.Add(absl::StrCat(absl::StripPrefix(channel, ChannelOf("")), "=", payload));
          });
      subscriber_->OnState([states = states_](const absl::Status& state) { states.Add(state); });
    });
  }
  ~SubscriberTest() override {
    thread_.Run([&] { subscriber_.reset(); });
  }

  void Subscribe(const std::string& channel) {
    thread_.Run([&] {
      subscriber_->Subscribe(ChannelOf(channel), [confirmed = confirmed_, channel] { confirmed.Add(channel); });
    });
  }
  int64_t Publish(const std::string& channel, const std::string& payload) {
    return server_.Command({"PUBLISH", ChannelOf(channel), payload}).view().Integer().value();
  }

  fakes::RedisServer server_;
  const fakes::Waiter<std::string> messages_;
  const fakes::Waiter<std::string> confirmed_;
  const States states_;
  fakes::LoopThread thread_;
  std::unique_ptr<Subscriber> subscriber_;
};

TEST_F(SubscriberTest, AConfirmedChannelDelivers) {
  Connect(OptionsFor(server_));
  Subscribe("one");
  EXPECT_EQ(confirmed_.Next(), "one");
  AwaitOk(states_);
  Subscribe("two");
  EXPECT_EQ(confirmed_.Next(), "two");
  EXPECT_EQ(Publish("two", "b"), 1);
  EXPECT_EQ(messages_.Next(), "two=b");
  EXPECT_EQ(Publish("one", "a"), 1);
  EXPECT_EQ(messages_.Next(), "one=a");
}

TEST_F(SubscriberTest, SubscribingAgainConfirmsAgain) {
  Connect(OptionsFor(server_));
  Subscribe("one");
  EXPECT_EQ(confirmed_.Next(), "one");
  Subscribe("one");
  EXPECT_EQ(confirmed_.Next(), "one");
}

TEST_F(SubscriberTest, AnUnsubscribedChannelIsGivenUp) {
  Connect(OptionsFor(server_));
  Subscribe("one");
  EXPECT_EQ(confirmed_.Next(), "one");
  thread_.Run([&] { subscriber_->Unsubscribe(ChannelOf("one")); });
  Subscribe("two");
  EXPECT_EQ(confirmed_.Next(), "two");
  EXPECT_EQ(Publish("one", "a"), 0);
}

TEST_F(SubscriberTest, ResubscribesAllAfterItsConnectionIsKilled) {
  Connect(OptionsFor(server_));
  for (const char* channel : {"one", "two", "three"}) Subscribe(channel);
  for (int i = 0; i < 3; ++i) confirmed_.Next();
  AwaitOk(states_);
  server_.Command({"CLIENT", "KILL", "TYPE", "pubsub"});
  EXPECT_FALSE(states_.Next().ok()) << "the gap is heard";
  AwaitOk(states_);
  for (const char* channel : {"one", "two", "three"}) EXPECT_EQ(Publish(channel, "x"), 1);
  for (const char* channel : {"one", "two", "three"}) EXPECT_EQ(messages_.Next(), absl::StrCat(channel, "=x"));
  EXPECT_EQ(confirmed_.size(), 0u) << "a callback runs once";
}

TEST_F(SubscriberTest, ChannelsWantedDuringAnOutageAreConfirmedAfterIt) {
  Connect(OptionsFor(server_));
  AwaitOk(states_);
  server_.Kill();
  EXPECT_FALSE(AwaitNotOk(states_).ok());
  Subscribe("late");
  server_.Start();
  EXPECT_EQ(confirmed_.Next(), "late");
  EXPECT_EQ(Publish("late", "x"), 1);
  EXPECT_EQ(messages_.Next(), "late=x");
}

TEST_F(SubscriberTest, ResetMakesANewConnection) {
  Connect(OptionsFor(server_));
  Subscribe("one");
  AwaitOk(states_);
  thread_.Run([&] {
    subscriber_->Reset(absl::UnavailableError("no canary"));
    EXPECT_TRUE(subscriber_->state().ok()) << "not inside the call";
  });
  EXPECT_THAT(std::string(states_.Next().message()), testing::HasSubstr("no canary"));
  AwaitOk(states_);
  EXPECT_EQ(Publish("one", "x"), 1);
}

TEST_F(SubscriberTest, ASilentRedisIsLeftAndFoundAgain) {
  LinkOptions options = OptionsFor(server_);
  options.stall_timeout = absl::Milliseconds(500);
  options.connect_timeout = absl::Milliseconds(500);
  Connect(options);
  Subscribe("one");
  AwaitOk(states_);
  server_.Pause();
  EXPECT_THAT(std::string(states_.Next().message()), testing::HasSubstr("no reply"));
  server_.Resume();
  AwaitOk(states_);
  // The connection that was left may be counted, until Redis has read that it is closed.
  EXPECT_GE(Publish("one", "x"), 1);
  EXPECT_EQ(messages_.Next(), "one=x");
}

TEST_F(SubscriberTest, AQuietConnectionIsProbedAndKept) {
  LinkOptions options = OptionsFor(server_);
  options.stall_timeout = absl::Seconds(4);
  Connect(options);
  AwaitOk(states_);
  // One probe without a channel, one with: Redis answers them differently.
  const auto pings = [&] {
    const Reply stats = server_.Command({"INFO", "commandstats"});
    const std::string text(*stats.view().String());
    const size_t at = text.find("cmdstat_ping:calls=");
    return at == std::string::npos ? 0 : std::stoi(text.substr(at + 19));
  };
  const int before = pings();
  const absl::Time limit = MonotonicNow() + fakes::kPatience;
  while (pings() < before + 1) {
    ASSERT_LT(MonotonicNow(), limit);
    absl::SleepFor(absl::Milliseconds(20));  // Nobody asks more often.
  }
  Subscribe("one");
  EXPECT_EQ(confirmed_.Next(), "one");
  const int with_channel = pings() + 1;
  while (pings() < with_channel) {
    ASSERT_LT(MonotonicNow(), limit);
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_EQ(states_.size(), 0u);
}

}  // namespace
}  // namespace actioncluster::redis

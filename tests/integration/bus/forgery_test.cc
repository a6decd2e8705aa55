#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "backplane/redis/subscriber.h"
#include "gtest/gtest.h"
#include "tests/integration/bus/bus_node.h"

namespace actioncluster {
namespace {

using Message = std::pair<std::string, std::string>;  // Channel and payload.

// An attacker who may subscribe and publish, and does not know the token.
class Attacker {
 public:
  Attacker(fakes::RedisServer& redis, const std::vector<std::string>& channels) : redis_(redis) {
    redis::LinkOptions options;
    options.endpoint = redis.endpoint();
    fakes::Waiter<bool> confirmed;
    thread_.Run([&] {
      subscriber_ = std::make_unique<redis::Subscriber>(
          thread_.loop(), options,
          [this](absl::string_view channel, absl::string_view payload) { recorded_.Add(Message(channel, payload)); });
      for (const std::string& channel : channels) {
        subscriber_->Subscribe(channel, [confirmed] { confirmed.Add(true); });
      }
    });
    for (size_t i = 0; i < channels.size(); ++i) confirmed.Next();
  }
  ~Attacker() {
    thread_.Run([&] { subscriber_.reset(); });
  }

  std::vector<Message> Record(size_t count) {
    std::vector<Message> messages;
    while (messages.size() < count) messages.push_back(recorded_.Next());
    return messages;
  }

  void Publish(const std::string& channel, const std::string& payload) {
    redis_.Command({"PUBLISH", channel, payload});
  }

 private:
  fakes::RedisServer& redis_;
  fakes::LoopThread thread_;
  fakes::Waiter<Message> recorded_;
  std::unique_ptr<redis::Subscriber> subscriber_;
};

class ForgeryTest : public ::testing::Test {
 protected:
  std::unique_ptr<BusNode> StartNode(const std::string& boot) {
    BusNode::Options options;
    options.endpoint = redis_.endpoint();
    auto node = std::make_unique<BusNode>(options);
    node->BeginWell(boot);
    node->Listen(method_);
    return node;
  }

  // Genuine traffic of `sender`, as the attacker sees it: half of it to all, half of it to the method.
  std::vector<Message> RecordTraffic(BusNode& sender, Attacker& attacker, int count) {
    for (int i = 0; i < count; ++i) {
      EXPECT_TRUE(sender.Publish(i % 2 == 0 ? all_ : method_, CallEnvelope(absl::StrCat("genuine-", i))).ok());
    }
    return attacker.Record(count);
  }

  // Envelopes that only a holder of the token can make, at a time of Redis's.
  std::string Sealed(const std::string& channel, uint64_t sequence, absl::Time sent_at) {
    internal::v1::Envelope envelope = CallEnvelope("forged");
    envelope.set_sender_boot("insider");
    envelope.set_sequence(sequence);
    envelope.set_sent_at_us(absl::ToUnixMicros(sent_at));
    return sealer_.Seal(channel, envelope);
  }

  fakes::RedisServer redis_;
  const Keys keys_{fakes::kNamespace};
  const std::string all_ = keys_.ChannelAll();
  const std::string method_ = keys_.ChannelMethod("m");
  const Sealer sealer_ = TestSealer();
};

TEST_F(ForgeryTest, OfAHundredThousandFalseEnvelopesNoneIsHandledAndAllAreCounted) {
  constexpr int kGenuine = 200;
  constexpr int kFalse = 100'000;
  Attacker attacker(redis_, {all_, method_});
  const auto sender = StartNode("sender"), victim = StartNode("victim");
  const std::vector<Message> recorded = RecordTraffic(*sender, attacker, kGenuine);
  for (int i = 0; i < kGenuine; ++i) EXPECT_EQ(victim->NextMethod(), absl::StrCat("genuine-", i));

  std::mt19937 random(3);
  const Sealer other_token = TestSealer("not the token of this cluster");
  std::array<uint64_t, kRejections> expected = {};
  for (int i = 0; i < kFalse; ++i) {
    auto [channel, payload] = recorded[random() % recorded.size()];
    Rejection reason = Rejection::kForged;
    switch (i % 8) {
      case 0:  // Made up.
        payload.resize(random() % 200);
        for (char& byte : payload) byte = static_cast<char>(random());
        reason = payload.size() < 37 ? Rejection::kGarbled : Rejection::kForeign;
        break;
      case 1: {  // Changed.
        const size_t at = random() % payload.size();
        payload[at] = static_cast<char>(payload[at] ^ (1 << random() % 8));
        if (at < 5) reason = Rejection::kForeign;
        break;
      }
      case 2:  // Cut.
        payload.resize(random() % payload.size());
        if (payload.size() < 37) reason = Rejection::kGarbled;
        break;
      case 3:  // Replayed.
        reason = Rejection::kReplayed;
        break;
      case 4:  // On another channel.
        channel = channel == all_ ? method_ : all_;
        break;
      case 5:
        payload = other_token.Seal(channel, CallEnvelope("forged"));
        reason = Rejection::kForeign;
        break;
      case 6:
        payload = Sealed(channel, i, absl::Now() - absl::Hours(1));
        reason = Rejection::kStale;
        break;
      default:
        payload = Sealed(channel, i, absl::Now() + absl::Hours(1));
        reason = Rejection::kAhead;
    }
    ++expected[static_cast<size_t>(reason)];
    attacker.Publish(channel, payload);
  }
  EXPECT_TRUE(sender->Publish(all_, CallEnvelope("end")).ok());
  EXPECT_EQ(victim->NextMethod(), "end");
  EXPECT_EQ(victim->unread(), 0u);
  for (int i = 0; i < kRejections; ++i) {
    const auto reason = static_cast<Rejection>(i);
    EXPECT_EQ(victim->rejected(reason), expected[i]) << RejectionName(reason);
    EXPECT_GT(expected[i], 1000u) << RejectionName(reason);
  }
  EXPECT_EQ(sender->unread(), 0u);
  EXPECT_LE(sender->counters().own, kGenuine + 1u);  // The last may not be back yet.
}

TEST_F(ForgeryTest, RecordingIsNotHandledAgainByARestartedNode) {
  constexpr int kGenuine = 500;
  Attacker attacker(redis_, {all_, method_});
  const auto sender = StartNode("sender");
  auto victim = StartNode("victim");
  const std::vector<Message> recorded = RecordTraffic(*sender, attacker, kGenuine);
  for (int i = 0; i < kGenuine; ++i) victim->NextMethod();
  victim.reset();

  // Clocks are uncertain by no more than this; what was sent just before the restart might pass as sent just after it.
  const absl::Time certain = MonotonicNow() + absl::Seconds(1);
  while (MonotonicNow() < certain) absl::SleepFor(certain - MonotonicNow());
  victim = StartNode("victim-2");
  for (const auto& [channel, payload] : recorded) attacker.Publish(channel, payload);
  EXPECT_TRUE(sender->Publish(all_, CallEnvelope("end")).ok());
  EXPECT_EQ(victim->NextMethod(), "end");
  EXPECT_EQ(victim->rejected(Rejection::kStale), static_cast<uint64_t>(kGenuine));
  // Nor by a rejoined one, which has the envelopes of the sender in mind already.
  victim->Begin("victim-3");
  for (const auto& [channel, payload] : recorded) attacker.Publish(channel, payload);
  EXPECT_TRUE(sender->Publish(all_, CallEnvelope("end again")).ok());
  EXPECT_EQ(victim->NextMethod(), "end again");
  EXPECT_EQ(victim->unread(), 0u);
  EXPECT_EQ(victim->rejected(), 2u * kGenuine);
}

TEST_F(ForgeryTest, MessagesToAFormerBootAreNotHandled) {
  Attacker attacker(redis_, {keys_.ChannelBoot("victim")});
  const auto sender = StartNode("sender"), victim = StartNode("victim");
  EXPECT_TRUE(sender->Publish(keys_.ChannelBoot("victim"), CallEnvelope("to-the-boot")).ok());
  EXPECT_EQ(victim->NextMethod(), "to-the-boot");
  std::string payload;
  while (payload.find("to-the-boot") == std::string::npos)
    payload = attacker.Record(1)[0].second;  // Canaries come too.
  victim->Begin("victim-2");
  attacker.Publish(keys_.ChannelBoot("victim"), payload);
  attacker.Publish(keys_.ChannelBoot("victim-2"), payload);
  EXPECT_TRUE(sender->Publish(all_, CallEnvelope("end")).ok());
  EXPECT_EQ(victim->NextMethod(), "end");
  EXPECT_EQ(victim->rejected(Rejection::kForged), 1u);
  EXPECT_EQ(victim->unread(), 0u);
}

// Only a peer with a fault could send it: its own words are refused, and it harms nobody.
TEST_F(ForgeryTest, GenuineEnvelopeWithGarbledContentIsRejected) {
  const auto sender = StartNode("sender"), victim = StartNode("victim");
  internal::v1::Envelope not_utf8 = CallEnvelope("\xFF\xFE");
  EXPECT_TRUE(sender->Publish(all_, not_utf8).ok());
  EXPECT_TRUE(sender->Publish(all_, internal::v1::Envelope()).ok());  // Nothing in it, nobody for it.
  EXPECT_TRUE(sender->Publish(all_, CallEnvelope("end")).ok());
  EXPECT_EQ(victim->NextMethod(), "end");
  EXPECT_EQ(victim->rejected(Rejection::kGarbled), 1u);
}

}  // namespace
}  // namespace actioncluster

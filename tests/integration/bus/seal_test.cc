#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "gtest/gtest.h"
#include "tests/integration/bus/bus_node.h"

// Envelopes that scripts publish, or keep.
namespace actioncluster {
namespace {

class SealTest : public testing::Test {
 protected:
  SealTest() {
    sender_.BeginWell("sender");
    receiver_.BeginWell("receiver");
    receiver_.Listen(channel_);
  }

  absl::StatusOr<std::string> Seal(const internal::v1::Envelope& envelope) {
    return sender_.thread().Run([&] { return sender_.bus().Seal(channel_, envelope); });
  }
  std::string SealCall(absl::string_view method) { return Seal(CallEnvelope(method)).value(); }
  std::optional<internal::v1::Envelope> Unseal(const std::string& channel, const std::string& sealed) {
    return receiver_.thread().Run([&] { return receiver_.bus().Unseal(channel, sealed); });
  }
  void Publish(const std::string& payload) { redis_.Command({"PUBLISH", channel_, payload}); }

  fakes::RedisServer redis_;
  const std::string channel_ = Keys(fakes::kNamespace).ChannelRoom("lobby");
  BusNode sender_{{.endpoint = redis_.endpoint(), .subscriber = std::nullopt}};
  BusNode receiver_{{.endpoint = redis_.endpoint(), .subscriber = std::nullopt}};
};

TEST_F(SealTest, WhatAScriptPublishesIsHeardLikeAnyOtherEnvelope) {
  Publish(SealCall("m"));
  const BusNode::Heard heard = receiver_.NextCall();
  EXPECT_EQ(heard.envelope.call().method(), "m");
  EXPECT_EQ(heard.envelope.sender_id(), "node-of-sender");
  EXPECT_EQ(heard.envelope.sender_boot(), "sender");
  EXPECT_EQ(heard.envelope.postmark(), 0u);
}

TEST_F(SealTest, APostmarkIsTheNumberThatWasPutInFront) {
  for (const std::string number : {"0", "1", "00017", "9007199254740993", "18446744073709551615"}) {
    Publish(absl::StrCat("\2", number, ":", SealCall(number)));
    const BusNode::Heard heard = receiver_.NextCall();
    EXPECT_EQ(heard.envelope.call().method(), number);
    EXPECT_EQ(heard.envelope.postmark(), std::stoull(number));
  }
  EXPECT_EQ(receiver_.rejected(), 0u);
}

TEST_F(SealTest, APostmarkThatIsNoneMakesTheEnvelopeForeign) {
  const std::string sealed = SealCall("m");
  int sent = 0;
  for (const std::string mark : {"\2", "\2:", "\2-1:", "\2+1:", "\2 1:", "\0021x:", "\00218446744073709551616:",
                                 "\002000000000000000000001:", "1:", "\0021", "\2\2:", "\3001:"}) {
    Publish(absl::StrCat(mark, sealed));
    ++sent;
  }
  Publish(absl::StrCat("\0021:\0021:", sealed));
  Publish(SealCall("end"));
  EXPECT_EQ(receiver_.NextMethod(), "end");
  EXPECT_EQ(receiver_.rejected(Rejection::kForeign), static_cast<uint64_t>(sent + 1));
  Publish("\0021:");
  Publish("\002123456");
  Publish("\2");
  Publish(SealCall("end again"));
  EXPECT_EQ(receiver_.NextMethod(), "end again");
  EXPECT_EQ(receiver_.rejected(Rejection::kGarbled), 3u);
}

TEST_F(SealTest, APostmarkFromWithinIsNotBelieved) {
  internal::v1::Envelope envelope = CallEnvelope("m");
  envelope.set_postmark(7);
  const std::string sealed = Seal(envelope).value();
  EXPECT_EQ(TestSealer().Open(channel_, sealed, &envelope), std::nullopt);
  EXPECT_EQ(envelope.postmark(), 0u);
  Publish(sealed);
  EXPECT_EQ(receiver_.NextCall().envelope.postmark(), 0u);
  // Only a peer with a fault could send it.
  envelope.set_postmark(7);
  envelope.set_sender_boot("insider");
  const std::string insiders = TestSealer().Seal(channel_, envelope);
  EXPECT_EQ(Unseal(channel_, insiders)->postmark(), 0u);
  Publish(insiders);
  EXPECT_EQ(receiver_.NextCall().envelope.postmark(), 0u);
}

TEST_F(SealTest, APostmarkDoesNotMakeAnOldEnvelopeNew) {
  const std::string sealed = SealCall("m");
  Publish(absl::StrCat("\0021:", sealed));
  Publish(absl::StrCat("\0022:", sealed));
  Publish(SealCall("end"));
  EXPECT_EQ(receiver_.NextMethod(), "m");
  EXPECT_EQ(receiver_.NextMethod(), "end");
  EXPECT_EQ(receiver_.rejected(Rejection::kReplayed), 1u);
}

TEST_F(SealTest, WhatWasSealedLongAgoIsUnsealedByWhoHasTheToken) {
  internal::v1::Envelope old = CallEnvelope("m");
  old.set_sender_boot("gone");
  old.set_sent_at_us(1);
  const std::string sealed = TestSealer().Seal(channel_, old);
  for (int i = 0; i < 2; ++i) {
    const std::optional<internal::v1::Envelope> unsealed = Unseal(channel_, sealed);
    ASSERT_TRUE(unsealed.has_value());
    EXPECT_EQ(unsealed->call().method(), "m");
    EXPECT_EQ(unsealed->sent_at_us(), 1);
  }
  EXPECT_FALSE(Unseal(Keys(fakes::kNamespace).ChannelRoom("other"), sealed).has_value());
  EXPECT_FALSE(Unseal(channel_, TestSealer("another token, for another cluster").Seal(channel_, old)).has_value());
  EXPECT_FALSE(Unseal(channel_, absl::StrCat("\0021:", sealed)).has_value());
  EXPECT_FALSE(Unseal(channel_, "").has_value());
  std::string changed = sealed;
  changed.back() ^= 1;
  EXPECT_FALSE(Unseal(channel_, changed).has_value());
}

TEST_F(SealTest, WhatCannotBeSentIsNotSealed) {
  internal::v1::Envelope large;
  large.mutable_message()->mutable_content()->set_body(std::string(kMaxSealedBytes, 'x'));
  EXPECT_EQ(ReasonOf(Seal(large).status()), v1::ERROR_REASON_LIMIT_EXCEEDED);
  BusNode idle({.endpoint = redis_.endpoint(), .subscriber = std::nullopt});
  EXPECT_EQ(ReasonOf(idle.thread().Run([&] { return idle.bus().Seal(channel_, CallEnvelope("m")); }).status()),
            v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

}  // namespace
}  // namespace actioncluster

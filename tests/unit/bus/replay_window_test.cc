#include "backplane/bus/replay_window.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kMaxAge = absl::Minutes(1);
constexpr absl::string_view kChannel = "ns:all";
constexpr absl::string_view kBoot = "boot-1";

class ReplayWindowTest : public ::testing::Test {
 protected:
  ReplayWindowTest() { window_.Subscribed(kChannel, Time(0)); }

  // Seconds after the subscription.
  static absl::Time Time(double seconds) { return absl::FromUnixSeconds(1000) + absl::Seconds(seconds); }

  std::optional<Rejection> Admit(uint64_t sequence, double sent_at, double now, double uncertainty = 0,
                                 absl::string_view boot = kBoot, absl::string_view channel = kChannel) {
    return window_.Admit(channel, boot, sequence, Time(sent_at), absl::Seconds(uncertainty), Time(now));
  }

  ReplayWindow window_{kMaxAge};
};

TEST_F(ReplayWindowTest, EachEnvelopeIsAdmittedOnceInEveryOrder) {
  // Of 5 envelopes in any order, just those that are later than all before them are new; a second pass admits none.
  std::vector<uint64_t> order(5);
  std::iota(order.begin(), order.end(), 1);
  int boot = 0;
  do {
    const std::string name = absl::StrCat("boot-", ++boot);
    uint64_t last = 0;
    for (const uint64_t sequence : order) {
      const auto expected = sequence > last ? std::nullopt : std::optional(Rejection::kReplayed);
      EXPECT_EQ(Admit(sequence, 1, 1, 0, name), expected);
      last = std::max(last, sequence);
    }
    for (const uint64_t sequence : order) EXPECT_EQ(Admit(sequence, 1, 1, 0, name), Rejection::kReplayed);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(ReplayWindowTest, BootsAndChannelsAreIndependent) {
  window_.Subscribed("ns:method:m", Time(0));
  EXPECT_EQ(Admit(9, 1, 1), std::nullopt);
  EXPECT_EQ(Admit(3, 1, 1, 0, "boot-2"), std::nullopt);
  EXPECT_EQ(Admit(5, 1, 1, 0, kBoot, "ns:method:m"), std::nullopt);
  EXPECT_EQ(Admit(9, 1, 1), Rejection::kReplayed);
  EXPECT_EQ(Admit(3, 1, 1, 0, "boot-2"), Rejection::kReplayed);
  EXPECT_EQ(Admit(5, 1, 1, 0, kBoot, "ns:method:m"), Rejection::kReplayed);
  EXPECT_EQ(window_.size(), 3u);
}

TEST_F(ReplayWindowTest, SequencesMayLeapToTheLargest) {
  EXPECT_EQ(Admit(1, 1, 1), std::nullopt);
  EXPECT_EQ(Admit(UINT64_MAX, 1, 1), std::nullopt);
  EXPECT_EQ(Admit(UINT64_MAX, 1, 1), Rejection::kReplayed);
}

TEST_F(ReplayWindowTest, RecordingFromBeforeTheSubscriptionIsStaleForANewNode) {
  EXPECT_EQ(Admit(1, -0.001, 0.5), Rejection::kStale);
  EXPECT_EQ(Admit(2, -30, 0.5), Rejection::kStale);
  EXPECT_EQ(window_.size(), 0u);
  EXPECT_EQ(Admit(3, 0, 0.5), std::nullopt);
}

TEST_F(ReplayWindowTest, RecordingWithAHigherSequenceIsStaleAlsoForABootThatIsKnown) {
  window_.Unsubscribed(kChannel);
  window_.Subscribed(kChannel, Time(20));
  EXPECT_EQ(Admit(1, 21, 21), std::nullopt);
  EXPECT_EQ(Admit(2, 19, 22), Rejection::kStale);
}

TEST_F(ReplayWindowTest, LossOfTheConnectionDoesNotMoveTheSubscription) {
  window_.Subscribed(kChannel, Time(30));
  EXPECT_EQ(Admit(1, 29, 31), std::nullopt);
}

TEST_F(ReplayWindowTest, ChannelThatWasNeverOrIsNoLongerSubscribedAdmitsNothing) {
  EXPECT_EQ(Admit(1, 1, 1, 0, kBoot, "ns:other"), Rejection::kStale);
  EXPECT_EQ(Admit(1, 1, 1), std::nullopt);
  window_.Unsubscribed(kChannel);
  window_.Unsubscribed("ns:never");
  EXPECT_EQ(Admit(2, 2, 2), Rejection::kStale);
}

TEST_F(ReplayWindowTest, WhatWasSeenStaysKnownOverANewSubscription) {
  EXPECT_EQ(Admit(1, 9.9, 10, 1), std::nullopt);
  window_.Unsubscribed(kChannel);
  window_.Subscribed(kChannel, Time(10.1));
  EXPECT_EQ(Admit(1, 9.9, 10.2, 1), Rejection::kReplayed);
}

TEST_F(ReplayWindowTest, OlderThanTheMaximumIsStale) {
  EXPECT_EQ(Admit(1, 100, 160.001), Rejection::kStale);
  EXPECT_EQ(Admit(1, 100, 160), std::nullopt);
}

TEST_F(ReplayWindowTest, StampThatHasNotComeIsAhead) {
  EXPECT_EQ(Admit(1, 12.001, 10), Rejection::kAhead);
  EXPECT_EQ(Admit(1, 1e9, 10), Rejection::kAhead);
  EXPECT_EQ(Admit(1, 12, 10), std::nullopt);
}

TEST_F(ReplayWindowTest, UncertainClocksAreInFavourOfTheSenderOnBothSides) {
  EXPECT_EQ(Admit(1, -0.5, 1, 0.4), Rejection::kStale);
  EXPECT_EQ(Admit(1, -0.5, 1, 0.5), std::nullopt);
  EXPECT_EQ(Admit(2, 12.5, 10, 0.4), Rejection::kAhead);
  EXPECT_EQ(Admit(2, 12.5, 10, 0.5), std::nullopt);
  EXPECT_EQ(Admit(3, 100, 160.5, 0.4), Rejection::kStale);
  EXPECT_EQ(Admit(3, 100, 160.5, 0.5), std::nullopt);
}

TEST_F(ReplayWindowTest, UncertaintyIsNoExcuseWithoutLimit) {
  EXPECT_EQ(Admit(1, -16, 1, 1e9), Rejection::kStale);
  EXPECT_EQ(Admit(1, 28, 10, 1e9), Rejection::kAhead);
  EXPECT_EQ(Admit(1, -1, 1, -5), Rejection::kStale);
  EXPECT_EQ(window_.Admit(kChannel, kBoot, 1, absl::InfiniteFuture(), absl::InfiniteDuration(), Time(1)),
            Rejection::kAhead);
  EXPECT_EQ(window_.Admit(kChannel, kBoot, 1, absl::InfinitePast(), absl::InfiniteDuration(), Time(1)),
            Rejection::kStale);
}

TEST_F(ReplayWindowTest, RejectedEnvelopeLeavesNoTrace) {
  EXPECT_EQ(Admit(1000, 50, 10), Rejection::kAhead);
  EXPECT_EQ(Admit(1, 10, 10), std::nullopt);
}

TEST_F(ReplayWindowTest, SilentBootsAreForgottenAndCannotComeBack) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Admit(7, 10, 10, 0, absl::StrCat("boot-", i)), std::nullopt);
  window_.Forget(Time(60));
  EXPECT_EQ(window_.size(), 100u);
  EXPECT_EQ(Admit(8, 100, 100, 0, "boot-3"), std::nullopt);
  window_.Forget(Time(131));
  EXPECT_EQ(window_.size(), 1u);
  EXPECT_EQ(Admit(7, 10, 131, 15, "boot-4"), Rejection::kStale);
  EXPECT_EQ(Admit(8, 100, 131, 0, "boot-3"), Rejection::kReplayed);
}

TEST_F(ReplayWindowTest, BootIsRememberedAsLongAsUncertainClocksCouldBringItsLastEnvelopeBack) {
  EXPECT_EQ(Admit(1, 25, 10, 15), std::nullopt);
  window_.Forget(Time(99));
  EXPECT_EQ(Admit(1, 25, 99, 15), Rejection::kReplayed);
  window_.Forget(Time(131));
  EXPECT_EQ(Admit(1, 25, 131, 15), Rejection::kStale);
}

// Against the definition: whatever the traffic, the recordings, the wrong clocks and the calls of Forget, nothing is admitted twice.
TEST_F(ReplayWindowTest, NothingIsEverAdmittedTwice) {
  struct Recorded {
    std::string channel, boot;
    uint64_t sequence;
    double sent_at, uncertainty;
    int admitted = 0;
  };
  std::mt19937 random(7);
  std::vector<Recorded> recordings;
  std::map<std::string, uint64_t> sequences;
  double now = 0;
  int admitted = 0;
  const auto replay = [&](Recorded& one) {
    if (!Admit(one.sequence, one.sent_at, now, one.uncertainty, one.boot, one.channel)) ++one.admitted, ++admitted;
    ASSERT_LE(one.admitted, 1) << one.boot << " " << one.sequence;
  };
  for (int round = 0; round < 100'000; ++round) {
    now += std::exponential_distribution<double>(10)(random) * (random() % 1000 == 0 ? 1000 : 1);
    const std::string channel = absl::StrCat("c", random() % 3);
    switch (random() % 200) {
      case 0:
        window_.Forget(Time(now));
        break;
      case 1:
        window_.Unsubscribed(channel);
        break;
      case 2:
        window_.Subscribed(channel, Time(now));
        break;
      default:
        break;
    }
    if (random() % 2 == 0) {
      const std::string boot = absl::StrCat("b", random() % 5);
      const double uncertainty = (random() % 100) / 50.0;
      const double error = uncertainty * (2.0 * (random() % 100) / 100 - 1);
      recordings.push_back({channel, boot, ++sequences[boot], now + error, uncertainty});
      if (random() % 10 != 0) replay(recordings.back());
    } else if (!recordings.empty()) {
      const size_t back = std::min<size_t>(recordings.size(), 1 + random() % 2000);
      replay(recordings[recordings.size() - back]);
    }
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(admitted, 10'000);
}

TEST(ReplayWindowSubscriptionTest, AChannelIsSubscribedFromItsConfirmationUntilItIsGivenUp) {
  ReplayWindow window(absl::Minutes(1));
  EXPECT_FALSE(window.IsSubscribed("c"));
  window.Subscribed("c", absl::UnixEpoch());
  EXPECT_TRUE(window.IsSubscribed("c"));
  EXPECT_FALSE(window.IsSubscribed("d"));
  window.Unsubscribed("c");
  EXPECT_FALSE(window.IsSubscribed("c"));
}

}  // namespace
}  // namespace actioncluster

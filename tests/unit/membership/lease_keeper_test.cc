#include "backplane/membership/lease_keeper.h"

#include "gtest/gtest.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kLease = absl::Seconds(6);
constexpr absl::Time kStart = absl::FromUnixSeconds(3600);

absl::Time At(int milliseconds) { return kStart + absl::Milliseconds(milliseconds); }

class LeaseKeeperTest : public testing::Test {
 protected:
  LeaseKeeper keeper_{kLease};
};

TEST_F(LeaseKeeperTest, HoldsNothingAndIsNeverDueBeforeItHasJoined) {
  EXPECT_FALSE(keeper_.Holds(kStart));
  EXPECT_EQ(keeper_.next_renewal(), absl::InfiniteFuture());
  EXPECT_EQ(keeper_.holds_until(), absl::InfinitePast());
}

TEST_F(LeaseKeeperTest, HoldsForALeaseFromWhenTheJoinWasSent) {
  keeper_.Joined(kStart);
  EXPECT_TRUE(keeper_.Holds(At(5999)));
  EXPECT_FALSE(keeper_.Holds(At(6000)));
  EXPECT_EQ(keeper_.next_renewal(), At(2000));
}

TEST_F(LeaseKeeperTest, ARenewalCountsFromWhenItWasSent) {
  keeper_.Joined(kStart);
  keeper_.RenewalSent();
  keeper_.Renewed(At(2000), absl::InfiniteFuture());
  EXPECT_EQ(keeper_.holds_until(), At(8000));
  EXPECT_EQ(keeper_.next_renewal(), At(4000));
}

TEST_F(LeaseKeeperTest, OnlyOneRenewalIsUnderWay) {
  keeper_.Joined(kStart);
  keeper_.RenewalSent();
  EXPECT_EQ(keeper_.next_renewal(), absl::InfiniteFuture());
  keeper_.Doubt(At(2100));
  EXPECT_EQ(keeper_.next_renewal(), absl::InfiniteFuture());
}

TEST_F(LeaseKeeperTest, TriesAgainSoonAfterAFailureWhileTheLeaseGoesOnRunningOut) {
  keeper_.Joined(kStart);
  keeper_.RenewalSent();
  keeper_.RenewalFailed(At(4000));
  EXPECT_EQ(keeper_.next_renewal(), At(4600));
  EXPECT_EQ(keeper_.holds_until(), At(6000));
}

TEST_F(LeaseKeeperTest, ALeaseThatRanOutHoldsAgainWhenRedisStillHasTheEntry) {
  keeper_.Joined(kStart);
  EXPECT_FALSE(keeper_.Holds(At(60000)));
  keeper_.RenewalSent();
  keeper_.Renewed(At(60000), absl::InfiniteFuture());
  EXPECT_TRUE(keeper_.Holds(At(60001)));
}

TEST_F(LeaseKeeperTest, AnAnswerThatTookLongerThanTheLeaseDoesNotMakeItHold) {
  keeper_.Joined(kStart);
  keeper_.RenewalSent();
  keeper_.Renewed(At(2000), absl::InfiniteFuture());
  EXPECT_FALSE(keeper_.Holds(At(8500)));
}

TEST_F(LeaseKeeperTest, AnAnswerToAnEarlierRenewalDoesNotShortenTheLease) {
  keeper_.Joined(kStart);
  keeper_.RenewalSent();
  keeper_.RenewalFailed(At(2500));
  keeper_.RenewalSent();
  keeper_.Renewed(At(3100), absl::InfiniteFuture());
  keeper_.Renewed(At(2000), absl::InfiniteFuture());
  EXPECT_EQ(keeper_.holds_until(), At(9100));
}

TEST_F(LeaseKeeperTest, RenewsJustAfterTheLeaseOfAnotherEnds) {
  keeper_.Joined(kStart);
  keeper_.Renewed(At(2000), At(2500));
  EXPECT_EQ(keeper_.next_renewal(), At(2501));
  keeper_.Renewed(At(2501), At(7000));
  EXPECT_EQ(keeper_.next_renewal(), At(4501));
}

TEST_F(LeaseKeeperTest, WhatRedisSaysOfOthersCannotMakeItRenewWithoutPause) {
  keeper_.Joined(kStart);
  keeper_.Renewed(At(2000), absl::InfinitePast());
  EXPECT_EQ(keeper_.next_renewal(), At(2120));
}

TEST_F(LeaseKeeperTest, DoubtMakesARenewalDueAtOnceAndNeverLater) {
  keeper_.Joined(kStart);
  keeper_.Doubt(At(100));
  EXPECT_EQ(keeper_.next_renewal(), At(100));
  keeper_.Doubt(At(200));
  EXPECT_EQ(keeper_.next_renewal(), At(100));
}

TEST_F(LeaseKeeperTest, NothingThatComesAfterTheEndBringsTheLeaseBack) {
  keeper_.Joined(kStart);
  keeper_.RenewalSent();
  keeper_.Ended();
  keeper_.Renewed(At(2000), absl::InfiniteFuture());
  keeper_.RenewalFailed(At(2100));
  keeper_.RenewalSent();
  keeper_.Doubt(At(2200));
  EXPECT_FALSE(keeper_.Holds(At(2001)));
  EXPECT_EQ(keeper_.next_renewal(), absl::InfiniteFuture());
}

TEST_F(LeaseKeeperTest, JoiningAgainForgetsTheRenewalThatWasUnderWay) {
  keeper_.Joined(kStart);
  keeper_.RenewalSent();
  keeper_.Ended();
  keeper_.Joined(At(9000));
  EXPECT_EQ(keeper_.next_renewal(), At(11000));
  EXPECT_TRUE(keeper_.Holds(At(14999)));
}

}  // namespace
}  // namespace actioncluster

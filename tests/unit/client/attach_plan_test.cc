#include "client/attach_plan.h"

#include <string>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster::client {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::Le;
using testing::UnorderedElementsAre;

constexpr absl::Duration kWhile = absl::Seconds(10);

class AttachPlanTest : public testing::Test {
 protected:
  // The next attempt's address, which must be due at once.
  std::string NextNow(AttachPlan& plan) const {
    const AttachPlan::Attempt attempt = plan.Next(now_);
    EXPECT_EQ(attempt.at, now_) << attempt.address;
    return attempt.address;
  }

  std::vector<std::string> FailAtOnce(AttachPlan& plan, int count) const {
    std::vector<std::string> tried;
    for (int i = 0; i < count; ++i) {
      tried.push_back(NextNow(plan));
      plan.Failed(tried.back(), now_);
    }
    return tried;
  }

  void AttachForAWhile(AttachPlan& plan, absl::Duration how_long = kWhile) {
    plan.Attached(now_);
    now_ += how_long;
  }

  absl::BitGen random_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
};

TEST_F(AttachPlanTest, TheConfiguredAddressesAreTriedFirstAtOnceAndInTheirOrder) {
  AttachPlan plan({"a", "b", "c"}, random_);
  EXPECT_THAT(FailAtOnce(plan, 3), ElementsAre("a", "b", "c"));
}

TEST_F(AttachPlanTest, WhenAllHaveFailedItWaitsLongerEachTimeAndTriesAllAgain) {
  AttachPlan plan({"a", "b"}, random_);
  FailAtOnce(plan, 2);
  absl::Duration backoff = absl::Milliseconds(50);
  for (int round = 0; round < 10; ++round) {
    const AttachPlan::Attempt attempt = plan.Next(now_);
    EXPECT_EQ(attempt.address, "a");
    EXPECT_THAT(attempt.at - now_, AllOf(Ge(backoff), Le(2 * backoff))) << "round " << round;
    now_ = attempt.at;
    plan.Failed("a", now_);
    EXPECT_EQ(NextNow(plan), "b");
    plan.Failed("b", now_);
    backoff = std::min(2 * backoff, absl::Seconds(1));
  }
}

TEST_F(AttachPlanTest, DelaysAreSpreadOverTheirWholeRange) {
  absl::Duration shortest = absl::InfiniteDuration();
  absl::Duration longest = absl::ZeroDuration();
  for (int i = 0; i < 1000; ++i) {
    AttachPlan plan({"a"}, random_);
    FailAtOnce(plan, 1);
    const absl::Duration delay = plan.Next(now_).at - now_;
    shortest = std::min(shortest, delay);
    longest = std::max(longest, delay);
  }
  EXPECT_THAT(shortest, AllOf(Ge(absl::Milliseconds(50)), Le(absl::Milliseconds(55))));
  EXPECT_THAT(longest, AllOf(Ge(absl::Milliseconds(95)), Le(absl::Milliseconds(100))));
}

TEST_F(AttachPlanTest, AfterALossAllOthersAreTriedAtOnceTheListedOnesFirstAndTheLostOneLast) {
  AttachPlan plan({"a", "b"}, random_);
  EXPECT_EQ(NextNow(plan), "a");
  plan.Learn({"x", "a", "y"});
  AttachForAWhile(plan);
  plan.Failed("a", now_);
  const std::vector<std::string> tried = FailAtOnce(plan, 4);
  EXPECT_THAT(std::vector(tried.begin(), tried.begin() + 2), UnorderedElementsAre("x", "y"));
  EXPECT_THAT(std::vector(tried.begin() + 2, tried.end()), ElementsAre("b", "a"));
  EXPECT_GT(plan.Next(now_).at, now_) << "each only once";
}

TEST_F(AttachPlanTest, ARoundDoesNotGrowWithTheCluster) {
  AttachPlan plan({"a", "b"}, random_);
  EXPECT_EQ(NextNow(plan), "a");
  std::vector<std::string> listed;
  std::vector<std::string> named;
  for (int i = 0; i < 100; ++i) {
    listed.push_back(absl::StrCat("listed-", i));
    named.push_back(absl::StrCat("named-", i));
  }
  plan.Learn(listed);
  AttachForAWhile(plan);
  plan.Leave("a", named, now_);
  const std::vector<std::string> tried = FailAtOnce(plan, 8);
  for (size_t i = 0; i < 3; ++i) EXPECT_THAT(named, testing::Contains(tried[i]));
  for (size_t i = 3; i < 6; ++i) EXPECT_THAT(listed, testing::Contains(tried[i]));
  EXPECT_EQ(tried[6], "b");
  EXPECT_EQ(tried[7], "a");
  EXPECT_GT(plan.Next(now_).at, now_);
}

TEST_F(AttachPlanTest, TheAlternativesOfADrainingNodeComeFirst) {
  AttachPlan plan({"a"}, random_);
  NextNow(plan);
  plan.Learn({"x", "y", "a"});
  AttachForAWhile(plan);
  plan.Leave("a", {"y", "z", "a"}, now_);
  const std::vector<std::string> tried = FailAtOnce(plan, 4);
  EXPECT_THAT(std::vector(tried.begin(), tried.begin() + 2), UnorderedElementsAre("y", "z"));
  EXPECT_THAT(std::vector(tried.begin() + 2, tried.end()), ElementsAre("x", "a"));
}

TEST_F(AttachPlanTest, ADrainingNodeThatIsTheOnlyOneKnownIsTriedAgain) {
  AttachPlan plan({"a"}, random_);
  NextNow(plan);
  AttachForAWhile(plan);
  plan.Leave("a", {}, now_);
  EXPECT_EQ(NextNow(plan), "a");
}

TEST_F(AttachPlanTest, WhatTheListSaysReplacesWhatItSaidBefore) {
  AttachPlan plan({"a"}, random_);
  NextNow(plan);
  plan.Learn({"x"});
  plan.Learn({"y"});
  AttachForAWhile(plan);
  plan.Failed("a", now_);
  EXPECT_THAT(FailAtOnce(plan, 2), ElementsAre("y", "a"));
}

TEST_F(AttachPlanTest, WhatIsLearntDuringARoundCountsInTheNext) {
  AttachPlan plan({"a", "b"}, random_);
  EXPECT_EQ(NextNow(plan), "a");
  plan.Learn({"x"});
  plan.Failed("a", now_);
  EXPECT_EQ(NextNow(plan), "b");
  plan.Failed("b", now_);
  EXPECT_EQ(plan.Next(now_).address, "x");
}

TEST_F(AttachPlanTest, ThoseWhoLoseOneNodeAreSpreadOverTheOthers) {
  int first = 0;
  for (int i = 0; i < 1000; ++i) {
    AttachPlan plan({"a"}, random_);
    NextNow(plan);
    plan.Learn({"a", "x", "y"});
    plan.Attached(now_);
    plan.Failed("a", now_ + kWhile);
    if (plan.Next(now_ + kWhile).address == "x") ++first;
  }
  EXPECT_THAT(first, AllOf(Ge(400), Le(600)));
}

TEST_F(AttachPlanTest, AStreamThatStoodForAWhileMakesTheDelaysSmallAgain) {
  AttachPlan plan({"a"}, random_);
  FailAtOnce(plan, 1);
  for (int i = 0; i < 8; ++i) {
    now_ = plan.Next(now_).at;
    plan.Failed("a", now_);
  }
  now_ = plan.Next(now_).at;
  AttachForAWhile(plan);
  plan.Failed("a", now_);
  EXPECT_EQ(NextNow(plan), "a");
  plan.Failed("a", now_);
  EXPECT_LE(plan.Next(now_).at - now_, absl::Milliseconds(100));
}

TEST_F(AttachPlanTest, ANodeThatLetsGoAtOnceIsNotHammered) {
  AttachPlan plan({"a"}, random_);
  absl::Time due = now_;
  std::vector<absl::Duration> delays;
  for (int i = 0; i < 8; ++i) {
    const AttachPlan::Attempt attempt = plan.Next(due);
    delays.push_back(attempt.at - due);
    plan.Attached(attempt.at);
    due = attempt.at + absl::Milliseconds(900);
    plan.Failed("a", due);
  }
  EXPECT_EQ(delays.front(), absl::ZeroDuration());
  EXPECT_GE(delays[1], absl::Milliseconds(50));
  EXPECT_GE(delays.back(), absl::Seconds(1));
}

TEST_F(AttachPlanTest, NodesThatLetGoAtOnceAreEachTriedInTheRound) {
  AttachPlan plan({"a", "b"}, random_);
  EXPECT_EQ(NextNow(plan), "a");
  AttachForAWhile(plan, absl::Milliseconds(10));
  plan.Failed("a", now_);
  EXPECT_EQ(NextNow(plan), "b");
}

TEST_F(AttachPlanTest, NodesThatAllDrainAndNameEachOtherAreNotHammered) {
  AttachPlan plan({"a", "b"}, random_);
  AttachPlan::Attempt attempt = plan.Next(now_);
  for (int i = 0; i < 8; ++i) {
    plan.Leave(attempt.address, {attempt.address == "a" ? "b" : "a"}, attempt.at);
    const absl::Time left = attempt.at;
    const std::string from = attempt.address;
    attempt = plan.Next(left);
    EXPECT_NE(attempt.address, from);
    EXPECT_GE(attempt.at - left, absl::Milliseconds(50));
    if (i >= 5) {
      EXPECT_GE(attempt.at - left, absl::Seconds(1));
    }
  }
}

TEST_F(AttachPlanTest, TheEndOfOneStreamCountsOnceOnly) {
  AttachPlan plan({"a", "b"}, random_);
  EXPECT_EQ(NextNow(plan), "a");
  AttachForAWhile(plan);
  plan.Failed("a", now_);
  EXPECT_EQ(NextNow(plan), "b");
  // An attempt that fails long after the stream stood: no stream stood meanwhile, so the round goes on.
  now_ += kWhile;
  plan.Failed("b", now_);
  EXPECT_EQ(NextNow(plan), "a");
  plan.Failed("a", now_);
  EXPECT_GT(plan.Next(now_).at, now_);
}

}  // namespace
}  // namespace actioncluster::client

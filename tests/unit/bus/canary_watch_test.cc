#include "backplane/bus/canary_watch.h"

#include "gtest/gtest.h"

namespace actioncluster {
namespace {

class CanaryWatchTest : public ::testing::Test {
 protected:
  static absl::Time Time(double seconds) { return absl::FromUnixSeconds(1000) + absl::Seconds(seconds); }

  CanaryWatch watch_{absl::Seconds(3)};
};

TEST_F(CanaryWatchTest, IsWellOnlyWhenTheFirstCanaryIsBack) {
  EXPECT_FALSE(watch_.well());
  const uint64_t number = watch_.Next();
  watch_.Taken(number, Time(0));
  EXPECT_FALSE(watch_.well());
  watch_.Heard(number, Time(0));
  EXPECT_TRUE(watch_.well());
}

TEST_F(CanaryWatchTest, StaysWellWhileCanariesComeBackInWhateverOrderRedisAnswers) {
  for (int second = 0; second < 20; ++second) {
    EXPECT_FALSE(watch_.Deaf(Time(second)));
    const uint64_t number = watch_.Next();
    if (second % 2 == 0) watch_.Taken(number, Time(second + 0.1));
    watch_.Heard(number, Time(second + 0.1));
    if (second % 2 == 1) watch_.Taken(number, Time(second + 0.1));
    EXPECT_TRUE(watch_.well());
  }
}

TEST_F(CanaryWatchTest, SubscriberIsDeafWhenRedisTakesCanariesAndNoneComesBack) {
  int deaf_at = -1;
  for (int second = 0; second < 5 && deaf_at < 0; ++second) {
    if (watch_.Deaf(Time(second))) deaf_at = second;
    watch_.Taken(watch_.Next(), Time(second));
  }
  EXPECT_EQ(deaf_at, 3);
  // The new connection gets its time.
  EXPECT_FALSE(watch_.Deaf(Time(4)));
  EXPECT_FALSE(watch_.Deaf(Time(5)));
  EXPECT_TRUE(watch_.Deaf(Time(6)));
}

TEST_F(CanaryWatchTest, SilentRedisIsNotADeafSubscriber) {
  watch_.Heard(watch_.Next(), Time(0));
  for (int second = 0; second < 20; ++second) {
    EXPECT_FALSE(watch_.Deaf(Time(second)));
    watch_.Next();  // Sent, and never taken.
    EXPECT_EQ(watch_.well(), second <= 3) << second;
  }
  watch_.Heard(watch_.Next(), Time(20));
  EXPECT_TRUE(watch_.well());
}

TEST_F(CanaryWatchTest, CanaryFromBeforeAnInterruptionProvesNothing) {
  const uint64_t before = watch_.Next();
  watch_.Heard(before, Time(0));
  const uint64_t on_the_way = watch_.Next();
  watch_.Restart();
  EXPECT_FALSE(watch_.well());
  watch_.Taken(on_the_way, Time(1));
  watch_.Heard(on_the_way, Time(1));
  EXPECT_FALSE(watch_.well());
  watch_.Heard(watch_.Next(), Time(2));
  EXPECT_TRUE(watch_.well());
}

TEST_F(CanaryWatchTest, ProcessThatWasStoppedJudgesOnlyWhenItHasReadWhatCame) {
  EXPECT_FALSE(watch_.Deaf(Time(0)));
  watch_.Heard(watch_.Next(), Time(0));
  const uint64_t unread = watch_.Next();
  watch_.Taken(unread, Time(0));
  EXPECT_FALSE(watch_.Deaf(Time(100)));
  EXPECT_TRUE(watch_.well());
  watch_.Heard(unread, Time(100));
  EXPECT_FALSE(watch_.Deaf(Time(101)));
  EXPECT_TRUE(watch_.well());
}

TEST_F(CanaryWatchTest, ProcessThatWasStoppedAndHearsNothingThenIsNotWell) {
  EXPECT_FALSE(watch_.Deaf(Time(0)));
  watch_.Heard(watch_.Next(), Time(0));
  watch_.Taken(watch_.Next(), Time(0));
  EXPECT_FALSE(watch_.Deaf(Time(100)));
  EXPECT_FALSE(watch_.Deaf(Time(101)));
  EXPECT_FALSE(watch_.well());
  EXPECT_FALSE(watch_.Deaf(Time(102)));
  EXPECT_TRUE(watch_.Deaf(Time(103)));
}

}  // namespace
}  // namespace actioncluster

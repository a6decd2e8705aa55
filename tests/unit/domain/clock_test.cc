#include "backplane/domain/clock.h"

#include "gtest/gtest.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kMs = absl::Milliseconds(1);

class RedisClockTest : public testing::Test {
 protected:
  // A sample at `start` that took `trip`, by a Redis whose clock is `offset` ahead, asked after `share` of the trip.
  void Observe(absl::Time start, absl::Duration trip, absl::Duration offset, double share = 0.5) {
    clock_.Observe(start, start + trip, start + trip * share + offset);
  }

  const absl::Time start_ = absl::UnixEpoch() + absl::Hours(5);
  RedisClock clock_;
};

TEST(MonotonicNowTest, DoesNotGoBack) {
  const absl::Time before = MonotonicNow();
  EXPECT_LE(before, MonotonicNow());
}

TEST_F(RedisClockTest, KnowsNothingBeforeTheFirstSample) {
  EXPECT_FALSE(clock_.known());
  Observe(start_, 2 * kMs, absl::Hours(1));
  EXPECT_TRUE(clock_.known());
  EXPECT_EQ(clock_.At(start_), start_ + absl::Hours(1));
  EXPECT_EQ(clock_.ToMonotonic(start_ + absl::Hours(1)), start_);
}

TEST_F(RedisClockTest, TheTruthIsWithinTheUncertaintyHoweverTheTripWasSplit) {
  for (const double share : {0.0, 0.1, 0.5, 1.0}) {
    RedisClock clock;
    clock.Observe(start_, start_ + 10 * kMs, start_ + 10 * kMs * share + absl::Hours(1));
    const absl::Duration error = absl::AbsDuration(clock.At(start_) - (start_ + absl::Hours(1)));
    EXPECT_LE(error, clock.Uncertainty(start_ + 10 * kMs));
  }
}

TEST_F(RedisClockTest, ALessCertainSampleIsIgnored) {
  Observe(start_, kMs, absl::Hours(1));
  Observe(start_ + absl::Seconds(1), 20 * kMs, absl::Hours(1), 0.9);
  EXPECT_EQ(clock_.At(start_), start_ + absl::Hours(1));
}

TEST_F(RedisClockTest, AMoreCertainSampleIsTaken) {
  Observe(start_, 20 * kMs, absl::Hours(1), 0.9);
  EXPECT_EQ(clock_.At(start_), start_ + absl::Hours(1) + 8 * kMs);
  Observe(start_ + absl::Seconds(1), kMs, absl::Hours(1));
  EXPECT_EQ(clock_.At(start_), start_ + absl::Hours(1));
  EXPECT_LT(clock_.Uncertainty(start_ + absl::Seconds(1)), kMs);
}

TEST_F(RedisClockTest, CertaintyDecaysUntilALesserSampleIsBetter) {
  Observe(start_, kMs, absl::Hours(1));
  const absl::Time later = start_ + absl::Minutes(10);
  EXPECT_GT(clock_.Uncertainty(later), 100 * kMs);
  Observe(later, 20 * kMs, absl::Hours(1) + 50 * kMs);
  EXPECT_EQ(clock_.At(later), later + absl::Hours(1) + 50 * kMs);
}

TEST_F(RedisClockTest, ASampleThatContradictsReplacesAtOnceThoughLessCertain) {
  Observe(start_, kMs, absl::Hours(1));
  const absl::Time later = start_ + absl::Seconds(1);
  Observe(later, 20 * kMs, absl::Hours(-2));
  EXPECT_EQ(clock_.At(later), later - absl::Hours(2));
}

TEST_F(RedisClockTest, ASampleThatEndsBeforeItBeginsIsIgnored) {
  clock_.Observe(start_, start_ - kMs, start_);
  EXPECT_FALSE(clock_.known());
}

}  // namespace
}  // namespace actioncluster

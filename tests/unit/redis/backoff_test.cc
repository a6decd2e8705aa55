#include "backplane/redis/backoff.h"

#include "gtest/gtest.h"

namespace actioncluster::redis {
namespace {

TEST(BackoffTest, TheLimitDoublesUpToItsMaximum) {
  Backoff backoff(absl::Milliseconds(20), absl::Milliseconds(100));
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(10));
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(20));
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(40));
  for (int i = 0; i < 200; ++i) EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(50));
}

TEST(BackoffTest, TheDelayIsAnythingBelowTheLimit) {
  Backoff backoff(absl::Milliseconds(20), absl::Milliseconds(20));
  EXPECT_EQ(backoff.Next(0), absl::ZeroDuration());
  EXPECT_LT(backoff.Next(0.999), absl::Milliseconds(20));
}

TEST(BackoffTest, ResetBeginsAnew) {
  Backoff backoff(absl::Milliseconds(20), absl::Seconds(1));
  for (int i = 0; i < 5; ++i) backoff.Next(0.5);
  backoff.Reset();
  EXPECT_EQ(backoff.Next(0.5), absl::Milliseconds(10));
}

}  // namespace
}  // namespace actioncluster::redis

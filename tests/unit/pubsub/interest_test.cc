#include "backplane/pubsub/interest.h"

#include <string>

#include "absl/time/time.h"
#include "backplane/domain/clock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

TEST(MatchesPatternTest, WithoutAsteriskOnlyItselfMatches) {
  EXPECT_TRUE(MatchesPattern("a.b", "a.b"));
  EXPECT_FALSE(MatchesPattern("a.b", "a.bc"));
  EXPECT_FALSE(MatchesPattern("a.b", "a."));
  EXPECT_FALSE(MatchesPattern("a.b", ""));
}

TEST(MatchesPatternTest, AnAsteriskStandsForAnyCharactersAlsoNone) {
  EXPECT_TRUE(MatchesPattern("*", "anything"));
  EXPECT_TRUE(MatchesPattern("*", ""));
  EXPECT_TRUE(MatchesPattern("a*", "a"));
  EXPECT_TRUE(MatchesPattern("a*c", "ac"));
  EXPECT_TRUE(MatchesPattern("a*c", "abbbc"));
  EXPECT_FALSE(MatchesPattern("a*c", "abbb"));
  EXPECT_FALSE(MatchesPattern("a*", "ba"));
  EXPECT_TRUE(MatchesPattern("*.created", "user.created"));
  EXPECT_TRUE(MatchesPattern("user.*.v*", "user.created.v2"));
  EXPECT_FALSE(MatchesPattern("user.*.v*", "user.created.2"));
  EXPECT_TRUE(MatchesPattern("**a**", "a"));
}

TEST(MatchesPatternTest, AnAsteriskTakesMoreWhenWhatFollowsFitsOnlyLater) {
  EXPECT_TRUE(MatchesPattern("*ab", "aab"));
  EXPECT_TRUE(MatchesPattern("*aab", "aaaab"));
  EXPECT_TRUE(MatchesPattern("a*b*c", "abxbxcxc"));
  EXPECT_FALSE(MatchesPattern("a*b*c", "abxbxcxd"));
}

TEST(MatchesPatternTest, EverythingElseIsForItself) {
  EXPECT_TRUE(MatchesPattern("a?[b]\\^", "a?[b]\\^"));
  EXPECT_FALSE(MatchesPattern("a?", "ab"));
  EXPECT_FALSE(MatchesPattern("[ab]", "a"));
  EXPECT_TRUE(MatchesPattern("ü*👋", "ü ist 👋"));
}

TEST(MatchesPatternTest, AnEvilPatternTakesNoLongerThanItsLengthTimesTheTypes) {
  const std::string type(256, 'a');
  std::string pattern;
  for (int i = 0; i < 8; ++i) pattern += "*a";
  pattern += "b";
  const absl::Time begun = MonotonicNow();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(MatchesPattern(pattern, type));
  EXPECT_LT(MonotonicNow() - begun, absl::Seconds(1));  // 256 over 8 tries would take years.
}

TEST(InterestTest, MatchesByTypeOrByPattern) {
  const Interest interest{.types = {"a", "b*"}, .patterns = {"c.*", "*.d"}};
  for (const char* type : {"a", "b*", "c.", "c.x", "x.d"}) EXPECT_TRUE(interest.Matches(type)) << type;
  for (const char* type : {"b", "bx", "c", "d", ""}) EXPECT_FALSE(interest.Matches(type)) << type;
}

}  // namespace
}  // namespace actioncluster

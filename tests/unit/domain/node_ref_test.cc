#include "backplane/domain/node_ref.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

TEST(RandomBootIdTest, IsSixteenHexadecimalDigitsAndNeverTheSame) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = RandomBootId();
    EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]{16}"));
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 1000u);
}

TEST(NodeRefTest, IsEqualOnlyInNameAndBoot) {
  EXPECT_EQ((NodeRef{"a", "1"}), (NodeRef{"a", "1"}));
  EXPECT_NE((NodeRef{"a", "1"}), (NodeRef{"a", "2"}));
  EXPECT_LT((NodeRef{"a", "2"}), (NodeRef{"b", "1"}));
}

}  // namespace
}  // namespace actioncluster

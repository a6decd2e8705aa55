#include "backplane/rpc/addressing.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const NodeRef kA{"node-a", "boot-a"};
const NodeRef kB{"node-b", "boot-b"};
const NodeRef kC{"node-c", "boot-c"};

internal::v1::NodeRecord Record(const NodeRef& node, const std::vector<std::string>& methods) {
  internal::v1::NodeRecord record;
  record.set_id(node.id);
  record.set_boot_id(node.boot);
  for (const std::string& method : methods) record.add_methods(method);
  return record;
}

class AddressingTest : public ::testing::Test {
 protected:
  AddressingTest() { directory_.Replace(1, {Record(kA, {"m"}), Record(kB, {"m", "n"}), Record(kC, {"m"})}); }

  absl::StatusOr<Addressees> Find(absl::string_view method, const CallTarget& target, const NodeRef& self = kA,
                                  absl::string_view holder = "") {
    return FindAddressees(directory_, method, target, self, holder, random_);
  }

  Directory directory_;
  absl::BitGen random_;
};

TEST_F(AddressingTest, AllAreThoseThatOfferTheMethod) {
  const absl::StatusOr<Addressees> found = Find("m", AllNodes{});
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(found->nodes, ElementsAre(kA, kB, kC));
  EXPECT_THAT(found->fallbacks, IsEmpty());
}

TEST_F(AddressingTest, EveryNodeOffersTheNodesOwnMethods) {
  EXPECT_EQ(Find("node.ping", AllNodes{})->nodes.size(), 3u);
  EXPECT_THAT(Find("node.ping", OneNode{kC.id})->nodes, ElementsAre(kC));
}

TEST_F(AddressingTest, AnyIsThisNodeIfItOffersTheMethodThenTheOthers) {
  for (int i = 0; i < 20; ++i) {
    const absl::StatusOr<Addressees> found = Find("m", AnyNode{}, kB);
    ASSERT_TRUE(found.ok());
    EXPECT_THAT(found->nodes, ElementsAre(kB));
    EXPECT_THAT(found->fallbacks, ::testing::UnorderedElementsAre(kA, kC));
  }
  EXPECT_THAT(Find("n", AnyNode{}, kA)->nodes, ElementsAre(kB));
}

TEST_F(AddressingTest, AnySpreadsOverTheOthers) {
  std::set<std::string> chosen;
  for (int i = 0; i < 200; ++i) chosen.insert(Find("m", AnyNode{}, {"elsewhere", "boot-x"})->nodes.front().id);
  EXPECT_EQ(chosen.size(), 3u);
}

TEST_F(AddressingTest, WhatIsMissingIsNamed) {
  EXPECT_EQ(ReasonOf(Find("x", AllNodes{}).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Find("x", AnyNode{}).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Find("m", OneNode{"node-x"}).status()), v1::ERROR_REASON_NODE_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Find("n", OneNode{kA.id}).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Find("m", OneNode{""}).status()), v1::ERROR_REASON_NODE_NOT_FOUND);
}

TEST_F(AddressingTest, NodesThatDrainAreAskedWhenNobodyElseIsLeft) {
  internal::v1::NodeRecord draining = Record(kB, {"m", "n"});
  draining.set_draining(true);
  directory_.Replace(2, {Record(kA, {"m"}), draining, Record(kC, {"m"})});
  EXPECT_THAT(Find("m", AllNodes{})->nodes, ElementsAre(kA, kC));
  EXPECT_THAT(Find("n", AllNodes{})->nodes, ElementsAre(kB));
  EXPECT_THAT(Find("n", AnyNode{})->nodes, ElementsAre(kB));
  for (int i = 0; i < 20; ++i) {
    const absl::StatusOr<Addressees> found = Find("m", AnyNode{}, /*self=*/kB);
    EXPECT_NE(found->nodes.front(), kB);
    ASSERT_EQ(found->fallbacks.size(), 2u);
    EXPECT_EQ(found->fallbacks.back(), kB);
  }
  EXPECT_EQ(ReasonOf(Find("x", AnyNode{}).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
}

TEST_F(AddressingTest, ConnectionIsWhereALiveBootHoldsIt) {
  EXPECT_THAT(Find("m", NodeOfConnection{"c"}, kA, kB.boot)->nodes, ElementsAre(kB));
  EXPECT_EQ(ReasonOf(Find("n", NodeOfConnection{"c"}, kA, kC.boot).status()), v1::ERROR_REASON_METHOD_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Find("m", NodeOfConnection{"c"}, kA, "boot-gone").status()),
            v1::ERROR_REASON_CONNECTION_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Find("m", NodeOfConnection{"c"}, kA, "").status()), v1::ERROR_REASON_CONNECTION_NOT_FOUND);
}

}  // namespace
}  // namespace actioncluster

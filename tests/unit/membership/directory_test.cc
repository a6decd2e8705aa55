#include "backplane/membership/directory.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using internal::v1::DirectoryChange;
using internal::v1::NodeRecord;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using Applied = Directory::Applied;

NodeRecord Node(const std::string& id, const std::string& boot, const std::vector<std::string>& methods = {},
                bool draining = false) {
  NodeRecord node;
  node.set_id(id);
  node.set_boot_id(boot);
  for (const std::string& method : methods) node.add_methods(method);
  node.set_draining(draining);
  return node;
}

DirectoryChange Change(DirectoryChange::Kind kind, int64_t generation, NodeRecord node) {
  DirectoryChange change;
  change.set_kind(kind);
  change.set_generation(generation);
  *change.mutable_node() = std::move(node);
  return change;
}

std::vector<std::string> Told(const std::vector<NodeEvent>& events) {
  std::vector<std::string> told;
  for (const NodeEvent& event : events) {
    std::string kind;
    switch (event.kind) {
      case NodeEvent::Kind::kJoined:
        kind = "joined ";
        break;
      case NodeEvent::Kind::kLeft:
        kind = "left ";
        break;
      case NodeEvent::Kind::kLost:
        kind = "lost ";
        break;
      case NodeEvent::Kind::kDraining:
        kind = "draining ";
        break;
      case NodeEvent::Kind::kUpdated:
        kind = "updated ";
        break;
    }
    told.push_back(kind + event.node.id() + "/" + event.node.boot_id());
  }
  return told;
}

class DirectoryTest : public testing::Test {
 protected:
  std::vector<std::string> Replace(int64_t generation, std::vector<NodeRecord> nodes) {
    return Told(directory_.Replace(generation, std::move(nodes)));
  }
  // The events of a change that must apply.
  std::vector<std::string> Apply(DirectoryChange::Kind kind, int64_t generation, NodeRecord node) {
    std::vector<NodeEvent> events;
    EXPECT_EQ(directory_.Apply(Change(kind, generation, std::move(node)), &events), Applied::kYes);
    EXPECT_EQ(directory_.generation(), generation);
    return Told(events);
  }
  // What becomes of a change that must not apply.
  Applied Refused(DirectoryChange::Kind kind, int64_t generation, NodeRecord node) {
    const int64_t before = directory_.generation();
    std::vector<NodeEvent> events;
    const Applied applied = directory_.Apply(Change(kind, generation, std::move(node)), &events);
    EXPECT_THAT(events, IsEmpty());
    EXPECT_EQ(directory_.generation(), before);
    return applied;
  }
  std::vector<std::string> Offering(const std::string& method) {
    std::vector<std::string> boots;
    for (const NodeRef& node : directory_.Offering(method)) boots.push_back(node.id + "/" + node.boot);
    return boots;
  }

  Directory directory_;
};

TEST_F(DirectoryTest, KnowsNothingUntilItIsReplaced) {
  EXPECT_EQ(directory_.generation(), -1);
  EXPECT_EQ(Refused(DirectoryChange::KIND_JOINED, 0, Node("a", "1")), Applied::kGap);
  EXPECT_THAT(Replace(7, {Node("a", "1"), Node("b", "2")}), ElementsAre("joined a/1", "joined b/2"));
  EXPECT_EQ(directory_.generation(), 7);
  EXPECT_EQ(directory_.FindNode("a")->boot_id(), "1");
  EXPECT_EQ(directory_.FindBoot("2")->id(), "b");
  EXPECT_EQ(directory_.FindNode("c"), nullptr);
  EXPECT_EQ(directory_.FindBoot("a"), nullptr);
}

TEST_F(DirectoryTest, TheNextChangeAppliesAnEarlierOneIsKnownAndALaterOneIsAGap) {
  Replace(7, {Node("a", "1")});
  EXPECT_EQ(Refused(DirectoryChange::KIND_JOINED, 7, Node("b", "2")), Applied::kKnown);
  EXPECT_EQ(Refused(DirectoryChange::KIND_JOINED, 9, Node("b", "2")), Applied::kGap);
  EXPECT_THAT(Apply(DirectoryChange::KIND_JOINED, 8, Node("b", "2")), ElementsAre("joined b/2"));
  EXPECT_EQ(Refused(DirectoryChange::KIND_JOINED, 8, Node("b", "2")), Applied::kKnown);
}

TEST_F(DirectoryTest, ExtremeGenerationsAreGapsOrKnown) {
  Replace(7, {});
  EXPECT_EQ(Refused(DirectoryChange::KIND_JOINED, std::numeric_limits<int64_t>::max(), Node("a", "1")), Applied::kGap);
  EXPECT_EQ(Refused(DirectoryChange::KIND_JOINED, std::numeric_limits<int64_t>::min(), Node("a", "1")),
            Applied::kKnown);
  Replace(std::numeric_limits<int64_t>::max(), {});
  EXPECT_EQ(Refused(DirectoryChange::KIND_JOINED, 8, Node("a", "1")), Applied::kKnown);
}

TEST_F(DirectoryTest, OneThatIsGoneIsToldWithItsLastRecordThoughTheChangeNamesOnlyItsBoot) {
  Replace(1, {Node("a", "1", {"m"}), Node("b", "2")});
  EXPECT_THAT(Apply(DirectoryChange::KIND_LOST, 2, Node("", "1")), ElementsAre("lost a/1"));
  EXPECT_THAT(Apply(DirectoryChange::KIND_LEFT, 3, Node("b", "2")), ElementsAre("left b/2"));
  EXPECT_THAT(directory_.nodes(), IsEmpty());
  EXPECT_THAT(Offering("m"), IsEmpty());
}

TEST_F(DirectoryTest, TheEndOfAnUnknownBootIsCountedAndChangesNothing) {
  Replace(1, {Node("a", "2")});
  EXPECT_THAT(Apply(DirectoryChange::KIND_LOST, 2, Node("a", "1")), IsEmpty());
  EXPECT_EQ(directory_.FindNode("a")->boot_id(), "2");
}

TEST_F(DirectoryTest, ANameThatPassesOnEndsItsFormerBootFirst) {
  Replace(1, {Node("a", "1", {"m"})});
  EXPECT_THAT(Apply(DirectoryChange::KIND_JOINED, 2, Node("a", "2", {"m"})), ElementsAre("lost a/1", "joined a/2"));
  EXPECT_EQ(directory_.FindBoot("1"), nullptr);
  EXPECT_THAT(Offering("m"), ElementsAre("a/2"));
}

TEST_F(DirectoryTest, ABootThatTakesTheNameOfAnotherEndsThat) {
  Replace(1, {Node("a", "1", {"m"}), Node("b", "2", {"m"})});
  EXPECT_THAT(Apply(DirectoryChange::KIND_JOINED, 2, Node("b", "1", {"m"})), ElementsAre("lost b/2", "updated b/1"));
  EXPECT_EQ(directory_.nodes().size(), 1u);
  EXPECT_EQ(directory_.FindBoot("2"), nullptr);
  EXPECT_THAT(Offering("m"), ElementsAre("b/1"));
}

TEST_F(DirectoryTest, AnUpdateOfOneThatIsNotThereIsAGap) {
  Replace(1, {Node("a", "1")});
  EXPECT_EQ(Refused(DirectoryChange::KIND_UPDATED, 2, Node("b", "2")), Applied::kGap);
  EXPECT_EQ(Refused(DirectoryChange::KIND_UPDATED, 2, Node("a", "2")), Applied::kGap);
  EXPECT_EQ(Refused(DirectoryChange::KIND_UPDATED, 2, Node("b", "1")), Applied::kGap);
}

TEST_F(DirectoryTest, ChangesThatMakeNoSenseAreGaps) {
  Replace(1, {Node("a", "1")});
  EXPECT_EQ(Refused(DirectoryChange::KIND_UNSPECIFIED, 2, Node("a", "1")), Applied::kGap);
  EXPECT_EQ(Refused(static_cast<DirectoryChange::Kind>(99), 2, Node("a", "1")), Applied::kGap);
  EXPECT_EQ(Refused(DirectoryChange::KIND_JOINED, 2, Node("", "2")), Applied::kGap);
  EXPECT_EQ(Refused(DirectoryChange::KIND_JOINED, 2, Node("b", "")), Applied::kGap);
}

TEST_F(DirectoryTest, MethodsFollowTheRecord) {
  Replace(1, {Node("a", "1", {"x", "y"}), Node("b", "2", {"y"})});
  EXPECT_THAT(directory_.Methods(), ElementsAre(Pair("x", ElementsAre("a")), Pair("y", ElementsAre("a", "b"))));
  EXPECT_THAT(Apply(DirectoryChange::KIND_UPDATED, 2, Node("a", "1", {"z"})), ElementsAre("updated a/1"));
  EXPECT_THAT(directory_.Methods(), ElementsAre(Pair("y", ElementsAre("b")), Pair("z", ElementsAre("a"))));
  EXPECT_THAT(Offering("y"), ElementsAre("b/2"));
  EXPECT_THAT(Offering("x"), IsEmpty());
}

TEST_F(DirectoryTest, ADrainingNodeOffersNothingButTheNodesOwnMethods) {
  Replace(1, {Node("a", "1", {"m"}), Node("b", "2", {"m"})});
  EXPECT_THAT(Apply(DirectoryChange::KIND_UPDATED, 2, Node("a", "1", {"m"}, true)), ElementsAre("draining a/1"));
  EXPECT_THAT(Offering("m"), ElementsAre("b/2"));
  EXPECT_THAT(Offering("node.ping"), ElementsAre("a/1", "b/2"));
  EXPECT_THAT(directory_.OfferingWhileDraining("m"), ElementsAre(NodeRef{"a", "1"}));
  EXPECT_THAT(directory_.OfferingWhileDraining("x"), IsEmpty());
  EXPECT_THAT(directory_.OfferingWhileDraining("node.ping"), IsEmpty());
  EXPECT_THAT(Apply(DirectoryChange::KIND_UPDATED, 3, Node("a", "1", {"m"})), ElementsAre("updated a/1"));
  EXPECT_THAT(Offering("m"), ElementsAre("a/1", "b/2"));
  EXPECT_THAT(directory_.OfferingWhileDraining("m"), IsEmpty());
}

TEST_F(DirectoryTest, OneThatDrainsAndChangesOtherwiseGivesBothEvents) {
  Replace(1, {Node("a", "1", {"m"})});
  EXPECT_THAT(Apply(DirectoryChange::KIND_UPDATED, 2, Node("a", "1", {}, true)),
              ElementsAre("draining a/1", "updated a/1"));
}

TEST_F(DirectoryTest, MethodsUnderTheNodesOwnNamesCannotBeOffered) {
  Replace(1, {Node("a", "1", {"node.evil", "m"})});
  EXPECT_THAT(directory_.Methods(), ElementsAre(Pair("m", ElementsAre("a"))));
}

TEST_F(DirectoryTest, ReplacingTellsExactlyTheDifference) {
  Replace(1, {Node("a", "1", {"m"}), Node("b", "2"), Node("c", "3"), Node("d", "4")});
  EXPECT_THAT(Replace(20, {Node("a", "1", {"m"}), Node("b", "5"), Node("d", "4", {"n"}), Node("e", "6")}),
              ElementsAre("lost b/2", "lost c/3", "joined b/5", "updated d/4", "joined e/6"));
  EXPECT_THAT(Replace(21, {Node("a", "1", {"m"}), Node("b", "5"), Node("d", "4", {"n"}), Node("e", "6")}), IsEmpty());
  EXPECT_THAT(Offering("n"), ElementsAre("d/4"));
}

TEST_F(DirectoryTest, OneThatLeftBehindAGapHasLeftAndIsNotLost) {
  directory_.Replace(5, {Node("node-1", "boot-1"), Node("node-2", "boot-2"), Node("node-3", "boot-3")});
  std::vector<NodeEvent> events;
  EXPECT_EQ(directory_.Apply(Change(DirectoryChange::KIND_LEFT, 7, Node("node-3", "boot-3")), &events), Applied::kGap);
  EXPECT_THAT(events, IsEmpty());
  EXPECT_THAT(Told(directory_.Replace(7, {Node("node-1", "boot-1")})),
              ElementsAre("lost node-2/boot-2", "left node-3/boot-3"));
}

TEST_F(DirectoryTest, ReplacingMayGoBackWhenRedisHasLostSomething) {
  Replace(9, {Node("a", "1")});
  EXPECT_THAT(Replace(3, {Node("b", "2")}), ElementsAre("lost a/1", "joined b/2"));
  EXPECT_EQ(directory_.generation(), 3);
}

TEST_F(DirectoryTest, RecordsThatMakeNoSenseAreLeftOutAndOfTwoWithOneNameTheLaterCounts) {
  NodeRecord earlier = Node("a", "1", {"m"});
  earlier.set_started_at_us(1);
  NodeRecord later = Node("a", "2", {"m"});
  later.set_started_at_us(2);
  EXPECT_THAT(Replace(1, {later, earlier, Node("", "3"), Node("b", "")}), ElementsAre("joined a/2"));
  EXPECT_THAT(Offering("m"), ElementsAre("a/2"));
  EXPECT_EQ(directory_.FindBoot("1"), nullptr);
}

TEST_F(DirectoryTest, EveryOrderOfArrivalEndsAtTheSameWhenGapsAreRead) {
  const std::vector<DirectoryChange> changes = {
      Change(DirectoryChange::KIND_JOINED, 2, Node("b", "2", {"m"})),
      Change(DirectoryChange::KIND_UPDATED, 3, Node("a", "1", {"m"}, true)),
      Change(DirectoryChange::KIND_LOST, 4, Node("b", "2")),
      Change(DirectoryChange::KIND_JOINED, 5, Node("b", "3", {"m"})),
  };
  std::vector<size_t> order = {0, 1, 2, 3};
  do {
    Directory directory;
    std::vector<NodeEvent> events = directory.Replace(1, {Node("a", "1", {"m"})});
    for (const size_t i : order) {
      if (directory.Apply(changes[i], &events) != Applied::kGap) continue;
      // Redis is never behind what is announced.
      directory.Replace(5, {Node("a", "1", {"m"}, true), Node("b", "3", {"m"})});
    }
    EXPECT_EQ(directory.generation(), 5);
    EXPECT_TRUE(directory.FindNode("a")->draining());
    EXPECT_EQ(directory.FindNode("b")->boot_id(), "3");
    EXPECT_THAT(directory.Offering("m"), ElementsAre(NodeRef{"b", "3"}));
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace
}  // namespace actioncluster

#include "backplane/rpc/moving_methods.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace actioncluster {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);

NodeEvent Event(NodeEvent::Kind kind, const std::string& boot, const std::vector<std::string>& methods, bool draining) {
  NodeEvent event{.kind = kind, .node = {}};
  event.node.set_id("node");
  event.node.set_boot_id(boot);
  event.node.set_draining(draining);
  for (const std::string& method : methods) event.node.add_methods(method);
  return event;
}

TEST(MovingMethodsTest, WhatADrainingNodeOfferedMovesForAWhile) {
  MovingMethods moving;
  moving.OnNode(Event(NodeEvent::Kind::kDraining, "a", {"m", "n"}, true), kStart);
  EXPECT_TRUE(moving.Contains("m", kStart));
  EXPECT_TRUE(moving.Contains("n", kStart + MovingMethods::kLimit - absl::Milliseconds(1)));
  EXPECT_FALSE(moving.Contains("n", kStart + MovingMethods::kLimit));
  EXPECT_FALSE(moving.Contains("x", kStart));
}

TEST(MovingMethodsTest, EachWordOfTheNodeRenewsItThoughItOffersNothingAnyMore) {
  MovingMethods moving;
  moving.OnNode(Event(NodeEvent::Kind::kDraining, "a", {"m"}, true), kStart);
  moving.OnNode(Event(NodeEvent::Kind::kUpdated, "a", {}, true), kStart + absl::Seconds(2));
  moving.OnNode(Event(NodeEvent::Kind::kLeft, "a", {}, true), kStart + absl::Seconds(4));
  EXPECT_TRUE(moving.Contains("m", kStart + absl::Seconds(6)));
  EXPECT_FALSE(moving.Contains("m", kStart + absl::Seconds(7)));
}

TEST(MovingMethodsTest, WhatHasNotComeBackInTimeIsForgottenWhateverItsNodeSaysLater) {
  MovingMethods moving;
  moving.OnNode(Event(NodeEvent::Kind::kDraining, "a", {"m"}, true), kStart);
  const absl::Time later = kStart + MovingMethods::kLimit;
  moving.OnNode(Event(NodeEvent::Kind::kUpdated, "a", {"n"}, true), later);
  EXPECT_FALSE(moving.Contains("m", later));
  EXPECT_TRUE(moving.Contains("n", later));
}

TEST(MovingMethodsTest, WhatIsWithdrawnOrLostOtherwiseDoesNotMove) {
  MovingMethods moving;
  moving.OnNode(Event(NodeEvent::Kind::kUpdated, "a", {"m"}, false), kStart);
  moving.OnNode(Event(NodeEvent::Kind::kLost, "a", {"m"}, false), kStart);
  EXPECT_FALSE(moving.Contains("m", kStart));
}

TEST(MovingMethodsTest, ANodeThatWasDrainingHasDrainedForAWhileByItsName) {
  MovingMethods moving;
  moving.OnNode(Event(NodeEvent::Kind::kDraining, "a", {}, true), kStart);
  moving.OnNode(Event(NodeEvent::Kind::kLeft, "a", {}, true), kStart + absl::Seconds(2));
  moving.OnNode(Event(NodeEvent::Kind::kJoined, "b", {}, false), kStart + absl::Seconds(3));
  EXPECT_TRUE(moving.HasDrained("node", kStart + absl::Seconds(4)));
  EXPECT_FALSE(moving.HasDrained("other", kStart + absl::Seconds(4)));
  EXPECT_FALSE(moving.HasDrained("node", kStart + absl::Seconds(5)));
}

TEST(MovingMethodsTest, ANodeThatIsLostHasNotDrained) {
  MovingMethods moving;
  moving.OnNode(Event(NodeEvent::Kind::kLost, "a", {}, false), kStart);
  EXPECT_FALSE(moving.HasDrained("node", kStart));
}

}  // namespace
}  // namespace actioncluster

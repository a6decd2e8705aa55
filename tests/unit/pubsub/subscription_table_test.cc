#include "backplane/pubsub/subscription_table.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Feed = SubscriptionTable::Feed;
const Feed kAllTypes = std::nullopt;

// Adds a subscriber, and confirms what it makes the node listen to.
void AddConfirmed(SubscriptionTable& table, SubscriptionTable::Id id, Interest interest) {
  for (const Feed& feed : table.Add(id, std::move(interest)).listen) table.Confirmed(feed);
}

TEST(SubscriptionTableTest, TheFirstSubscriberOfATypeHasTheNodeListenAndTheLastHasItStop) {
  SubscriptionTable table;
  EXPECT_THAT(table.Add(1, {.types = {"a", "b"}, .patterns = {}}).listen, ElementsAre("a", "b"));
  EXPECT_THAT(table.Add(2, {.types = {"b", "c"}, .patterns = {}}).listen, ElementsAre("c"));
  EXPECT_THAT(table.Remove(1), ElementsAre("a"));
  EXPECT_THAT(table.Remove(2), ElementsAre("b", "c"));
  EXPECT_EQ(table.size(), 0u);
  EXPECT_THAT(table.Add(3, {.types = {"b"}, .patterns = {}}).listen, ElementsAre("b"));
}

TEST(SubscriptionTableTest, WhoHasAPatternListensToAllTypesAndNothingElse) {
  SubscriptionTable table;
  EXPECT_THAT(table.Add(1, {.types = {"a"}, .patterns = {"b*"}}).listen, ElementsAre(kAllTypes));
  EXPECT_THAT(table.Add(2, {.types = {}, .patterns = {"*"}}).listen, IsEmpty());
  EXPECT_THAT(table.Remove(1), IsEmpty());
  EXPECT_THAT(table.Remove(2), ElementsAre(kAllTypes));
}

TEST(SubscriptionTableTest, ASubscriberIsCompleteWhenItsLastFeedIsConfirmed) {
  SubscriptionTable table;
  EXPECT_FALSE(table.Add(1, {.types = {"a", "b"}, .patterns = {}}).complete);
  EXPECT_FALSE(table.Add(2, {.types = {"b"}, .patterns = {}}).complete);
  EXPECT_THAT(table.Confirmed("b"), ElementsAre(2));
  EXPECT_THAT(table.Complete(), ElementsAre(2));
  EXPECT_THAT(table.Confirmed("b"), IsEmpty()) << "confirmed once more, as after a reconnect";
  EXPECT_THAT(table.Confirmed("a"), ElementsAre(1));
  EXPECT_TRUE(table.Add(3, {.types = {"a", "b"}, .patterns = {}}).complete);
  EXPECT_FALSE(table.Add(4, {.types = {"a", "c"}, .patterns = {}}).complete);
  EXPECT_THAT(table.Complete(), ElementsAre(1, 2, 3));
}

TEST(SubscriptionTableTest, WhoIsNotCompleteHearsNothing) {
  SubscriptionTable table;
  table.Add(1, {.types = {"a", "b"}, .patterns = {}});
  EXPECT_THAT(table.Confirmed("a"), IsEmpty());
  EXPECT_THAT(table.Audience("a", "a"), IsEmpty());
  table.Confirmed("b");
  EXPECT_THAT(table.Audience("a", "a"), ElementsAre(1));
}

TEST(SubscriptionTableTest, EachMessageReachesASubscriberByExactlyOneFeed) {
  SubscriptionTable table;
  AddConfirmed(table, 1, {.types = {"a", "b"}, .patterns = {}});
  AddConfirmed(table, 2, {.types = {"a"}, .patterns = {"a*", "*"}});
  AddConfirmed(table, 3, {.types = {"a"}, .patterns = {"b.*"}});
  AddConfirmed(table, 4, {.types = {}, .patterns = {"b.*"}});
  const auto heard = [&table](const std::string& type) {
    std::vector<SubscriptionTable::Id> ids = table.Audience(type, type);
    for (const SubscriptionTable::Id id : table.Audience(kAllTypes, type)) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    return ids;
  };
  EXPECT_THAT(heard("a"), ElementsAre(1, 2, 3));
  EXPECT_THAT(heard("b"), ElementsAre(1, 2));
  EXPECT_THAT(heard("b.c"), ElementsAre(2, 3, 4));
  EXPECT_THAT(heard("d"), ElementsAre(2));
}

TEST(SubscriptionTableTest, WhatWasMatchedOnceIsMatchedAnewAfterEveryChange) {
  SubscriptionTable table;
  AddConfirmed(table, 1, {.types = {}, .patterns = {"a*"}});
  EXPECT_THAT(table.Audience(kAllTypes, "ab"), ElementsAre(1));
  table.Add(2, {.types = {}, .patterns = {"*b"}});
  EXPECT_THAT(table.Audience(kAllTypes, "ab"), ElementsAre(1, 2));
  table.Remove(1);
  EXPECT_THAT(table.Audience(kAllTypes, "ab"), ElementsAre(2));
  for (int i = 0; i < 3000; ++i) table.Audience(kAllTypes, std::to_string(i));
  EXPECT_THAT(table.Audience(kAllTypes, "ab"), ElementsAre(2));
}

TEST(SubscriptionTableTest, WhatIsUnknownChangesNothing) {
  SubscriptionTable table;
  AddConfirmed(table, 1, {.types = {"a"}, .patterns = {}});
  EXPECT_THAT(table.Remove(7), IsEmpty());
  EXPECT_THAT(table.Confirmed("z"), IsEmpty());
  EXPECT_THAT(table.Audience("z", "z"), IsEmpty());
  EXPECT_THAT(table.Audience(kAllTypes, "a"), IsEmpty());
  EXPECT_THAT(table.Audience("a", "a"), ElementsAre(1));
}

TEST(SubscriptionTableTest, AFeedThatIsGivenUpBeforeItIsConfirmedHasToBeConfirmedAnew) {
  SubscriptionTable table;
  table.Add(1, {.types = {"a"}, .patterns = {}});
  table.Remove(1);
  EXPECT_THAT(table.Confirmed("a"), IsEmpty());
  EXPECT_FALSE(table.Add(2, {.types = {"a"}, .patterns = {}}).complete);
  EXPECT_THAT(table.Confirmed("a"), ElementsAre(2));
}

}  // namespace
}  // namespace actioncluster

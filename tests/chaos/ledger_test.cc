#include "tests/chaos/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace actioncluster::chaos {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// One that has nothing to complain about.
Ledger Good() {
  Ledger ledger = {
      .scenario = "node-kills", .seed = 7, .nodes = 3, .lease = absl::Seconds(2), .took = absl::Hours(1), .faults = 1};
  KindResult kind = {
      .kind = "tasks", .attempted = 12, .acknowledged = 10, .failed = {{"UNAVAILABLE", 2}}, .executed = 10};
  kind.recoveries = {absl::Milliseconds(100), absl::Seconds(4)};
  ledger.kinds = {kind};
  return ledger;
}

TEST(LedgerTest, OneWithoutAnyLossIsNotBroken) { EXPECT_THAT(Broken(Good()), IsEmpty()); }

TEST(LedgerTest, LossIsBrokenUnlessRedisItselfMayHaveLostIt) {
  Ledger ledger = Good();
  ledger.kinds[0].lost = 2;
  EXPECT_THAT(Broken(ledger), ElementsAre("tasks: 2 lost"));
  ledger.may_lose = true;
  EXPECT_THAT(Broken(ledger), IsEmpty());
}

TEST(LedgerTest, WhatIsTwiceIsExcusedOnlyAsOftenAsALeaseRanOut) {
  Ledger ledger = Good();
  ledger.kinds[0].duplicated = 3;
  ledger.kinds[0].excused = 3;
  EXPECT_THAT(Broken(ledger), IsEmpty());
  ledger.kinds[0].excused = 2;
  EXPECT_THAT(Broken(ledger), ElementsAre("tasks: 1 duplicated though no lease ran out"));
}

TEST(LedgerTest, WhatIsStuckIsBrokenWhateverMayBeLost) {
  Ledger ledger = Good();
  ledger.may_lose = true;
  ledger.kinds[0].stuck = 1;
  EXPECT_THAT(Broken(ledger), ElementsAre("tasks: 1 stuck"));
}

TEST(LedgerTest, RecoveryMayTakeTheLeaseAndTwoSeconds) {
  Ledger ledger = Good();
  ledger.kinds[0].recoveries.push_back(absl::Milliseconds(4001));
  EXPECT_THAT(Broken(ledger), ElementsAre("tasks: recovered after 4.00 s, not within 4.00 s"));
  ledger.kinds[0].recoveries.push_back(absl::InfiniteDuration());
  EXPECT_THAT(Broken(ledger), ElementsAre("tasks: recovered after never, not within 4.00 s"));
}

TEST(LedgerTest, ADrillInWhichNothingWasAcknowledgedProvesNothing) {
  Ledger ledger = Good();
  ledger.kinds[0].acknowledged = 0;
  EXPECT_THAT(Broken(ledger), ElementsAre("tasks: nothing was acknowledged, so nothing is known"));
}

TEST(LedgerTest, DisorderAndProblemsAreBroken) {
  Ledger ledger = Good();
  ledger.kinds[0].disordered = 1;
  ledger.kinds[0].problems = {"odd"};
  ledger.problems = {"some clients do not end"};
  EXPECT_THAT(Broken(ledger), ElementsAre("some clients do not end", "tasks: 1 out of order", "tasks: odd"));
}

TEST(LedgerTest, WhatGrowsOverALongRunIsBrokenAndWhatFillsAtFirstIsNot) {
  Ledger ledger = Good();
  for (int i = 0; i < 16; ++i) {
    ledger.samples.push_back({.at = absl::Minutes(i),
                              .node_bytes = 100 + 10 * i,
                              .node_files = i < 4 ? i : 50,
                              .redis_keys = 7,
                              .redis_bytes = 7});
  }
  // 155 in the second quarter, 235 in the last.
  EXPECT_DOUBLE_EQ(Growth(ledger.samples, &Sample::node_bytes), 235.0 / 155);
  EXPECT_DOUBLE_EQ(Growth(ledger.samples, &Sample::node_files), 1);
  EXPECT_THAT(Broken(ledger), ElementsAre("memory of nodes: grow by 52 %"));
  ledger.took = absl::Minutes(10);
  EXPECT_THAT(Broken(ledger), IsEmpty());
}

TEST(LedgerTest, TheMiddleAndTheLongestRecoveryAreShown) {
  const Spread spread = SpreadOf({absl::Seconds(3), absl::Seconds(1), absl::Seconds(2)});
  EXPECT_EQ(spread.median, absl::Seconds(2));
  EXPECT_EQ(spread.max, absl::Seconds(3));
  EXPECT_EQ(SpreadOf({}).max, absl::ZeroDuration());
}

TEST(LedgerTest, TheTableHasWhatIsBrokenAndTheRowAddsUp) {
  Ledger ledger = Good();
  ledger.kinds.push_back(ledger.kinds[0]);
  ledger.kinds[1].kind = "rooms";
  ledger.kinds[1].lost = 1;
  std::ostringstream table;
  Print(ledger, table);
  EXPECT_THAT(table.str(), HasSubstr("BROKEN: rooms: 1 lost"));
  EXPECT_THAT(table.str(), HasSubstr("tasks failed by UNAVAILABLE (2)"));
  std::ostringstream row;
  PrintMarkdown(ledger, row);
  EXPECT_EQ(row.str(), "| node-kills | 1 | 20 | 1 | 0 (0) | 0 | 4.00 s, 4.00 s |\n");
}

}  // namespace
}  // namespace actioncluster::chaos

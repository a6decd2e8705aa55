// Time plays tricks on a node: it is stopped for longer than its lease, or its clock is wrong.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/clock_file.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/node_watch.h"

namespace actioncluster::cluster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kOne[] = "actioncluster-worker-1";
constexpr char kTwo[] = "actioncluster-worker-2";
constexpr char kThree[] = "actioncluster-worker-3";

// Of a node whose clock is off by so many seconds.
std::vector<std::string> ClockOff(int seconds) {
  // In a build with AddressSanitizer, its runtime would otherwise insist on being first.
  return {absl::StrCat("LD_PRELOAD=", CLOCK_SHIFT_LIBRARY), absl::StrCat("ACTIONTEST_CLOCK_SHIFT_S=", seconds),
          "ASAN_OPTIONS=verify_asan_link_order=0"};
}

TEST(LeasesTest, ANodePausedPastItsLeaseServesAgainOnlyUnderANewBoot) {
  Cluster cluster(2, {.lease = absl::Seconds(1)});
  Node& watcher = cluster.node(1);
  Node& paused = cluster.node(2);
  const AppHost app(paused, {{"echo", Echoing()}});
  const NodeWatch watch(watcher);
  const std::string old_boot = watch.AwaitEvent(v1::WatchNodesResponse::EVENT_JOINED, kTwo).boot_id();
  paused.Pause();

  const Answer while_paused = Call(watcher, Within(absl::Seconds(2), ToNode(kTwo, Request("echo", "[1]"))));
  EXPECT_FALSE(while_paused.ok());
  EXPECT_LT(while_paused.took, absl::Seconds(2.5)) << testing::PrintToString(while_paused);
  EXPECT_EQ(watch.AwaitEvent(v1::WatchNodesResponse::EVENT_LOST, kTwo).boot_id(), old_boot);
  EXPECT_EQ(Call(watcher, ToNode(kTwo, Request("echo", "[1]"))).reason(), "NODE_NOT_FOUND");

  paused.Resume();
  const absl::Time resumed = absl::Now();
  // A moment it has to notice. Then it may not say that it serves before it has joined anew.
  constexpr absl::Duration kNotice = absl::Milliseconds(300);
  std::optional<v1::Node> found;
  ASSERT_TRUE(Await([&] {
    const absl::Time asked = absl::Now();
    const bool serving = paused.IsServing();
    found = Cluster::Find(watcher, kTwo);
    EXPECT_FALSE(serving && !found.has_value() && asked > resumed + kNotice) << "serves with no lease";
    return found.has_value();
  }));
  std::cout << "a paused node is back " << absl::Now() - resumed << " after it goes on\n";
  EXPECT_NE(found->boot_id(), old_boot);
  EXPECT_EQ(watch.AwaitEvent(v1::WatchNodesResponse::EVENT_JOINED, kTwo).boot_id(), found->boot_id());
  EXPECT_TRUE(Await([&] { return paused.IsServing(); }));
  // The application is still attached: what it offers is offered under the new boot.
  Answer answer;
  EXPECT_TRUE(Await([&] { return (answer = Call(watcher, ToNode(kTwo, Request("echo", "[1]")))).ok(); }))
      << testing::PrintToString(answer);
  EXPECT_TRUE(Call(paused, ToNode(kOne, Request("node.ping"))).ok());
}

TEST(LeasesTest, ANodeWhoseLeaseIsNotRenewedSaysThatItDoesNotServeAndServesAgainWhenItIs) {
  Cluster cluster(2, {.lease = absl::Seconds(1)});
  // All else goes on: the connections stand, and messages come.
  const auto allow = [&](const std::string& rule) {
    ASSERT_FALSE(cluster.redis().Command({"ACL", "SETUSER", fakes::kNodesUser, rule}).view().is_error());
  };
  allow("-evalsha");
  const absl::Time begun = absl::Now();
  for (const Node& node : cluster.nodes()) {
    EXPECT_TRUE(Await([&] { return !node.IsServing(); })) << node.id();
    EXPECT_THAT(node.log(), HasSubstr("health serving=0 bus=\"OK\" lease=0 draining=0")) << node.id();
    EXPECT_EQ(Call(node, ToNode(kTwo, Request("node.ping"))).reason(), "BACKPLANE_UNAVAILABLE");
  }
  EXPECT_LT(absl::Now() - begun, absl::Seconds(3));
  allow("+evalsha");
  cluster.redis().Command({"ACL", "LOG", "RESET"});
  for (const Node& node : cluster.nodes()) {
    EXPECT_TRUE(Await([&] { return node.IsServing(); })) << node.id();
    EXPECT_TRUE(Await([&] { return Call(node, ToNode(kTwo, Request("node.ping"))).ok(); })) << node.id();
  }
}

TEST(LeasesTest, NodesWhoseClocksAreAnHourOffTakePart) {
  Cluster cluster(1, {.lease = absl::Seconds(2)});
  for (const int shift : {3600, -3600}) {
    cluster.Start({.environment = ClockOff(shift)});
  }
  const AppHost ahead(cluster.node(2), {{"echo", Echoing()}});
  const AppHost behind(cluster.node(3), {{"echo", Echoing()}});
  const absl::Time begin = absl::Now();
  // For a few leases: all see all, and reach all.
  while (absl::Now() < begin + absl::Seconds(5)) {
    for (const Node& node : cluster.nodes()) {
      EXPECT_THAT(Cluster::ListedBy(node).value_or(std::vector<std::string>()), ElementsAre(kOne, kTwo, kThree));
      for (const std::string id : {kTwo, kThree}) {
        const Answer answer = Call(node, Within(absl::Seconds(2), ToNode(id, Request("echo", "[1]"))));
        EXPECT_TRUE(answer.ok()) << node.id() << " to " << id << ": " << testing::PrintToString(answer);
      }
      EXPECT_EQ(CallAll(node, "node.ping").replies.size(), 3U) << node.id();
    }
  }
  // And their clocks were indeed off: they state deadlines by them.
  EXPECT_GT(ahead.calls().Next().deadline().seconds(), absl::ToUnixSeconds(begin + absl::Minutes(59)));
  EXPECT_LT(behind.calls().Next().deadline().seconds(), absl::ToUnixSeconds(begin - absl::Minutes(59)));
  for (const Node& node : cluster.nodes()) {
    const auto found = Cluster::Find(cluster.node(1), node.id());
    ASSERT_TRUE(found.has_value());
    EXPECT_NEAR(static_cast<double>(found->started_at().seconds()), static_cast<double>(absl::ToUnixSeconds(begin)),
                60);
  }
}

TEST(LeasesTest, ANodeWhoseClockIsSetBackAnswersTheNextCallToo) {
  Cluster cluster(0);
  ClockFile clock(cluster.dir() / "clock");
  const Node& node = cluster.Start({.environment = clock.environment()});
  for (const int64_t step : {-3600, 7200}) {
    // So that the node has read its clock just before.
    EXPECT_TRUE(Call(node, Request("node.ping"), absl::Seconds(2)).ok());
    clock.Step(step);
    const Answer answer = Call(node, Request("node.ping"), absl::Seconds(2));
    EXPECT_TRUE(answer.ok()) << step << ": " << testing::PrintToString(answer);
  }
}

TEST(LeasesTest, ADeadlineIsKeptOnANodeWhoseClockIsAnHourOff) {
  Cluster cluster(1);
  cluster.Start({.environment = ClockOff(3600)});
  const AppHost app(cluster.node(2), {{"slow", NeverAnswering()}});
  for (const Node& node : cluster.nodes()) {
    const Answer answer = Call(node, Within(absl::Seconds(1), Request("slow")));
    EXPECT_EQ(answer.reason(), "RPC_TIMEOUT") << testing::PrintToString(answer);
    EXPECT_GE(answer.took, absl::Seconds(1));
    EXPECT_LT(answer.took, absl::Seconds(2));
    EXPECT_EQ(app.cancels().Next(), app.calls().Next().call_id());
  }
}

}  // namespace
}  // namespace actioncluster::cluster

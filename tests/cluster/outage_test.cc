// Redis goes away and comes back, with nothing of what it had.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/cluster/app_host.h"
#include "tests/cluster/callers.h"
#include "tests/cluster/calls.h"
#include "tests/cluster/cluster.h"

namespace actioncluster::cluster {
namespace {

using testing::AnyOf;

constexpr char kThree[] = "actioncluster-worker-3";
constexpr absl::Duration kTimeout = absl::Seconds(5);
constexpr absl::Duration kAtOnce = absl::Milliseconds(500);  // A tenth of it.
constexpr absl::Duration kRecovery = absl::Seconds(2);

// What is offered on the third node, asked for in every way.
std::vector<v1::CallRequest> Existing() {
  const v1::CallRequest echo = Request("echo", "[1]");
  return {echo, ToAny(echo), ToNode(kThree, echo), ToNode(kThree, Request("node.ping"))};
}

class OutageTest : public testing::Test {
 protected:
  std::vector<pid_t> Pids() {
    std::vector<pid_t> pids;
    for (const Node& node : cluster_.nodes()) pids.push_back(node.pid());
    return pids;
  }
  Cluster cluster_{3};
};

TEST_F(OutageTest, ManyCallersSeeUnavailableForAMomentAndNothingElse) {
  const AppHost app(cluster_.node(3), {{"echo", Echoing()}});
  const std::vector<pid_t> pids = Pids();
  const Callers callers(
      64, [this](int caller) { return Call(cluster_.node(1 + caller % 3), Within(kTimeout, Request("echo", "[1]"))); });
  const auto is_ok = [](const Callers::Record& record) { return record.code == grpc::OK; };
  const auto is_failed = [](const Callers::Record& record) { return record.code != grpc::OK; };
  ASSERT_TRUE(callers.AwaitEach(absl::InfinitePast(), is_ok));

  cluster_.redis().Kill();
  const absl::Time killed = absl::Now();
  // All but those at the node that has the application itself: these may go on.
  EXPECT_TRUE(Await([&] {
    int failed = 0;
    for (const Callers::Record& record : callers.records()) failed += record.begun > killed && is_failed(record);
    return failed > 64;
  }));
  cluster_.redis().Start();
  const absl::Time back = absl::Now();
  const absl::Duration recovered_after = callers.RecoveredAfter(back);
  std::cout << "64 callers work " << recovered_after << " after Redis is back\n";
  EXPECT_LT(recovered_after, kRecovery);

  for (const Callers::Record& record : callers.records()) {
    EXPECT_THAT(record.code, AnyOf(grpc::OK, grpc::UNAVAILABLE, grpc::DEADLINE_EXCEEDED))
        << record.reason << ": " << record.message << ", " << record.begun - back << " after Redis was back";
    EXPECT_LT(record.ended - record.begun, kTimeout + kAtOnce);
  }
  EXPECT_EQ(Pids(), pids);
}

TEST_F(OutageTest, NothingThatExistsIsEverSaidNotToExist) {
  const AppHost app(cluster_.node(3), {{"echo", Echoing()}});
  const std::vector<v1::CallRequest> existing = Existing();
  // So many that some ask in the moment in which a node has read an empty directory.
  const Callers callers(32, [&](int caller) {
    return Call(cluster_.node(1 + caller / 16), Within(kTimeout, existing[static_cast<size_t>(caller % 4)]));
  });
  const auto is_ok = [](const Callers::Record& record) { return record.code == grpc::OK; };
  ASSERT_TRUE(callers.AwaitEach(absl::InfinitePast(), is_ok));
  cluster_.redis().Kill();
  EXPECT_TRUE(callers.AwaitEach(absl::Now(), [&](const Callers::Record& record) { return !is_ok(record); }));
  cluster_.redis().Start();
  const absl::Time back = absl::Now();
  EXPECT_LT(callers.RecoveredAfter(back), kRecovery);
  // Past the grace, too: what was said to exist must not vanish then.
  Await([&] { return absl::Now() > back + absl::Seconds(5); });
  EXPECT_TRUE(callers.AwaitEach(absl::Now(), is_ok));
  for (const Callers::Record& record : callers.records()) {
    EXPECT_THAT(record.code, AnyOf(grpc::OK, grpc::UNAVAILABLE))
        << record.reason << ": " << record.message << ", " << record.begun - back << " after Redis was back";
  }
}

TEST_F(OutageTest, ANodeThatIsSlowToComeBackIsNotSaidNotToExist) {
  const AppHost app(cluster_.node(3), {{"echo", Echoing()}});
  const std::vector<v1::CallRequest> existing = Existing();
  cluster_.redis().Kill();
  cluster_.node(3).Pause();
  cluster_.redis().Start();
  const absl::Time back = absl::Now();
  ASSERT_TRUE(Await([&] { return cluster_.node(1).IsServing(); }));
  // Half of the lease, in which it may still come back.
  while (absl::Now() < back + absl::Seconds(1)) {
    for (const v1::CallRequest& request : existing) {
      const Answer answer = Call(cluster_.node(1), Within(kTimeout, request));
      ASSERT_EQ(answer.code(), grpc::UNAVAILABLE) << testing::PrintToString(answer);
      ASSERT_LT(answer.took, kAtOnce) << testing::PrintToString(answer);
    }
  }
  cluster_.node(3).Resume();
  for (const v1::CallRequest& request : existing) {
    EXPECT_TRUE(Await([&] { return Call(cluster_.node(1), request).ok(); })) << request.ShortDebugString();
  }
}

TEST_F(OutageTest, WhatDoesNotExistIsAnsweredAtOnceAndSaidOnceItIsKnown) {
  v1::CallRequest connection = Request("node.ping");
  connection.set_connection_id("nobody's");
  const std::vector<std::pair<v1::CallRequest, std::string>> missing = {
      {Request("nobody.offers"), "METHOD_NOT_FOUND"},
      {ToNode("actioncluster-worker-9", Request("node.ping")), "NODE_NOT_FOUND"},
      {connection, "CONNECTION_NOT_FOUND"}};
  const auto ask = [&](size_t which) {
    const Answer answer = Call(cluster_.node(1), Within(kTimeout, missing[which].first));
    EXPECT_LT(answer.took, kAtOnce) << testing::PrintToString(answer);
    EXPECT_THAT(answer.reason(), AnyOf(missing[which].second, "BACKPLANE_UNAVAILABLE"))
        << testing::PrintToString(answer);
    return answer.reason();
  };
  cluster_.redis().Kill();
  for (size_t which = 0; which < missing.size(); ++which) ask(which);
  cluster_.redis().Start();
  for (size_t which = 0; which < missing.size(); ++which) {
    EXPECT_TRUE(Await([&] { return ask(which) == missing[which].second; }));
  }
}

TEST_F(OutageTest, APausedRedisEndsCallsInTimeAndAllWorksWhenItGoesOn) {
  const AppHost app(cluster_.node(3), {{"echo", Echoing()}});
  const std::vector<pid_t> pids = Pids();
  cluster_.redis().Pause();
  const Answer paused = Call(cluster_.node(1), Within(absl::Seconds(1), Request("echo", "[1]")));
  EXPECT_THAT(paused.code(), AnyOf(grpc::UNAVAILABLE, grpc::DEADLINE_EXCEEDED)) << testing::PrintToString(paused);
  EXPECT_LT(paused.took, absl::Seconds(1) + kAtOnce);
  EXPECT_TRUE(Await([&] { return !cluster_.node(1).IsServing(); }));
  cluster_.redis().Resume();
  EXPECT_TRUE(Await([&] { return Call(cluster_.node(1), Request("echo", "[1]")).ok(); }));
  for (const Node& node : cluster_.nodes()) EXPECT_TRUE(Await([&] { return node.IsServing(); })) << node.id();
  EXPECT_EQ(Pids(), pids);
}

}  // namespace
}  // namespace actioncluster::cluster

// Redis is killed, or stopped, under load: what was acknowledged is there when it is back, and nothing runs twice that was alive all along.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/task_calls.h"
#include "tests/cluster/task_ledger.h"
#include "tests/cluster/task_programs.h"
#include "tests/cluster/task_traffic.h"
#include "tests/cluster/task_worker.h"

namespace actioncluster::cluster {
namespace {

using testing::IsEmpty;
using Kind = TaskEvent::Kind;

constexpr char kQueue[] = "outage";
constexpr absl::Duration kTaskLease = absl::Seconds(2);
constexpr int64_t kSome = 500;  // Acknowledged before anything happens, and again after it.

Cluster::Options Persistent(const std::string& fsync) {
  Cluster::Options options = {.lease = absl::Seconds(2), .flags = {"--task-lease", "2s"}, .redis = {}};
  options.redis.args = {"--appendonly", "yes", "--appendfsync", fsync};
  return options;
}

class TaskOutageTest : public testing::Test {
 protected:
  // Two workers in processes of their own, that are alive all along.
  void StartWorkers(Cluster& cluster) {
    for (size_t i = 0; i < 2; ++i) {
      workers_.push_back(std::make_unique<WorkerProgram>(
          cluster.dir(), WorkerProgram::Options{.language = i == 0 ? Language::kCpp : Language::kPython,
                                                .name = absl::StrCat("worker-", i),
                                                .queues = kQueue,
                                                .concurrency = 8,
                                                .addresses = AddressesFrom(cluster, i)}));
      ASSERT_TRUE(workers_.back()->AwaitStarted());
    }
  }

  static bool AwaitMore(const TaskTraffic& traffic) {
    const int64_t before = traffic.count();
    return Await([&] { return traffic.count() >= before + kSome; });
  }

  // And that each node says so: one may still be on its way back to Redis.
  static bool AwaitAllDone(Cluster& cluster) {
    return std::ranges::all_of(cluster.nodes(), [](const Node& node) {
      return Await([&] {
        const std::optional<v1::QueueCounts> counts = TryCounts(node, kQueue);
        return counts.has_value() && counts->ready() + counts->scheduled() + counts->active() == 0;
      });
    });
  }

  // Acknowledged tasks that are not there.
  static std::vector<TaskTraffic::Acknowledged> Lost(Cluster& cluster, const TaskTraffic& traffic) {
    std::set<std::string> there;
    for (const v1::Task& task : ListAll(cluster.node(1), kQueue, v1::TASK_STATE_DONE)) there.insert(task.id());
    std::vector<TaskTraffic::Acknowledged> lost = traffic.acknowledged();
    std::erase_if(lost, [&](const TaskTraffic::Acknowledged& task) { return there.contains(task.task_id); });
    return lost;
  }

  void ExpectNoneRanTwice() {
    const TaskLedger ledger = LedgerOf(workers_);
    EXPECT_THAT(ledger.problems(), IsEmpty());
    for (const auto& [task, events] : ledger.tasks()) {
      const auto begun = std::ranges::count(events, Kind::kBegun, &TaskEvent::kind);
      const auto failed = std::ranges::count(events, Kind::kFailed, &TaskEvent::kind);
      EXPECT_EQ(begun, 1 + failed) << task;
    }
    EXPECT_EQ(ledger.CountOf(Kind::kRevoked), 0);
  }

  std::vector<std::unique_ptr<WorkerProgram>> workers_;
};

TEST_F(TaskOutageTest, NoAcknowledgedTaskIsLostWithRedisThatSyncsAlways) {
  Cluster cluster(2, Persistent("always"));
  StartWorkers(cluster);
  TaskTraffic traffic(cluster, {.queue = kQueue});
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(AwaitMore(traffic));
    cluster.redis().Kill();
    cluster.redis().Start();
  }
  ASSERT_TRUE(AwaitMore(traffic));
  traffic.Stop();
  ASSERT_TRUE(AwaitAllDone(cluster));
  EXPECT_THAT(traffic.problems(), IsEmpty());
  EXPECT_EQ(Lost(cluster, traffic).size(), 0U);
  EXPECT_EQ(CountsOf(cluster.node(1), kQueue).total_enqueued(), static_cast<uint64_t>(traffic.count()));
  EXPECT_EQ(CountsOf(cluster.node(1), kQueue).total_completed(), static_cast<uint64_t>(traffic.count()));
  EXPECT_EQ(LedgerOf(workers_).repeats(), CountsOf(cluster.node(1), kQueue).total_failures());
  ExpectNoneRanTwice();
  std::cout << traffic.count() << " tasks acknowledged, none lost; " << traffic.repeated_calls() << " calls repeated\n";
}

TEST_F(TaskOutageTest, WhatIsLostWithRedisThatSyncsEverySecondWasAcknowledgedInTheLastSecond) {
  Cluster cluster(2, Persistent("everysec"));
  StartWorkers(cluster);
  TaskTraffic traffic(cluster, {.queue = kQueue, .flaky_every = 0});
  ASSERT_TRUE(AwaitMore(traffic));
  const absl::Time killed = absl::Now();
  cluster.redis().Kill();
  cluster.redis().Start();
  ASSERT_TRUE(AwaitMore(traffic));
  traffic.Stop();
  ASSERT_TRUE(AwaitAllDone(cluster));
  const std::vector<TaskTraffic::Acknowledged> lost = Lost(cluster, traffic);
  for (const TaskTraffic::Acknowledged& task : lost) EXPECT_GT(task.at, killed - absl::Seconds(1)) << task.task_id;
  std::cout << traffic.count() << " tasks acknowledged, " << lost.size() << " lost\n";
}

// Of what was under way when a connection is cut, some has been carried out and its answer lost: that must have its effect once.
TEST_F(TaskOutageTest, ConnectionsToRedisThatAreCutAgainAndAgainLoseNothingAndRepeatNothing) {
  constexpr int kCuts = 100;
  Cluster cluster(2, {.lease = absl::Seconds(2), .flags = {}, .redis = {}});
  StartWorkers(cluster);
  TaskTraffic traffic(cluster, {.queue = kQueue, .clients = 8, .many = 10});
  for (int i = 0; i < kCuts; ++i) {
    const int64_t before = traffic.count();
    ASSERT_TRUE(Await([&] { return traffic.count() >= before + 20; })) << "after " << i << " cuts";
    cluster.redis().Command({"CLIENT", "KILL", "TYPE", i % 10 == 0 ? "pubsub" : "normal"});
  }
  traffic.Stop();
  ASSERT_TRUE(AwaitAllDone(cluster));
  EXPECT_THAT(traffic.problems(), IsEmpty());
  EXPECT_EQ(Lost(cluster, traffic).size(), 0U);
  const v1::QueueCounts counts = CountsOf(cluster.node(1), kQueue);
  EXPECT_EQ(counts.total_enqueued(), static_cast<uint64_t>(traffic.count()));
  EXPECT_EQ(counts.total_completed(), static_cast<uint64_t>(traffic.count()));
  EXPECT_EQ(counts.total_lost_leases(), 0U);
  ExpectNoneRanTwice();
  std::cout << traffic.count() << " tasks; " << traffic.repeated_calls() << " calls repeated\n";
}

// Tasks that run all the while, and ones that come and go, on two nodes.
class LongOutageTest : public TaskOutageTest {
 protected:
  void Expect(Cluster& cluster, absl::FunctionRef<void()> away, absl::FunctionRef<void()> back) {
    constexpr int kHeld = 5;
    StartWorkers(cluster);
    const std::string file = cluster.dir() / "go";
    std::vector<std::string> held;
    held.reserve(kHeld);
    for (int i = 0; i < kHeld; ++i)
      held.push_back(Enqueue(cluster.node(1 + i % 2), Retained(WithData(file, NewTask("wait", kQueue)))));
    ASSERT_TRUE(Await([&] { return LedgerOf(workers_).CountOf(Kind::kBegun) == kHeld; }));
    TaskTraffic traffic(cluster, {.queue = kQueue});
    ASSERT_TRUE(AwaitMore(traffic));

    away();
    absl::SleepFor(3 * kTaskLease);  // As long as it is away: that is what this is about.
    back();
    ASSERT_TRUE(AwaitMore(traffic));
    WriteFile(file, "");
    traffic.Stop();
    ASSERT_TRUE(AwaitAllDone(cluster));
    EXPECT_THAT(traffic.problems(), IsEmpty());
    EXPECT_EQ(Lost(cluster, traffic).size(), 0U);
    EXPECT_EQ(CountsOf(cluster.node(1), kQueue).total_lost_leases(), 0U);
    ExpectNoneRanTwice();
    for (const std::string& task : held) EXPECT_EQ(GetTask(cluster.node(1), task).state(), v1::TASK_STATE_DONE);
  }
};

TEST_F(LongOutageTest, AfterRedisWasStoppedForThreeLeasesNothingRunsTwice) {
  Cluster cluster(2, Persistent("no"));
  Expect(
      cluster, [&] { cluster.redis().Pause(); }, [&] { cluster.redis().Resume(); });
}

TEST_F(LongOutageTest, AfterRedisWasDeadForThreeLeasesNothingRunsTwice) {
  Cluster cluster(2, Persistent("always"));
  Expect(
      cluster, [&] { cluster.redis().Kill(); }, [&] { cluster.redis().Start(); });
}

}  // namespace
}  // namespace actioncluster::cluster

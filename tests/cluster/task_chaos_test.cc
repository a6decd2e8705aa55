// Nodes and workers are killed all the time, and every task that was acknowledged is done, and recorded once.
//
// ACTIONTEST_TASKS=100000 build/release/cluster_tasks --gtest_filter='TaskChaosTest.*': so many tasks, however long it takes. Otherwise as many as fit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/task_calls.h"
#include "tests/cluster/task_ledger.h"
#include "tests/cluster/task_programs.h"
#include "tests/cluster/task_traffic.h"

namespace actioncluster::cluster {
namespace {

using testing::IsEmpty;

constexpr int kNodes = 3;
constexpr int kWorkers = 6;
constexpr int kConcurrency = 16;
constexpr int64_t kBacklog = 2000;  // Past it, nothing is enqueued for a while.
constexpr absl::Duration kNodeEvery = absl::Seconds(1);
constexpr absl::Duration kWorkerEvery = absl::Milliseconds(500);
constexpr absl::Duration kLook = absl::Milliseconds(50);  // The pace of the killing; nothing is waited for by it.
constexpr absl::Duration kTraffic = absl::Seconds(20);
constexpr absl::Duration kChaos = absl::Seconds(30);
constexpr absl::Duration kFullChaos = absl::Minutes(30);

// 0: not given.
int64_t FullSize() {
  const char* const text = std::getenv("ACTIONTEST_TASKS");
  int64_t size = 0;
  return text != nullptr && absl::SimpleAtoi(text, &size) ? size : 0;
}

class TaskChaosTest : public testing::Test {
 protected:
  explicit TaskChaosTest(const std::string& queues = "work,chain,other") {
    for (size_t i = 0; i < kWorkers; ++i) {
      const bool python = i % 2 == 1;
      workers_.push_back(std::make_unique<WorkerProgram>(
          cluster_.dir(), WorkerProgram::Options{.language = python ? Language::kPython : Language::kCpp,
                                                 .name = absl::StrCat(python ? "python-" : "cpp-", i),
                                                 .queues = queues,
                                                 .concurrency = kConcurrency,
                                                 .addresses = AddressesFrom(cluster_, i / 2)}));
    }
    for (const auto& worker : workers_) EXPECT_TRUE(worker->AwaitStarted()) << worker->name();
  }

  // Kills what is due, and starts it again.
  void Rage() {
    const absl::Time now = absl::Now();
    if (now >= next_worker_) {
      next_worker_ = now + kWorkerEvery;
      workers_[static_cast<size_t>(killed_workers_++) % workers_.size()]->KillAndStart();
    }
    if (now >= next_node_) {
      next_node_ = now + kNodeEvery;
      Node& node = cluster_.node(1 + killed_nodes_++ % kNodes);
      node.Kill();
      cluster_.StartAgain(node);
    }
  }

  // How many tasks of the queue have not ended; nothing: no node says so.
  std::optional<int64_t> Remaining(const std::string& queue) {
    for (const Node& node : cluster_.nodes()) {
      const std::optional<v1::QueueCounts> counts = TryCounts(node, queue);
      if (counts.has_value()) return static_cast<int64_t>(counts->ready() + counts->scheduled() + counts->active());
    }
    return std::nullopt;
  }
  bool AwaitEmpty(const std::string& queue) {
    return Await([&] { return Remaining(queue) == 0; });
  }

  void ExpectAllDoneOnce(const std::vector<std::string>& acknowledged, const std::string& queue);

  Cluster cluster_{kNodes, {.lease = absl::Seconds(2), .flags = {"--task-lease", "2s"}, .redis = {}}};
  std::vector<std::unique_ptr<WorkerProgram>> workers_;
  absl::Time next_node_ = absl::Now() + kNodeEvery;
  absl::Time next_worker_ = absl::Now();
  int killed_nodes_ = 0;
  int killed_workers_ = 0;
};

// Who was first told so, and by which token, says the result.
void ExpectResultOf(const v1::Task& task, const TaskLedger& ledger) {
  const std::vector<std::string> words = absl::StrSplit(task.result().data(), ' ');
  int64_t token = 0;
  ASSERT_TRUE(words.size() == 2 && absl::SimpleAtoi(words[1], &token)) << task.ShortDebugString();
  bool begun = false;
  for (const TaskEvent& event : ledger.EventsOf(task.id())) {
    begun = begun || (event.kind == TaskEvent::Kind::kBegun && event.token == token && event.worker == words[0]);
    if (event.kind == TaskEvent::Kind::kRecorded && event.reason == absl::StrCat(v1::TASK_STATE_DONE)) {
      EXPECT_EQ(event.token, token) << task.ShortDebugString();
    }
  }
  EXPECT_TRUE(begun) << "done by a lease that no worker has had: " << task.ShortDebugString();
}

void TaskChaosTest::ExpectAllDoneOnce(const std::vector<std::string>& acknowledged, const std::string& queue) {
  const TaskLedger ledger = LedgerOf(workers_);
  EXPECT_THAT(ledger.problems(), IsEmpty());
  const std::set<std::string> expected(acknowledged.begin(), acknowledged.end());
  EXPECT_EQ(expected.size(), acknowledged.size()) << "one id was acknowledged for two tasks";
  std::set<std::string> done;
  uint64_t lost_leases = 0;
  uint64_t failures = 0;
  for (const v1::Task& task : ListAll(cluster_.node(1), queue, v1::TASK_STATE_DONE)) {
    EXPECT_TRUE(done.insert(task.id()).second) << task.id() << " is listed twice";
    lost_leases += task.lost_leases();
    failures += task.name() == "flaky" ? 1 : 0;
    ExpectResultOf(task, ledger);
  }
  EXPECT_TRUE(done == expected) << done.size() << " done, " << expected.size() << " acknowledged";
  const v1::QueueCounts counts = CountsOf(cluster_.node(1), queue);
  EXPECT_EQ(counts.total_enqueued(), expected.size()) << counts.ShortDebugString();
  EXPECT_EQ(counts.total_completed(), expected.size()) << counts.ShortDebugString();
  EXPECT_EQ(counts.total_failures(), failures) << counts.ShortDebugString();
  EXPECT_EQ(counts.total_lost_leases(), lost_leases) << counts.ShortDebugString();
  EXPECT_EQ(counts.failed(), 0U) << counts.ShortDebugString();
  std::cout << expected.size() << " tasks, each done once; " << killed_nodes_ << " nodes and " << killed_workers_
            << " workers killed; " << ledger.CountOf(TaskEvent::Kind::kBegun) << " starts, " << ledger.repeats()
            << " of them repeated, " << failures << " failures and " << lost_leases << " leases lost; "
            << ledger.CountOf(TaskEvent::Kind::kRevoked) << " outcomes refused\n";
}

TEST_F(TaskChaosTest, EveryAcknowledgedTaskIsDoneOnceWhileNodesAndWorkersAreKilled) {
  const int64_t full = FullSize();
  TaskTraffic::Options options = {.queue = "work"};
  if (full > 0) options.limit = full;
  const absl::Time begun = absl::Now();
  TaskTraffic traffic(cluster_, options);
  const auto enough = [&] { return full > 0 ? traffic.is_full() : absl::Now() > begun + kTraffic; };
  std::optional<int64_t> remaining;
  while (absl::Now() < begun + (full > 0 ? kFullChaos : kChaos) && !(enough() && remaining == 0)) {
    Rage();
    remaining = Remaining("work");
    traffic.Hold(enough() || remaining.value_or(kBacklog) >= kBacklog);
    absl::SleepFor(kLook);
  }
  traffic.Stop();
  EXPECT_TRUE(AwaitEmpty("work")) << CountsOf(cluster_.node(1), "work").ShortDebugString();
  std::cout << "took " << absl::Now() - begun << ", " << traffic.repeated_calls() << " calls repeated\n";
  EXPECT_THAT(traffic.problems(), IsEmpty());
  std::vector<std::string> acknowledged;
  for (const TaskTraffic::Acknowledged& task : traffic.acknowledged()) acknowledged.push_back(task.task_id);
  EXPECT_GT(acknowledged.size(), 1000U);
  EXPECT_GT(killed_nodes_, 5);
  ExpectAllDoneOnce(acknowledged, "work");
}

TEST_F(TaskChaosTest, WhatFollowsATaskIsEnqueuedExactlyOnceInItsOwnQueueAndInOthers) {
  constexpr int kChains = 600;
  std::set<std::string> chains;
  int next = 0;
  const absl::Time end = absl::Now() + kTraffic;
  std::optional<int64_t> remaining;
  const auto enqueue = [&] {
    chains.insert(
        Enqueue(cluster_.node(1 + next % kNodes), Retained(WithData("chain,other", NewTask("chain", "chain")))));
    ++next;
  };
  while (absl::Now() < end && !(next == kChains && remaining == 0)) {
    Rage();
    for (int i = 0; i < 4 && next < kChains; ++i) enqueue();
    remaining = Remaining("chain");
    absl::SleepFor(kLook);
  }
  while (next < kChains) enqueue();  // On a slow machine some come after the last kill.
  ASSERT_EQ(chains.size(), static_cast<size_t>(kChains));
  EXPECT_TRUE(AwaitEmpty("chain"));
  EXPECT_TRUE(Await([&] { return CountsOf(cluster_.node(1), "other").total_completed() >= kChains; }));
  EXPECT_TRUE(AwaitEmpty("other"));
  EXPECT_THAT(LedgerOf(workers_).problems(), IsEmpty());
  for (const std::string queue : {"chain", "other"}) {
    std::map<std::string, int> followers;  // Of each chain.
    for (const v1::Task& task : ListAll(cluster_.node(1), queue, v1::TASK_STATE_DONE)) {
      if (task.name() == "echo") ++followers[task.result().data()];
    }
    for (const std::string& chain : chains) EXPECT_EQ(followers[chain], 1) << chain << " in " << queue;
    EXPECT_EQ(followers.size(), chains.size()) << queue;
  }
  EXPECT_EQ(CountsOf(cluster_.node(1), "chain").total_enqueued(), 2U * kChains);
  EXPECT_EQ(CountsOf(cluster_.node(1), "other").total_enqueued(), 1U * kChains);
  std::cout << kChains << " chains; " << killed_nodes_ << " nodes and " << killed_workers_ << " workers killed\n";
}

}  // namespace
}  // namespace actioncluster::cluster

// One recurring task on five nodes, of which one is killed every two seconds: each slot is enqueued once.
//
// ACTIONTEST_SECONDS=60: for so long. Otherwise 15 s.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/task_calls.h"
#include "tests/cluster/task_ledger.h"
#include "tests/cluster/task_programs.h"

namespace actioncluster::cluster {
namespace {

using testing::IsEmpty;
using Kind = TaskEvent::Kind;

constexpr char kQueue[] = "recurring";
constexpr int kNodes = 5;
constexpr absl::Duration kKillEvery = absl::Seconds(2);
constexpr absl::Duration kEvery = absl::Seconds(1);
// Between the slot and its start: a sweep, or the lease of a task that a killed node had just taken.
constexpr absl::Duration kLate = absl::Seconds(5);

absl::Duration Length() {
  const char* const text = std::getenv("ACTIONTEST_SECONDS");
  int seconds = 0;
  return absl::Seconds(text != nullptr && absl::SimpleAtoi(text, &seconds) ? seconds : 15);
}

absl::Time SlotOf(const std::string& task_id) {
  const std::vector<std::string> words = absl::StrSplit(task_id, '@');
  int64_t microseconds = 0;
  EXPECT_TRUE(words.size() == 2 && words[0] == absl::StrCat(kQueue, "/tick") &&
              absl::SimpleAtoi(words[1], &microseconds))
      << task_id;
  return absl::FromUnixMicros(microseconds);
}

TEST(TaskRecurringTest, EachSlotIsEnqueuedOnceWhileNodesAreKilled) {
  Cluster cluster(kNodes, {.lease = absl::Seconds(2), .flags = {"--task-lease", "1s"}, .redis = {}});
  std::vector<std::unique_ptr<WorkerProgram>> workers;
  for (size_t i = 0; i < 2; ++i) {
    workers.push_back(std::make_unique<WorkerProgram>(
        cluster.dir(), WorkerProgram::Options{.language = i == 0 ? Language::kCpp : Language::kPython,
                                              .name = absl::StrCat("worker-", i),
                                              .queues = kQueue,
                                              .concurrency = 4,
                                              .addresses = AddressesFrom(cluster, 2 * i)}));
    ASSERT_TRUE(workers.back()->AwaitStarted());
  }
  v1::ScheduleRecurringRequest request;
  request.set_id("tick");
  SetDuration(kEvery, request.mutable_every());
  *request.mutable_task() = Retained(NewTask("work", kQueue));
  const auto scheduled = Ask(cluster.node(1), &v1::TaskService::Stub::ScheduleRecurring, request);
  ASSERT_TRUE(scheduled.ok()) << scheduled.status.error_message();
  EXPECT_TRUE(scheduled.response.created());
  const absl::Time first = ToTime(scheduled.response.next());

  int killed = 0;
  const absl::Time end = absl::Now() + Length();
  for (absl::Time next = absl::Now() + kKillEvery; next < end; next += kKillEvery) {
    absl::SleepFor(next - absl::Now());
    Node& node = cluster.node(1 + killed++ % kNodes);
    node.Kill();
    cluster.StartAgain(node);
  }
  v1::StopRecurringRequest stop;
  stop.set_queue(kQueue);
  stop.set_id("tick");
  // Every slot that is due is enqueued before it ends.
  const absl::Time last = absl::Now();
  const auto done = [&] { return ListAll(cluster.node(1), kQueue, v1::TASK_STATE_DONE); };
  ASSERT_TRUE(Await(
      [&] { return std::ranges::any_of(done(), [&](const v1::Task& task) { return SlotOf(task.id()) > last; }); }));
  EXPECT_TRUE(Ask(cluster.node(1), &v1::TaskService::Stub::StopRecurring, stop).response.stopped());
  ASSERT_TRUE(Await([&] {
    const v1::QueueCounts counts = CountsOf(cluster.node(1), kQueue);
    return counts.total_completed() == counts.total_enqueued();
  }));

  std::set<absl::Time> slots;
  for (const v1::Task& task : done()) EXPECT_TRUE(slots.insert(SlotOf(task.id())).second) << task.id();
  ASSERT_FALSE(slots.empty());
  absl::Time expected = first;
  for (const absl::Time slot : slots) {
    EXPECT_EQ(slot, expected) << "a gap";
    expected = slot + kEvery;
  }
  EXPECT_EQ(CountsOf(cluster.node(1), kQueue).total_enqueued(), slots.size()) << "one was enqueued twice";
  const TaskLedger ledger = LedgerOf(workers);
  EXPECT_THAT(ledger.problems(), IsEmpty());
  absl::Duration latest;
  for (const absl::Time slot : slots) {
    const std::vector<TaskEvent> begun =
        ledger.EventsOf(absl::StrCat(kQueue, "/tick@", absl::ToUnixMicros(slot)), Kind::kBegun);
    ASSERT_FALSE(begun.empty()) << slot;
    EXPECT_GE(begun[0].time, slot) << "early";
    latest = std::max(latest, begun[0].time - slot);
  }
  EXPECT_LT(latest, kLate);
  std::cout << slots.size() << " slots; " << killed << " nodes killed; the latest began " << latest
            << " after its slot\n";
}

TEST(TaskRecurringTest, TheScheduleIsTheSameFromEveryNodeAndReplacingItGoesOn) {
  Cluster cluster(2);
  v1::ScheduleRecurringRequest request;
  request.set_id("tick");
  request.set_cron("*/2 * * * * *");
  *request.mutable_task() = NewTask("work", kQueue);
  const auto first = Ask(cluster.node(1), &v1::TaskService::Stub::ScheduleRecurring, request);
  ASSERT_TRUE(first.ok()) << first.status.error_message();
  const auto again = Ask(cluster.node(2), &v1::TaskService::Stub::ScheduleRecurring, request);
  ASSERT_TRUE(again.ok()) << again.status.error_message();
  EXPECT_TRUE(first.response.created());
  EXPECT_FALSE(again.response.created());
  EXPECT_LE(ToTime(again.response.next()) - ToTime(first.response.next()), absl::Seconds(2));
  v1::ListRecurringRequest list;
  list.set_queue(kQueue);
  const auto listed = Ask(cluster.node(2), &v1::TaskService::Stub::ListRecurring, list);
  ASSERT_EQ(listed.response.recurring_size(), 1);
  EXPECT_EQ(listed.response.recurring(0).schedule().cron(), request.cron());
  v1::StopRecurringRequest stop;
  stop.set_queue(kQueue);
  stop.set_id("tick");
  EXPECT_TRUE(Ask(cluster.node(2), &v1::TaskService::Stub::StopRecurring, stop).response.stopped());
  EXPECT_FALSE(Ask(cluster.node(1), &v1::TaskService::Stub::StopRecurring, stop).response.stopped());
}

}  // namespace
}  // namespace actioncluster::cluster

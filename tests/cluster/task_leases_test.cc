// Workers and nodes that fall silent lose their tasks, and no clock but Redis's says when.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/task_calls.h"
#include "tests/cluster/task_ledger.h"
#include "tests/cluster/task_programs.h"
#include "tests/cluster/task_worker.h"
#include "tests/fakes/stop_process.h"

namespace actioncluster::cluster {
namespace {

using testing::IsEmpty;
using Kind = TaskEvent::Kind;

constexpr char kQueue[] = "leases";
constexpr absl::Duration kTaskLease = absl::Seconds(1);
const Cluster::Options kShortLease = {.lease = absl::Seconds(2), .flags = {"--task-lease", "1s"}, .redis = {}};

class StoppedWorkerTest : public testing::TestWithParam<Language> {};

TEST_P(StoppedWorkerTest, PastItsLeaseItsTaskRunsElsewhereOnceMoreAndItsOwnOutcomeIsRefused) {
  Cluster cluster(2, kShortLease);
  const std::string file = cluster.dir() / "go";
  std::vector<std::unique_ptr<WorkerProgram>> workers;
  const auto start = [&](const std::string& name, size_t node) -> WorkerProgram& {
    workers.push_back(std::make_unique<WorkerProgram>(
        cluster.dir(),
        WorkerProgram::Options{
            .language = GetParam(), .name = name, .queues = kQueue, .addresses = AddressesFrom(cluster, node)}));
    EXPECT_TRUE(workers.back()->AwaitStarted());
    return *workers.back();
  };
  WorkerProgram& stopped = start("stopped", 0);
  const std::string task = Enqueue(cluster.node(1), Retained(WithData(file, NewTask("wait", kQueue))));
  const TaskEvent first = stopped.AwaitEvent(Kind::kBegun);
  WorkerProgram& other = start("other", 1);

  fakes::StopProcess(stopped.program().pid());
  const TaskEvent second = other.AwaitEvent(Kind::kBegun);
  EXPECT_EQ(second.task_id, task);
  EXPECT_EQ(second.attempt, 1);
  EXPECT_EQ(second.lost_leases, 1);
  EXPECT_GE(second.time - first.time, kTaskLease);
  WriteFile(file, "");
  EXPECT_EQ(other.AwaitEvent(Kind::kRecorded).token, second.token);

  stopped.program().Signal(SIGCONT);
  const TaskEvent revoked = stopped.AwaitEvent(Kind::kRevoked);
  EXPECT_EQ(revoked.task_id, task);
  EXPECT_EQ(revoked.token, first.token);
  EXPECT_EQ(revoked.reason, "lease_lost");
  EXPECT_EQ(stopped.AwaitEvent(Kind::kCompleted).token, first.token);
  // It has room again, and works on.
  const std::string further = Enqueue(cluster.node(2), Retained(NewTask("work", kQueue)));
  EXPECT_TRUE(Await([&] { return GetTask(cluster.node(1), further).state() == v1::TASK_STATE_DONE; }));

  const TaskLedger ledger = LedgerOf(workers);
  EXPECT_THAT(ledger.problems(), IsEmpty());
  EXPECT_EQ(ledger.EventsOf(task, Kind::kBegun).size(), 2U);
  EXPECT_EQ(ledger.EventsOf(task, Kind::kRecorded).size(), 1U);
  EXPECT_EQ(GetTask(cluster.node(1), task).result().data(), absl::StrCat("other ", second.token));
  EXPECT_EQ(CountsOf(cluster.node(1), kQueue).total_lost_leases(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Languages, StoppedWorkerTest, testing::Values(Language::kCpp, Language::kPython),
                         [](const auto& info) { return info.param == Language::kCpp ? "Cpp" : "Python"; });

TEST(TaskLeasesTest, TheTasksOfAWorkerThatIsSilentThoughItsSocketIsOpenRunElsewhere) {
  Cluster cluster(2, kShortLease);
  const std::string task = Enqueue(cluster.node(1), NewTask("work", kQueue));
  TaskWorker silent(cluster.node(1), {.queues = {kQueue}, .heartbeat = false}, Holding);
  EXPECT_EQ(silent.tasks().Next().id(), task);
  const TaskWorker other(cluster.node(2), {.queues = {kQueue}}, Completing);
  EXPECT_EQ(other.tasks().Next().lost_leases(), 1U);
  EXPECT_EQ(silent.revoked().size(), 0U);
  v1::WorkRequest heartbeat;
  heartbeat.mutable_heartbeat();
  silent.Send(heartbeat);  // Too late.
  EXPECT_EQ(silent.revoked().Next().reason(), "lease_lost");
}

TEST(TaskLeasesTest, AWorkerThatIsHeardKeepsItsTaskForManyLeases) {
  Cluster cluster(2, kShortLease);
  TaskWorker holder(cluster.node(1), {.queues = {kQueue}}, Holding);
  const TaskWorker other(cluster.node(2), {.queues = {kQueue}}, Completing);
  std::string task;
  // Until the one that holds gets one.
  EXPECT_TRUE(Await([&] {
    task = Enqueue(cluster.node(1), NewTask("work", kQueue));
    Await([&] { return holder.tasks().size() > 0; }, absl::Milliseconds(50));
    return holder.tasks().size() > 0;
  }));
  const TaskWorker::Task held = holder.tasks().Next();
  absl::SleepFor(5 * kTaskLease);  // That nothing happens.
  EXPECT_EQ(holder.revoked().size(), 0U);
  holder.Send(Done(held));
  EXPECT_EQ(holder.recorded().Next().task_id(), held.id());
  EXPECT_EQ(CountsOf(cluster.node(1), kQueue).total_lost_leases(), 0U);
}

TEST(TaskLeasesTest, AWorkerWhoseStreamIsTornHasItsTaskRunElsewhereAtOnce) {
  Cluster cluster(2, {.lease = absl::Seconds(2), .flags = {"--task-lease", "30s"}, .redis = {}});
  auto torn = std::make_unique<TaskWorker>(cluster.node(1), TaskWorker::Options{.queues = {kQueue}}, Holding);
  const std::string task = Enqueue(cluster.node(1), NewTask("work", kQueue));
  EXPECT_EQ(torn->tasks().Next().id(), task);
  const TaskWorker other(cluster.node(2), {.queues = {kQueue}}, Completing);
  const absl::Time begun = absl::Now();
  torn = nullptr;
  const TaskWorker::Task again = other.tasks().Next();
  EXPECT_EQ(again.id(), task);
  EXPECT_EQ(again.lost_leases(), 1U);
  EXPECT_EQ(again.attempt(), 1U);
  EXPECT_LT(absl::Now() - begun, absl::Seconds(5));
}

TEST(TaskLeasesTest, TheTasksOfAKilledNodeRunElsewhereWhenTheirLeasesEnd) {
  Cluster cluster(3, kShortLease);
  TaskWorker orphan(cluster.node(3), {.queues = {kQueue}, .concurrency = 3}, Holding);
  for (int i = 0; i < 3; ++i) Enqueue(cluster.node(1), Retained(NewTask("work", kQueue)));
  for (int i = 0; i < 3; ++i) orphan.tasks().Next();
  const TaskWorker other(cluster.node(2), {.queues = {kQueue}, .concurrency = 3}, Completing);
  const absl::Time killed = absl::Now();
  cluster.node(3).Kill();
  EXPECT_EQ(orphan.AwaitEnd().error_code(), grpc::UNAVAILABLE);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(other.tasks().Next().lost_leases(), 1U);
  EXPECT_LT(absl::Now() - killed, kTaskLease + absl::Seconds(3));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(other.recorded().Next().state(), v1::TASK_STATE_DONE);
}

// A node whose clock is right, one that is an hour ahead, and one an hour behind: each has a worker, and each is asked.
class ClocksTest : public testing::TestWithParam<int> {
 protected:
  ClocksTest() {
    for (const int shift : {3600, -3600}) {
      cluster_.Start(
          {.environment = {absl::StrCat("LD_PRELOAD=", CLOCK_SHIFT_LIBRARY),
                           absl::StrCat("ACTIONTEST_CLOCK_SHIFT_S=", shift), "ASAN_OPTIONS=verify_asan_link_order=0"}});
    }
  }
  // When the next task of the queue begins, of a worker on the node.
  absl::Time BeginOf(const TaskWorker& worker, const std::string& task) {
    EXPECT_EQ(worker.tasks().Next().id(), task);
    return absl::Now();
  }
  void ExpectAbout(absl::Time expected, absl::Time actual) {
    EXPECT_GE(actual, expected - absl::Milliseconds(5));
    EXPECT_LT(actual, expected + absl::Seconds(2));
  }

  Cluster cluster_{1, kShortLease};
};

TEST_P(ClocksTest, NothingIsEarlyOrLateByWhoIsAskedNorByWhoWorks) {
  const Node& worker_node = cluster_.node(GetParam());
  const TaskWorker worker(worker_node, {.queues = {kQueue}}, Completing);
  for (const Node& node : cluster_.nodes()) {
    absl::Time due = absl::Now() + absl::Seconds(1);
    ExpectAbout(due, BeginOf(worker, Enqueue(node, After(absl::Seconds(1), NewTask("work", kQueue)))));

    due = absl::Now() + absl::Seconds(1);
    v1::EnqueueRequest request = NewTask("work", kQueue);
    request.mutable_run_at()->set_seconds(absl::ToUnixSeconds(due));
    request.mutable_run_at()->set_nanos(static_cast<int32_t>(absl::ToUnixNanos(due) % 1'000'000'000));
    ExpectAbout(due, BeginOf(worker, Enqueue(node, request)));

    due = absl::Now();
    ExpectAbout(due, BeginOf(worker, Enqueue(node, NewTask("work", kQueue))));
  }
}

TEST_P(ClocksTest, ATimeoutTakesAsLongAsItSays) {
  constexpr absl::Duration kTimeout = absl::Milliseconds(1500);
  TaskWorker worker(cluster_.node(GetParam()), {.queues = {kQueue}}, Holding);
  v1::EnqueueRequest request = Timed(kTimeout, NewTask("work", kQueue));
  request.mutable_retry()->set_max_attempts(1);
  const absl::Time begun = absl::Now();
  const std::string task = Enqueue(cluster_.node(1), request);
  const TaskWorker::Task held = worker.tasks().Next();
  const TaskWorker::Revoked revoked = worker.revoked().Next();
  EXPECT_EQ(revoked.reason(), "timeout");
  EXPECT_EQ(revoked.token(), held.token());
  ExpectAbout(begun + kTimeout, absl::Now());
  // And the node's clock is indeed off: it states the deadline by it.
  const int shift = GetParam() == 1 ? 0 : GetParam() == 2 ? 1 : -1;
  ExpectAbout(begun + kTimeout - absl::Milliseconds(200), ToTime(held.deadline()) - absl::Hours(shift));
  EXPECT_TRUE(Await([&] { return GetTask(cluster_.node(1), task).state() == v1::TASK_STATE_FAILED; }));
}

TEST_P(ClocksTest, SlotsComeWhenTheyAreDue) {
  const TaskWorker worker(cluster_.node(2), {.queues = {kQueue}}, Completing);
  v1::ScheduleRecurringRequest request;
  request.set_id("tick");
  request.mutable_every()->set_seconds(1);
  *request.mutable_task() = NewTask("work", kQueue);
  const absl::Time asked = absl::Now();
  const auto answered = Ask(cluster_.node(GetParam()), &v1::TaskService::Stub::ScheduleRecurring, request);
  ASSERT_TRUE(answered.ok()) << answered.status.error_message();
  absl::Time slot = ToTime(answered.response.next());
  EXPECT_GT(slot, asked);
  EXPECT_LE(slot, absl::Now() + absl::Seconds(1));
  for (int i = 0; i < 3; ++i, slot += absl::Seconds(1)) {
    ExpectAbout(slot, BeginOf(worker, absl::StrCat(kQueue, "/tick@", absl::ToUnixMicros(slot))));
  }
}

INSTANTIATE_TEST_SUITE_P(Nodes, ClocksTest, testing::Values(1, 2, 3), [](const auto& info) {
  return info.param == 1 ? "Right" : info.param == 2 ? "Ahead" : "Behind";
});

}  // namespace
}  // namespace actioncluster::cluster

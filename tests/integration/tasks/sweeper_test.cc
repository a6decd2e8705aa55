#include "backplane/tasks/sweeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/bus/sealer.h"
#include "tests/integration/tasks/queue_client.h"

// Sweepers on real nodes: nobody here sweeps by hand.
namespace actioncluster {
namespace {

using internal::v1::RecurringRecord;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

constexpr char kOther[] = "other";

// A node, as far as it keeps time for queues.
class Node {
 public:
  explicit Node(const fakes::RedisServer& redis) {
    const fakes::Waiter<absl::Status> joined;
    thread_.Run([&] {
      parts_ =
          std::make_unique<Parts>(thread_.loop(), redis::LinkOptions{.endpoint = redis.endpoint(), .client_name = ""});
      parts_->membership.Join(joined.Callback());
    });
    CHECK_EQ(joined.Next(), absl::OkStatus());
  }
  ~Node() {
    thread_.Run([this] { parts_.reset(); });
  }

  void Enqueue(const NewTask& task) {
    const fakes::Waiter<absl::StatusOr<std::vector<EnqueueOutcome>>> done;
    thread_.Run([&] { parts_->store.Enqueue(QueueClient::kQueue, {task}, "", absl::ZeroDuration(), done.Callback()); });
    CHECK_EQ(done.Next().status(), absl::OkStatus());
  }
  void SweepNow(const std::string& queue) {
    thread_.Run([&] { parts_->sweeper.SweepNow(queue); });
  }

 private:
  struct Parts {
    Parts(Loop& loop, const redis::LinkOptions& options)
        : client(loop, options, scripts::All()),
          bus(loop, client, options, keys, Sealer::Create("a server token for tests", "test").value()),
          membership(loop, client, bus, keys,
                     MembershipOptions{.name_prefix = "node-", .succeeds_boot = "", .self = {}}),
          store(client, keys, absl::Minutes(1),
                [this](const std::string& queue, const TaskHints& hints) {
                  if (hints.next.has_value()) sweeper.SweepAt(queue, *hints.next);
                }),
          sweeper(loop, bus, membership, store) {}

    Keys keys{fakes::kNamespace};
    redis::Client client;
    Bus bus;
    Membership membership;
    TaskStore store;
    Sweeper sweeper;
  };

  fakes::LoopThread thread_;
  std::unique_ptr<Parts> parts_;
};

class SweeperTest : public testing::Test {
 protected:
  // Looks until it is so.
  static void Await(const std::function<bool()>& so) {
    const absl::Time give_up = MonotonicNow() + fakes::kPatience;
    while (!so()) CHECK(MonotonicNow() < give_up) << "it does not come to that";
  }

  absl::Time RedisNow() {
    const redis::Reply reply = redis_.Command({"TIME"});
    int64_t seconds = 0, micros = 0;
    CHECK(absl::SimpleAtoi(*reply.view()[0].String(), &seconds));
    CHECK(absl::SimpleAtoi(*reply.view()[1].String(), &micros));
    return absl::FromUnixSeconds(seconds) + absl::Microseconds(micros);
  }
  const std::string& Key(size_t which) const { return names_[which]; }
  int64_t Number(const std::vector<std::string>& command) { return *redis_.Command(command).view().Integer(); }
  int64_t MetaNumber(const std::string& field) {
    const redis::Reply reply = redis_.Command({"HGET", Key(7), field});
    int64_t number = 0;
    return !reply.view().is_nil() && absl::SimpleAtoi(*reply.view().String(), &number) ? number : 0;
  }

  static RecurringRecord Every(absl::Duration period) {
    RecurringRecord record;
    record.set_every_us(absl::ToInt64Microseconds(period));
    record.mutable_task()->set_name("tick");
    record.mutable_task()->set_max_attempts(1);
    return record;
  }
  void Schedule(const std::string& id, const std::string& record, absl::Time first) {
    client_.Ask<TaskStore::Scheduled>([&](TaskStore& store, auto done) {
      store.SetSchedule(QueueClient::kQueue, id, record, record, first, std::move(done));
    });
  }
  std::vector<TaskView> Ready(const std::string& queue = QueueClient::kQueue) {
    return client_
        .Ask<TaskStore::Page>(
            [&](TaskStore& store, auto done) { store.List(queue, TaskState::kReady, "", 1000, std::move(done)); })
        .tasks;
  }
  // The slots of those of a schedule's tasks that are ready, in µs.
  std::vector<int64_t> Slots(const std::string& id) {
    std::vector<int64_t> slots;
    for (const TaskView& task : Ready()) {
      absl::string_view text = task.id;
      int64_t slot = 0;
      if (absl::ConsumePrefix(&text, absl::StrCat(id, "@")) && absl::SimpleAtoi(text, &slot)) slots.push_back(slot);
    }
    std::sort(slots.begin(), slots.end());
    return slots;
  }
  // A schedule whose slots nobody has looked at for some hours, and nodes that begin to: the slots that are missed and were enqueued.
  std::vector<int64_t> AfterAnOutage(const RecurringRecord& record) {
    const absl::Time now = RedisNow();
    const absl::Time first = absl::FromUnixSeconds(absl::ToUnixSeconds(now) / 3600 * 3600) - absl::Hours(5);
    Schedule("hourly", record.SerializeAsString(), first);
    redis_.Command({"HSET", Key(7), "touched_us", absl::StrCat(absl::ToUnixMicros(now - absl::Hours(5)))});
    const Node one(redis_);
    const Node two(redis_);
    Await([&] {
      const redis::Reply cursor = redis_.Command({"ZSCORE", Key(12), "hourly"});
      double slot = 0;
      CHECK(absl::SimpleAtod(*cursor.view().String(), &slot));
      return slot > static_cast<double>(absl::ToUnixMicros(now));
    });
    std::vector<int64_t> missed;
    const int64_t until = MetaNumber("missed_until_us");
    for (const int64_t slot : Slots("hourly")) {
      if (slot < until) missed.push_back(slot);
    }
    return missed;
  }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(/*cluster=*/false);
  const Keys keys_{fakes::kNamespace};
  const std::vector<std::string> names_ = keys_.Queue(QueueClient::kQueue);
  QueueClient client_{redis_};
};

TEST_F(SweeperTest, TasksBecomeReadyWhenTheyAreDue) {
  Node node(redis_);
  constexpr int kTasks = 15;
  std::map<std::string, absl::Duration> delays;
  for (int i = 0; i < kTasks; ++i) {
    NewTask task = TaskNamed(absl::StrCat("t", i));
    task.delay = absl::Milliseconds(100) * (i + 1);
    delays[task.id] = task.delay;
    node.Enqueue(task);
  }
  Await([&] { return Ready().size() == kTasks; });
  size_t in_time = 0;
  for (const TaskView& task : Ready()) {
    const absl::Duration late = task.since - (task.enqueued_at + delays[task.id]);
    EXPECT_GE(late, absl::ZeroDuration());
    if (late < absl::Milliseconds(50)) ++in_time;
  }
  EXPECT_GT(in_time, size_t{kTasks} / 2);  // The machine may be busy; claims alone would be in time for none or one.
}

TEST_F(SweeperTest, WhatAnotherEnqueuedBecomesReadyThoughNobodyIsTold) {
  NewTask task = TaskNamed("t");
  task.delay = absl::Milliseconds(10);
  client_.Enqueue({task});
  const Node node(redis_);
  Await([&] { return Ready().size() == 1; });
}

TEST_F(SweeperTest, TwoNodesFireEachSlotOnce) {
  const Node one(redis_);
  const Node two(redis_);
  const absl::Duration period = absl::Milliseconds(200);
  const absl::Time first = RedisNow();
  Schedule("tick", Every(period).SerializeAsString(),
           absl::UnixEpoch() + absl::Trunc(first - absl::UnixEpoch(), period) + period);
  Await([&] { return Slots("tick").size() >= 20; });
  const std::vector<int64_t> slots = Slots("tick");
  for (size_t i = 1; i < slots.size(); ++i) EXPECT_EQ(slots[i] - slots[i - 1], 200'000);
  EXPECT_EQ(slots.front() % 200'000, 0);
  // Most are in time: at the beginning no node knew of it, and the machine may be busy. Claims alone would be late for four of five.
  size_t in_time = 0;
  for (const TaskView& task : Ready()) {
    EXPECT_EQ(task.name, "tick");
    absl::string_view text = task.id;
    int64_t us = 0;
    ASSERT_TRUE(absl::ConsumePrefix(&text, "tick@") && absl::SimpleAtoi(text, &us));
    const absl::Duration late = task.enqueued_at - absl::FromUnixMicros(us);
    EXPECT_GE(late, absl::ZeroDuration());
    if (late < absl::Milliseconds(150)) ++in_time;
  }
  EXPECT_GT(in_time, slots.size() / 2);
}

TEST_F(SweeperTest, ASlotWhoseTaskHasEndedIsNotFiredAgain) {
  Schedule("tick", Every(absl::Hours(1)).SerializeAsString(), absl::FromUnixSeconds(3600));
  redis_.Command({"HSET", Key(7), "touched_us", absl::StrCat(absl::ToUnixMicros(RedisNow()))});
  redis_.Command(
      {"ZADD", Key(12), absl::StrCat(absl::ToUnixMicros(RedisNow()) / 3'600'000'000 * 3'600'000'000), "tick"});
  Node node(redis_);
  Await([&] { return !Slots("tick").empty(); });
  const std::vector<int64_t> before = Slots("tick");
  for (const LeasedTask& task : client_.Lease(1)) EXPECT_TRUE(client_.Settle(Done(task)).recorded);
  // As if nobody had moved the cursor.
  redis_.Command({"ZADD", Key(12), absl::StrCat(before.front()), "tick"});
  node.SweepNow(QueueClient::kQueue);
  Await([&] {
    double slot = 0;
    return absl::SimpleAtod(*redis_.Command({"ZSCORE", Key(12), "tick"}).view().String(), &slot) &&
           slot > static_cast<double>(before.front());
  });
  EXPECT_THAT(Slots("tick"), Not(Contains(before.front())));
}

TEST_F(SweeperTest, MissedSlotsAreSkipped) { EXPECT_THAT(AfterAnOutage(Every(absl::Hours(1))), IsEmpty()); }

TEST_F(SweeperTest, MissedSlotsRunOnceIfTheScheduleSaysSo) {
  RecurringRecord record = Every(absl::Hours(1));
  record.set_run_once_for_missed(true);
  const std::vector<int64_t> missed = AfterAnOutage(record);
  const int64_t until = MetaNumber("missed_until_us");
  EXPECT_THAT(missed, ElementsAre((until - 1) / 3'600'000'000 * 3'600'000'000));
}

TEST_F(SweeperTest, AScheduleThatIsNotUnderstoodHoldsNobodyUp) {
  RecurringRecord newer = Every(absl::Hours(1));
  newer.set_every_us(0);
  newer.set_cron("at dawn");
  Schedule("broken", "\xff no record", RedisNow());
  Schedule("newer", newer.SerializeAsString(), RedisNow());
  Schedule("tick", Every(absl::Seconds(1)).SerializeAsString(), absl::FromUnixSeconds(absl::ToUnixSeconds(RedisNow())));
  redis_.Command({"CONFIG", "RESETSTAT"});
  const Node node(redis_);
  Await([&] { return Slots("tick").size() >= 3; });
  EXPECT_EQ(Number({"ZCARD", Key(12)}), 3);
  // Nor is Redis asked again and again for it: a sweep and a slot each second, and what this test looks at.
  const std::string stats(*redis_.Command({"INFO", "commandstats"}).view().String());
  const size_t at = stats.find("cmdstat_hlen:calls=");  // Each sweep has one.
  ASSERT_NE(at, std::string::npos);
  int64_t sweeps = 0;
  const std::string rest = stats.substr(at + 19);
  ASSERT_TRUE(absl::SimpleAtoi(rest.substr(0, rest.find(',')), &sweeps));
  EXPECT_LT(sweeps, 60);
}

TEST_F(SweeperTest, AFollowUpReachesAnotherQueueOnceHoweverOftenItIsDelivered) {
  client_.Enqueue({TaskNamed("first")});
  const std::vector<LeasedTask> leased = client_.Lease(1);
  ASSERT_EQ(leased.size(), 1U);
  TaskOutcome done = Done(leased[0]);
  constexpr int kFollowUps = 20;
  for (int i = 0; i < kFollowUps; ++i) done.follow_ups.push_back({kOther, TaskNamed(absl::StrCat("follow", i))});
  ASSERT_TRUE(client_.Settle(done).recorded);
  const redis::Reply outbox = redis_.Command({"HGETALL", Key(13)});
  ASSERT_EQ(outbox.view().size(), 2U * kFollowUps);

  Node node(redis_);
  Await([&] { return Number({"EXISTS", Key(13)}) == 0; });
  ASSERT_EQ(Ready(kOther).size(), static_cast<size_t>(kFollowUps));
  // They are done with, and gone, when the entries come again: nobody had removed them.
  client_.Ask<TaskStore::Changed>([&](TaskStore& store, auto changed) {
    std::vector<std::string> ids;
    ids.reserve(kFollowUps);
    for (int i = 0; i < kFollowUps; ++i) ids.push_back(absl::StrCat("follow", i));
    store.Apply(kOther, TaskStore::Change::kDelete, ids, std::move(changed));
  });
  std::vector<std::string> again = {"HSET", Key(13)};
  for (size_t i = 0; i < outbox.view().size(); ++i) again.emplace_back(*outbox.view()[i].String());
  redis_.Command(again);
  node.SweepNow(QueueClient::kQueue);
  Await([&] { return Number({"EXISTS", Key(13)}) == 0; });
  EXPECT_THAT(Ready(kOther), IsEmpty());
}

TEST_F(SweeperTest, AFollowUpWaitsUntilItsQueueHasRoom) {
  const auto limit = [&](int64_t most) {
    QueueLimits limits;
    limits.max_length = most;
    client_.Ask<bool>([&](TaskStore& store, auto done) {
      store.SetLimits(kOther, limits, [done = std::move(done)](absl::Status set) mutable {
        if (set.ok()) return std::move(done)(true);
        std::move(done)(set);
      });
    });
  };
  limit(1);
  client_.Enqueue({TaskNamed("first")});
  TaskOutcome done = Done(client_.Lease(1).at(0));
  done.follow_ups = {{kOther, TaskNamed("a")}, {kOther, TaskNamed("b")}};
  ASSERT_TRUE(client_.Settle(done).recorded);
  Node node(redis_);
  Await([&] { return Number({"HLEN", Key(13)}) == 1; });
  EXPECT_EQ(Ready(kOther).size(), 1U);
  limit(10);
  Await([&] { return Ready(kOther).size() == 2; });
  Await([&] { return Number({"EXISTS", Key(13)}) == 0; });
}

}  // namespace
}  // namespace actioncluster

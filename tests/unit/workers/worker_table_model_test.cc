#include <algorithm>
#include <deque>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/workers/worker_table_test_base.h"

// Random events in random orders, against a Redis of a few lines; what must hold always is looked at after each.
namespace actioncluster {
namespace {

// A queue as the scripts keep it, without time: leases end when the test says so.
class ModelQueue {
 public:
  struct Leased {
    std::string id;
    bool held = true;
  };

  void Add(const std::string& id, std::vector<uint64_t>& woken) {
    ready_.push_back(id);
    Wake(woken);
  }

  // As tasks_turn.lua: the turn that is repeated has its effect once.
  TaskTurnResult Turn(const TaskTurn& turn, int64_t& token, std::vector<uint64_t>& woken) {
    if (turn.number == last_number_) return last_;
    EXPECT_GT(turn.number, last_number_);
    TaskTurnResult result;
    for (const TaskOutcome& outcome : turn.outcomes) result.settled.push_back(Settle(outcome));
    for (const TaskTurn::Renewal& renewal : turn.renewals) {
      if (!active_.contains(renewal.token)) result.lost.push_back(renewal);
    }
    for (const TaskTurn::Demand& demand : turn.demands) {
      std::vector<LeasedTask>& leased = result.leased.emplace_back();
      while (static_cast<int>(leased.size()) < demand.credit && !ready_.empty()) {
        leased.push_back({.id = ready_.front(),
                          .name = "n",
                          .input = {},
                          .token = ++token,
                          .attempt = 1,
                          .lost_leases = 0,
                          .timeout = absl::ZeroDuration()});
        active_.emplace(token, ready_.front());
        ready_.pop_front();
      }
      waiting_.erase(demand.group);
      if (static_cast<int>(leased.size()) < demand.credit) waiting_.insert(demand.group);
    }
    Wake(woken);
    last_number_ = turn.number;
    last_ = result;
    return result;
  }

  // The lease is lost, without anybody being told.
  bool LoseOne(std::mt19937& random, std::vector<uint64_t>& woken) {
    if (active_.empty()) return false;
    auto lease = active_.begin();
    std::advance(lease, random() % active_.size());
    ready_.push_back(lease->second);
    active_.erase(lease);
    Wake(woken);
    return true;
  }

  const std::map<int64_t, std::string>& active() const { return active_; }
  bool empty() const { return ready_.empty() && active_.empty(); }
  size_t ready() const { return ready_.size(); }
  const std::map<std::string, int>& done() const { return done_; }

 private:
  TaskTurnResult::Settled Settle(const TaskOutcome& outcome) {
    EXPECT_TRUE(said_.insert({outcome.token, outcome.kind}).second) << "one outcome handed in twice";
    const auto lease = active_.find(outcome.token);
    if (lease == active_.end()) return {.recorded = false, .state = TaskState::kReady};
    EXPECT_EQ(lease->second, outcome.id);
    if (outcome.kind == TaskOutcome::Kind::kDone) {
      ++done_[outcome.id];
    } else {
      ready_.push_back(outcome.id);
    }
    active_.erase(lease);
    return {.recorded = true, .state = TaskState::kDone};
  }

  void Wake(std::vector<uint64_t>& woken) {
    for (size_t i = 0; i < ready_.size() && !waiting_.empty(); ++i) {
      woken.push_back(*waiting_.begin());
      waiting_.erase(waiting_.begin());
    }
  }

  std::deque<std::string> ready_;
  std::map<int64_t, std::string> active_;
  std::set<uint64_t> waiting_;
  std::map<std::string, int> done_;
  std::set<std::pair<int64_t, TaskOutcome::Kind>> said_;
  uint64_t last_number_ = 0;
  TaskTurnResult last_;
};

class WorkerTableModelTest : public WorkerTableTest, public ::testing::WithParamInterface<int> {
 protected:
  struct ModelWorker {
    Attached attached;
    int concurrency;
    size_t answered = 0;     // How many of the tasks that it was sent have their outcome.
    std::set<int64_t> open;  // Tokens of those that have not.
  };

  static constexpr const char* kQueues[] = {"a", "b", "c"};

  size_t Random(size_t below) { return random_() % below; }
  const char* AnyQueue() { return kQueues[Random(3)]; }

  void AttachAny() {
    std::vector<std::string> queues;
    if (Random(3) == 0) {
      queues = {"*"};
    } else {
      queues.emplace_back(AnyQueue());
      queues.emplace_back(AnyQueue());
    }
    AttachOne(std::move(queues), 1 + static_cast<int>(Random(4)));
  }

  // Names make groups; every task here fits all of them.
  void AttachOne(std::vector<std::string> queues, int concurrency) {
    const std::string name = absl::StrCat("n", Random(3));
    workers_.push_back(
        {.attached = Attach(std::move(queues), concurrency, {name}), .concurrency = concurrency, .open = {}});
    if (table_.wants_queues()) table_.SetQueues({"a", "b", "c"});
  }

  void Pump() {
    for (auto& [queue, turn] : Take()) {
      EXPECT_FALSE(under_way_.contains(queue)) << "two turns at one queue";
      const auto lost = lost_.find(queue);
      if (lost != lost_.end()) {
        EXPECT_EQ(turn.number, lost->second.number);
        EXPECT_EQ(turn.outcomes.size(), lost->second.outcomes.size());
        EXPECT_EQ(turn.demands.size(), lost->second.demands.size());
        for (size_t i = 0; i < turn.demands.size(); ++i) {
          EXPECT_EQ(turn.demands[i].credit, lost->second.demands[i].credit);
        }
      }
      under_way_.emplace(queue, std::move(turn));
    }
  }

  // Redis does one turn, or does not, and its answer comes, or does not.
  void AnswerOne(bool may_lose) {
    if (under_way_.empty()) return;
    auto next = under_way_.begin();
    std::advance(next, Random(under_way_.size()));
    const std::string queue = next->first;
    const TaskTurn turn = std::move(next->second);
    under_way_.erase(next);
    const bool arrives = !may_lose || Random(4) != 0;
    const bool answered = arrives && (!may_lose || Random(4) != 0);
    if (arrives) {
      TaskTurnResult result = redis_[queue].Turn(turn, token_, woken_[queue]);
      if (answered) {
        lost_.erase(queue);
        table_.OnTurn(queue, std::move(result), std::nullopt, now_);
        return;
      }
    }
    lost_.insert_or_assign(queue, turn);
    Lose(queue);
  }

  void DeliverWakes(bool may_lose) {
    for (auto& [queue, groups] : woken_) {
      if (!groups.empty() && (!may_lose || Random(8) != 0)) table_.OnWake(queue, groups);
      groups.clear();
    }
  }

  void SayOne(ModelWorker& worker, TaskOutcome::Kind kind) {
    const std::vector<WorkerTask>& tasks = worker.attached.stream->tasks;
    if (worker.answered == tasks.size()) return;
    const WorkerTask& task = tasks[worker.answered++];
    worker.open.erase(task.task.token);
    Say(worker.attached, task, kind);
  }

  void Check() {
    std::set<int64_t> tokens;
    for (ModelWorker& worker : workers_) {
      const std::vector<WorkerTask>& tasks = worker.attached.stream->tasks;
      for (size_t i = seen_[worker.attached.id]; i < tasks.size(); ++i) {
        worker.open.insert(tasks[i].task.token);
        EXPECT_TRUE(sent_tokens_.insert(tasks[i].task.token).second) << "one lease at two workers";
      }
      seen_[worker.attached.id] = tasks.size();
      EXPECT_LE(static_cast<int>(worker.open.size()), worker.concurrency) << "more tasks than places";
    }
  }

  // `calm`: nothing is lost.
  void Step(bool calm) {
    switch (Random(12)) {
      case 0:
        if (workers_.size() < 6) AttachAny();
        break;
      case 1:
        if (!workers_.empty() && Random(3) == 0) {
          const size_t gone = Random(workers_.size());
          table_.Detach(workers_[gone].attached.id);
          workers_.erase(workers_.begin() + static_cast<ptrdiff_t>(gone));
        }
        break;
      case 2:
      case 3: {
        const std::string queue = AnyQueue();
        redis_[queue].Add(absl::StrCat(queue, ++added_), woken_[queue]);
        break;
      }
      case 4:
      case 5:
        if (!workers_.empty()) {
          SayOne(workers_[Random(workers_.size())],
                 Random(4) == 0 ? TaskOutcome::Kind::kFailed : TaskOutcome::Kind::kDone);
        }
        break;
      case 6:
      case 7:
        AnswerOne(/*may_lose=*/!calm);
        break;
      case 8:
        DeliverWakes(/*may_lose=*/!calm);
        break;
      case 9: {
        now_ += absl::Milliseconds(static_cast<int64_t>(Random(calm ? 10 : 3000)));
        for (const ModelWorker& worker : workers_) {
          if (calm || Random(4) != 0) table_.Heard(worker.attached.id, now_);
        }
        break;
      }
      case 10: {
        const std::string queue = AnyQueue();
        if (!calm && Random(4) == 0) redis_[queue].LoseOne(random_, woken_[queue]);
        break;
      }
      default:
        Pump();
    }
    Check();
  }

  // Workers do their work, and time passes: in all less than kAskAgain, so that what was forgotten is seen.
  void Settle() {
    for (int round = 0; round < 4000; ++round) {
      now_ += absl::Milliseconds(4);
      for (ModelWorker& worker : workers_) {
        table_.Heard(worker.attached.id, now_);
        SayOne(worker, TaskOutcome::Kind::kDone);
      }
      DeliverWakes(false);
      Pump();
      while (!under_way_.empty()) AnswerOne(false);
      Check();
    }
  }

  std::mt19937 random_{static_cast<unsigned>(GetParam())};
  std::vector<ModelWorker> workers_;
  std::map<std::string, ModelQueue> redis_;
  std::map<std::string, std::vector<uint64_t>> woken_;
  std::map<std::string, TaskTurn> under_way_;
  std::map<std::string, TaskTurn> lost_;  // To be sent again as they were.
  std::map<WorkerTable::WorkerId, size_t> seen_;
  std::set<int64_t> sent_tokens_;
  int added_ = 0;
};

TEST_P(WorkerTableModelTest, NoTaskIsLostOrDoubledAndNobodyHasTooMuch) {
  for (int step = 0; step < 1500; ++step) Step(/*calm=*/false);
  AttachOne({"*"}, 2);
  table_.LookAgain(now_);  // Wakes were lost: the bus is back, so to say.
  for (int step = 0; step < 500; ++step) Step(/*calm=*/true);
  if (workers_.empty() || !table_.wants_queues()) AttachOne({"*"}, 2);
  Settle();
  size_t done = 0;
  for (const char* queue : kQueues) {
    EXPECT_TRUE(redis_[queue].empty()) << queue << " ready=" << redis_[queue].ready();
    for (const auto& [id, times] : redis_[queue].done()) {
      EXPECT_EQ(times, 1) << id;
      ++done;
    }
  }
  EXPECT_EQ(done, static_cast<size_t>(added_));
  EXPECT_EQ(table_.running(), 0u);
  EXPECT_TRUE(table_.idle());
}

INSTANTIATE_TEST_SUITE_P(Seeds, WorkerTableModelTest, ::testing::Range(1, 51));

}  // namespace
}  // namespace actioncluster

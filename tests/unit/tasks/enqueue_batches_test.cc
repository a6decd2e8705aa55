#include "backplane/tasks/enqueue_batches.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Result = absl::StatusOr<std::vector<EnqueueOutcome>>;

class EnqueueBatchesTest : public testing::Test {
 protected:
  struct Sent {
    std::string queue;
    std::vector<std::string> ids;
    EnqueueBatches::Done done;
  };

  std::vector<NewTask> Tasks(const std::vector<std::string>& ids, size_t bytes = 1) {
    std::vector<NewTask> tasks;
    for (const std::string& id : ids) {
      NewTask& task = tasks.emplace_back();
      task.id = id;
      task.input.body = std::string(bytes, 'x');
    }
    return tasks;
  }
  // Adds, and gives where the answer will be.
  std::shared_ptr<std::optional<Result>> Add(const std::string& queue, std::vector<NewTask> tasks) {
    auto result = std::make_shared<std::optional<Result>>();
    batches_->Add(queue, std::move(tasks), [result](Result outcomes) { *result = std::move(outcomes); });
    return result;
  }
  // Ends a batch that was sent, with an outcome of the same id for each task.
  void End(size_t which) {
    std::vector<EnqueueOutcome> outcomes;
    for (const std::string& id : sent_.at(which).ids) outcomes.push_back({EnqueueOutcome::Kind::kCreated, id});
    EnqueueBatches::Done done = std::move(sent_.at(which).done);
    std::move(done)(std::move(outcomes));
  }
  static std::vector<std::string> IdsOf(const std::shared_ptr<std::optional<Result>>& result) {
    std::vector<std::string> ids;
    for (const EnqueueOutcome& outcome : *result->value()) ids.push_back(outcome.id);
    return ids;
  }

  std::vector<Sent> sent_;
  std::unique_ptr<EnqueueBatches> batches_ = std::make_unique<EnqueueBatches>(
      [this](const std::string& queue, const std::vector<NewTask>& tasks, EnqueueBatches::Done done) {
        Sent& sent = sent_.emplace_back();
        sent.queue = queue;
        for (const NewTask& task : tasks) sent.ids.push_back(task.id);
        sent.done = std::move(done);
      });
};

TEST_F(EnqueueBatchesTest, ACallerAloneIsSentAtOnce) {
  const auto result = Add("q", Tasks({"1", "2"}));
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_EQ("q", sent_[0].queue);
  EXPECT_THAT(sent_[0].ids, ElementsAre("1", "2"));
  EXPECT_FALSE(result->has_value());
  End(0);
  EXPECT_THAT(IdsOf(result), ElementsAre("1", "2"));
}

TEST_F(EnqueueBatchesTest, ThoseWhoComeMeanwhileGoTogetherAndEachHearsOfItsOwn) {
  const auto first = Add("q", Tasks({"1"}));
  const auto second = Add("q", Tasks({"2", "3"}));
  const auto third = Add("q", Tasks({"4"}));
  ASSERT_THAT(sent_, SizeIs(1));
  End(0);
  ASSERT_THAT(sent_, SizeIs(2));
  EXPECT_THAT(sent_[1].ids, ElementsAre("2", "3", "4"));
  EXPECT_FALSE(second->has_value());
  End(1);
  EXPECT_THAT(IdsOf(first), ElementsAre("1"));
  EXPECT_THAT(IdsOf(second), ElementsAre("2", "3"));
  EXPECT_THAT(IdsOf(third), ElementsAre("4"));
  Add("q", Tasks({"5"}));
  EXPECT_THAT(sent_, SizeIs(3));
}

TEST_F(EnqueueBatchesTest, QueuesDoNotWaitForEachOther) {
  Add("q", Tasks({"1"}));
  Add("r", Tasks({"2"}));
  EXPECT_THAT(sent_, SizeIs(2));
}

TEST_F(EnqueueBatchesTest, ABatchIsBoundedInTasksAndBytes) {
  Add("q", Tasks({"0"}));
  for (size_t i = 0; i < EnqueueBatches::kMaxTasks + 1; ++i) Add("q", Tasks({"t"}));
  Add("q", Tasks({"large"}, EnqueueBatches::kMaxBytes));
  Add("q", Tasks({"larger"}, 2 * EnqueueBatches::kMaxBytes));
  End(0);
  EXPECT_THAT(sent_.at(1).ids, SizeIs(EnqueueBatches::kMaxTasks));
  End(1);
  EXPECT_THAT(sent_.at(2).ids, ElementsAre("t"));
  End(2);
  EXPECT_THAT(sent_.at(3).ids, ElementsAre("large"));
  End(3);
  EXPECT_THAT(sent_.at(4).ids, ElementsAre("larger"));
}

TEST_F(EnqueueBatchesTest, AnErrorIsThatOfEachInTheBatchAndOfNobodyElse) {
  const auto first = Add("q", Tasks({"1"}));
  const auto second = Add("q", Tasks({"2"}));
  EnqueueBatches::Done done = std::move(sent_[0].done);
  std::move(done)(BackplaneUnavailable("away"));
  EXPECT_EQ("away", first->value().status().message());
  End(1);
  EXPECT_THAT(IdsOf(second), ElementsAre("2"));
}

TEST_F(EnqueueBatchesTest, OutcomesThatAreMissingAreAnError) {
  const auto result = Add("q", Tasks({"1", "2"}));
  EnqueueBatches::Done done = std::move(sent_[0].done);
  std::move(done)(std::vector<EnqueueOutcome>{{EnqueueOutcome::Kind::kCreated, "1"}});
  EXPECT_EQ(absl::StatusCode::kInternal, result->value().status().code());
}

TEST_F(EnqueueBatchesTest, AtTheEndThoseWhoWaitHearOfItAndThoseWhoAreSentHearTheSender) {
  const auto sent = Add("q", Tasks({"1"}));
  const auto waiting = Add("q", Tasks({"2"}));
  batches_.reset();
  EXPECT_EQ(absl::StatusCode::kUnavailable, waiting->value().status().code());
  EXPECT_FALSE(sent->has_value());
  End(0);
  EXPECT_THAT(IdsOf(sent), ElementsAre("1"));
  EXPECT_THAT(sent_, SizeIs(1));
}

}  // namespace
}  // namespace actioncluster

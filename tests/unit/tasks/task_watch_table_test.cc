#include "backplane/tasks/task_watch_table.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Look = TaskWatchTable::Look;
using News = TaskWatchTable::News;
using WatcherId = TaskWatchTable::WatcherId;

TaskView View(TaskState state) {
  TaskView view = {};
  view.state = state;
  return view;
}

class TaskWatchTableTest : public ::testing::Test {
 protected:
  // The one look that is to be begun.
  Look Only() {
    const std::vector<Look> looks = table_.Begin(10);
    EXPECT_EQ(looks.size(), 1u);
    return looks.empty() ? Look() : looks[0];
  }
  // A task that is found ready by the look that comes with its first watcher.
  WatcherId AddReady(const std::string& id) {
    const WatcherId watcher = table_.Add("q", id);
    EXPECT_THAT(table_.Looked(Only(), {View(TaskState::kReady)}), SizeIs(1));
    return watcher;
  }

  TaskWatchTable table_;
};

TEST_F(TaskWatchTableTest, AWatcherIsToldTheTaskAsItIsAndThenWhatChanges) {
  const WatcherId watcher = table_.Add("q", "t");
  const Look first = Only();
  EXPECT_TRUE(first.registers);
  EXPECT_EQ(first.queue, "q");
  EXPECT_THAT(first.ids, ElementsAre("t"));
  EXPECT_THAT(table_.Begin(10), IsEmpty()) << "one look at a time";
  std::vector<News> news = table_.Looked(first, {View(TaskState::kReady)});
  ASSERT_THAT(news, SizeIs(1));
  EXPECT_THAT(news[0].to, ElementsAre(watcher));
  EXPECT_EQ(news[0].task->state, TaskState::kReady);
  EXPECT_FALSE(news[0].ended);
  EXPECT_THAT(table_.Begin(10), IsEmpty());

  table_.Changed("q", {"t", "of somebody else"});
  const Look second = Only();
  EXPECT_FALSE(second.registers);
  EXPECT_THAT(second.ids, ElementsAre("t"));
  news = table_.Looked(second, {View(TaskState::kActive)});
  ASSERT_THAT(news, SizeIs(1));
  EXPECT_EQ(news[0].task->state, TaskState::kActive);
}

TEST_F(TaskWatchTableTest, TheEndIsToldOnceAndLetsGo) {
  for (const std::optional<TaskView>& end :
       {std::optional<TaskView>(View(TaskState::kDone)), std::optional<TaskView>(View(TaskState::kCancelled)),
        std::optional<TaskView>(View(TaskState::kFailed)), std::optional<TaskView>()}) {
    const WatcherId one = AddReady("t");
    const WatcherId two = table_.Add("q", "t");
    const std::vector<News> news = table_.Looked(Only(), {end});
    ASSERT_THAT(news, SizeIs(1));
    EXPECT_THAT(news[0].to, ElementsAre(one, two));
    EXPECT_TRUE(news[0].ended);
    EXPECT_EQ(news[0].task.has_value(), end.has_value());
    EXPECT_EQ(table_.watchers(), 0u);
    table_.Changed("q", {"t"});
    table_.Suspect();
    EXPECT_THAT(table_.Begin(10), IsEmpty());
  }
}

TEST_F(TaskWatchTableTest, WhatHasNotChangedIsNotToldAgain) {
  AddReady("t");
  table_.Suspect();
  TaskView view = View(TaskState::kReady);
  view.due_at = absl::UnixEpoch();
  EXPECT_THAT(table_.Looked(Only(), {view}), IsEmpty());
  const auto is_told = [&] {
    table_.Changed("q", {"t"});
    return table_.Looked(Only(), {view}).size() == 1;
  };
  view.progress = {.kind = Content::Kind::kBytes, .body = "half"};
  EXPECT_TRUE(is_told());
  EXPECT_FALSE(is_told());
  view.attempts = 1;
  EXPECT_TRUE(is_told());
  view.error = absl::InternalError("no");
  EXPECT_TRUE(is_told());
  EXPECT_FALSE(is_told());
}

TEST_F(TaskWatchTableTest, AChangeDuringALookIsLookedAtAfterIt) {
  AddReady("t");
  table_.Changed("q", {"t"});
  const Look look = Only();
  table_.Changed("q", {"t"});
  table_.Changed("q", {"t"});
  EXPECT_THAT(table_.Begin(10), IsEmpty());
  table_.Looked(look, {View(TaskState::kActive)});
  EXPECT_THAT(Only().ids, ElementsAre("t"));
  EXPECT_THAT(table_.Begin(10), IsEmpty());
}

TEST_F(TaskWatchTableTest, ALookThatBeganBeforeAWatcherCameSaysNothingToIt) {
  const WatcherId early = table_.Add("q", "t");
  const Look look = Only();
  const WatcherId late = table_.Add("q", "t");
  // It was enqueued in between.
  std::vector<News> news = table_.Looked(look, {std::nullopt});
  ASSERT_THAT(news, SizeIs(1));
  EXPECT_THAT(news[0].to, ElementsAre(early));
  EXPECT_EQ(table_.watchers(), 1u);
  news = table_.Looked(Only(), {View(TaskState::kReady)});
  ASSERT_THAT(news, SizeIs(1));
  EXPECT_THAT(news[0].to, ElementsAre(late));
}

TEST_F(TaskWatchTableTest, ALookForWatchersWhoAreGoneSaysNothingToThoseWhoCameAfter) {
  const WatcherId gone = table_.Add("q", "t");
  const Look look = Only();
  table_.Remove(gone);
  const WatcherId watcher = table_.Add("q", "t");
  const Look own = Only();
  EXPECT_THAT(table_.Looked(look, {std::nullopt}), IsEmpty());
  EXPECT_THAT(table_.Failed(look), IsEmpty());
  const std::vector<News> news = table_.Looked(own, {View(TaskState::kReady)});
  ASSERT_THAT(news, SizeIs(1));
  EXPECT_THAT(news[0].to, ElementsAre(watcher));
}

TEST_F(TaskWatchTableTest, AFailureIsToldToThoseWhoHaveHeardNothingYetAndOthersGoOn) {
  const WatcherId old = AddReady("t");
  const WatcherId young = table_.Add("q", "t");
  const Look look = Only();
  const WatcherId youngest = table_.Add("q", "t");
  EXPECT_THAT(table_.Failed(look), ElementsAre(young));
  const Look again = Only();
  EXPECT_THAT(table_.Failed(again), ElementsAre(youngest));
  EXPECT_THAT(table_.Begin(10), IsEmpty()) << "what fails is not tried again at once";
  table_.Suspect();
  const Look later = Only();
  EXPECT_TRUE(later.registers) << "whether Redis has it is not known";
  const std::vector<News> news = table_.Looked(later, {View(TaskState::kActive)});
  ASSERT_THAT(news, SizeIs(1));
  EXPECT_THAT(news[0].to, ElementsAre(old));
  table_.Suspect();
  EXPECT_FALSE(Only().registers);
}

TEST_F(TaskWatchTableTest, AfterDistrustEveryTaskIsRegisteredAnew) {
  AddReady("a");
  AddReady("b");
  table_.Changed("q", {"a"});
  table_.Distrust();
  std::vector<Look> looks = table_.Begin(10);
  ASSERT_THAT(looks, SizeIs(2));
  for (const Look& look : looks) EXPECT_TRUE(look.registers);
  EXPECT_THAT(table_.Begin(10), IsEmpty());
  // Also what comes during a look.
  table_.Distrust();
  for (const Look& look : looks) table_.Looked(look, {View(TaskState::kReady)});
  looks = table_.Begin(10);
  ASSERT_THAT(looks, SizeIs(2));
  for (const Look& look : looks) EXPECT_TRUE(look.registers);
}

TEST_F(TaskWatchTableTest, AnotherTaskOfTheSameIdIsRegistered) {
  AddReady("t");
  table_.Suspect();
  TaskView other = View(TaskState::kReady);
  other.enqueued_at += absl::Seconds(1);
  EXPECT_THAT(table_.Looked(Only(), {other}), SizeIs(1));
  EXPECT_TRUE(Only().registers);
}

TEST_F(TaskWatchTableTest, TasksOfAQueueAreReadTogetherAndQueuesTakeTurns) {
  constexpr size_t kTasks = TaskWatchTable::kMostRead + 5;
  std::vector<std::string> ids;
  for (size_t i = 0; i < kTasks; ++i) ids.push_back(absl::StrCat("t", i));
  for (const std::string& id : ids) AddReady(id);
  table_.Add("other", "t");
  table_.Looked(Only(), {View(TaskState::kReady)});
  table_.Changed("q", ids);
  table_.Changed("q", ids);
  table_.Changed("other", {"t"});
  std::vector<Look> looks = table_.Begin(2);
  ASSERT_THAT(looks, SizeIs(2));
  EXPECT_THAT(looks[0].ids, SizeIs(TaskWatchTable::kMostRead));
  EXPECT_EQ(looks[1].queue, "other");
  looks = table_.Begin(2);
  ASSERT_THAT(looks, SizeIs(1));
  EXPECT_EQ(looks[0].queue, "q");
  EXPECT_THAT(looks[0].ids, SizeIs(5));
}

TEST_F(TaskWatchTableTest, WhoIsRemovedHearsNothing) {
  const WatcherId one = AddReady("t");
  const WatcherId two = table_.Add("q", "t");
  table_.Remove(two);
  table_.Remove(two);
  const std::vector<News> news = table_.Looked(Only(), {View(TaskState::kActive)});
  ASSERT_THAT(news, SizeIs(1));
  EXPECT_THAT(news[0].to, ElementsAre(one));
  table_.Remove(one);
  EXPECT_EQ(table_.watchers(), 0u);
  table_.Changed("q", {"t"});
  EXPECT_THAT(table_.Begin(10), IsEmpty());
}

}  // namespace
}  // namespace actioncluster

#include "client/outcome_box.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace actioncluster::client {
namespace {

using testing::ElementsAre;

v1::WorkRequest::Completed Completed(const std::string& id, int64_t token = 1, size_t bytes = 0) {
  v1::WorkRequest::Completed completed;
  completed.set_task_id(id);
  completed.set_token(token);
  completed.set_data(std::string(bytes, 'x'));
  return completed;
}

v1::WorkRequest::Failed Failed(const std::string& id) {
  v1::WorkRequest::Failed failed;
  failed.set_task_id(id);
  failed.set_token(1);
  return failed;
}

v1::WorkRequest::Progress Progress(const std::string& id, const std::string& data) {
  v1::WorkRequest::Progress progress;
  progress.set_task_id(id);
  progress.set_token(1);
  progress.set_data(data);
  return progress;
}

class OutcomeBoxTest : public testing::Test {
 protected:
  // What the next frame says, in order: `done a`, `failed b`, `a is at 7`.
  std::vector<std::string> NextFrame() {
    v1::WorkRequest::Outcomes frame;
    box_.Fill(&frame);
    bytes_ = frame.ByteSizeLong();
    std::vector<std::string> said;
    for (const auto& each : frame.completed()) said.push_back("done " + each.task_id());
    for (const auto& each : frame.failed()) said.push_back("failed " + each.task_id());
    for (const auto& each : frame.progress()) said.push_back(each.task_id() + " is at " + each.data().substr(0, 9));
    return said;
  }

  OutcomeBox box_;
  size_t bytes_ = 0;
};

TEST_F(OutcomeBoxTest, AllThatIsThereGoesIntoOneFrame) {
  EXPECT_TRUE(box_.empty());
  box_.Add(Completed("a"));
  box_.Add(Failed("b"));
  box_.Add(Completed("c"));
  EXPECT_FALSE(box_.empty());
  EXPECT_THAT(NextFrame(), ElementsAre("done a", "done c", "failed b"));
  EXPECT_TRUE(box_.empty());
}

TEST_F(OutcomeBoxTest, OfATasksProgressTheLastIsSaid) {
  box_.Add(Progress("a", "1"));
  box_.Add(Progress("b", "1"));
  box_.Add(Progress("a", "2"));
  EXPECT_THAT(NextFrame(), ElementsAre("a is at 2", "b is at 1"));
  EXPECT_TRUE(box_.empty());
}

TEST_F(OutcomeBoxTest, ATasksOutcomeComesAfterItsProgressInAFrameOfItsOwn) {
  box_.Add(Progress("a", "99 %"));
  box_.Add(Completed("a"));
  box_.Add(Completed("b"));
  EXPECT_THAT(NextFrame(), ElementsAre("done b", "a is at 99 %"));
  EXPECT_FALSE(box_.empty());
  EXPECT_THAT(NextFrame(), ElementsAre("done a"));
}

TEST_F(OutcomeBoxTest, AnotherLeaseOfATaskIsAnotherTask) {
  box_.Add(Progress("a", "of the first"));
  box_.Add(Completed("a", 2));
  EXPECT_THAT(NextFrame(), ElementsAre("done a", "a is at of the fi"));
}

TEST_F(OutcomeBoxTest, AFrameIsNeverLargerThanNodesRead) {
  constexpr size_t kLargest = size_t{5} * 1024 * 1024;
  constexpr int kTasks = 100;
  for (int i = 0; i < kTasks; ++i) {
    box_.Add(Progress(std::to_string(i), std::string(65'000, 'x')));
    box_.Add(Completed("small", i, 10'000));
    box_.Add(Completed("large", i, kLargest));
  }
  int said = 0;
  while (!box_.empty()) {
    said += static_cast<int>(NextFrame().size());
    ASSERT_LT(bytes_, size_t{8} * 1024 * 1024);
  }
  EXPECT_EQ(said, 3 * kTasks);
}

TEST_F(OutcomeBoxTest, OutcomesGoOnWhileMuchProgressIsSaid) {
  for (int i = 0; i < 100; ++i) box_.Add(Progress(std::to_string(i), std::string(65'000, 'x')));
  box_.Add(Completed("done"));
  EXPECT_EQ(NextFrame().front(), "done done");
}

TEST_F(OutcomeBoxTest, WhoSaysMuchHoldsUpNobody) {
  const std::string much(65'000, 'x');
  const auto chatter = [&] {
    for (int i = 0; i < 20; ++i) box_.Add(Progress("a" + std::to_string(10 + i), much));
  };
  chatter();
  box_.Add(Progress("z", "99 %"));
  box_.Add(Completed("z"));
  std::vector<std::string> said;
  for (int frames = 0; frames < 3; ++frames) {
    for (const std::string& each : NextFrame()) said.push_back(each);
    chatter();  // Before the next frame, each time.
  }
  EXPECT_THAT(said, testing::IsSupersetOf({"z is at 99 %", "done z"}));
}

TEST_F(OutcomeBoxTest, ClearedNothingIsLeft) {
  box_.Add(Progress("a", "1"));
  box_.Add(Completed("a"));
  box_.Clear();
  EXPECT_TRUE(box_.empty());
}

}  // namespace
}  // namespace actioncluster::client

#include "backplane/tasks/task_id.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

namespace actioncluster {
namespace {

TEST(TaskIdTest, IsTheQueueASlashAndTheId) {
  EXPECT_EQ((TaskId{"mail", "7"}).ToString(), "mail/7");
  EXPECT_EQ(*TaskId::Parse("mail/7"), (TaskId{"mail", "7"}));
}

TEST(TaskIdTest, OfOneTextThereIsOneTaskIdAndTheOtherWayRound) {
  for (const char* queue : {"mail", "a/b", "100%", "%2F", "%25", "%252F", "/", "%", "%/%", "a b", "\xc3\xa4", "%2f"}) {
    for (const char* id : {"7", "a/b", "%2F", "%", "/", "hourly@1700000000000000"}) {
      const TaskId original{queue, id};
      const absl::StatusOr<TaskId> parsed = TaskId::Parse(original.ToString());
      ASSERT_TRUE(parsed.ok()) << original.ToString();
      EXPECT_EQ(*parsed, original) << original.ToString();
    }
  }
  EXPECT_EQ((TaskId{"a/b%", "c/d%"}).ToString(), "a%2Fb%25/c/d%");
}

TEST(TaskIdTest, WhatIsOfAnotherFormIsRefused) {
  for (const char* text : {"", "/", "mail", "mail/", "/7", "%/7", "%2/7", "%2f/7", "%41/7", "100%/7", "%2525%/7"}) {
    EXPECT_EQ(TaskId::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(TaskIdTest, NewIdsAreNeverTheSameWhicheverThreadMakesThem) {
  constexpr int kThreads = 4;
  constexpr int kEach = 1000;
  std::vector<std::vector<std::string>> made(kThreads);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (std::vector<std::string>& ids : made) {
    threads.emplace_back([&ids] {
      ids.reserve(kEach);
      for (int i = 0; i < kEach; ++i) ids.push_back(NewTaskId());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> all;
  for (const std::vector<std::string>& ids : made) all.insert(ids.begin(), ids.end());
  EXPECT_EQ(all.size(), static_cast<size_t>(kThreads * kEach));
}

}  // namespace
}  // namespace actioncluster

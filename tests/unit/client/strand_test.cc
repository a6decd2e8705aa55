#include "client/strand.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster::client {
namespace {

using testing::ElementsAre;

TEST(StrandTest, WhatATaskPostsRunsAfterIt) {
  Strand strand;
  std::vector<std::string> log;
  strand.Post([&] {
    strand.Post([&] { log.push_back("second"); });
    log.push_back("first");
  });
  EXPECT_THAT(log, ElementsAre("first", "second"));
}

TEST(StrandTest, TasksOfManyThreadsRunOneAtATimeAndNoneIsLost) {
  Strand strand;
  int count = 0;  // Without a lock: that is the strand's part.
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10'000; ++j) strand.Post([&] { ++count; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  strand.Post([] {});
  EXPECT_EQ(count, 40'000);
}

TEST(StrandTest, ATaskMayDropTheStrand) {
  auto strand = std::make_unique<Strand>();
  absl::Notification ran;
  strand->Post([&] {
    strand->Post([&] { ran.Notify(); });
    strand.reset();
  });
  EXPECT_TRUE(ran.HasBeenNotified());
}

}  // namespace
}  // namespace actioncluster::client

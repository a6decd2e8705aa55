#include "server/grpc/offload.h"

#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;

TEST(OffloadTest, SmallWorkRunsAtOnceOnTheCallersThread) {
  Offload offload;
  std::thread::id ran;
  offload.Run(Offload::kInlineBytes, [&] { ran = std::this_thread::get_id(); });
  EXPECT_EQ(ran, std::this_thread::get_id());
}

TEST(OffloadTest, LargeWorkDoesNotHoldUpTheCaller) {
  Offload offload;
  absl::Notification may_end;
  absl::Notification ended;
  std::thread::id ran;
  offload.Run(Offload::kInlineBytes + 1, [&] {
    may_end.WaitForNotification();
    ran = std::this_thread::get_id();
    ended.Notify();
  });
  may_end.Notify();
  ended.WaitForNotification();
  EXPECT_NE(ran, std::this_thread::get_id());
}

TEST(OffloadTest, RunsLargeWorkInOrderAndAllOfItBeforeItIsGone) {
  std::vector<int> ran;
  {
    Offload offload;
    for (int i = 0; i < 5; ++i) offload.Run(Offload::kInlineBytes + 1, [&ran, i] { ran.push_back(i); });
  }
  EXPECT_THAT(ran, ElementsAre(0, 1, 2, 3, 4));
}

TEST(OffloadTest, WorkMayOffloadMoreWorkUpToTheEnd) {
  std::vector<int> ran;
  {
    Offload offload;
    offload.Run(Offload::kInlineBytes + 1, [&] {
      offload.Run(Offload::kInlineBytes + 1, [&ran] { ran.push_back(2); });
      ran.push_back(1);
    });
  }
  EXPECT_THAT(ran, ElementsAre(1, 2));
}

}  // namespace
}  // namespace actioncluster

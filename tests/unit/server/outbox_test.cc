#include "server/grpc/outbox.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The stream's side: takes one write at a time, and ends each when the test says so.
class OutboxTest : public ::testing::Test {
 protected:
  using Box = Outbox<std::string>;

  std::unique_ptr<Box> Make(Box::Limits limits = {}) {
    return std::make_unique<Box>(
        offload_, limits,
        [this](const std::string* frame) {
          EXPECT_FALSE(writing_.exchange(true)) << "two writes at once";
          EXPECT_FALSE(finished_) << "a write after Finish";
          written_.push_back(*frame);
          if (on_write_) on_write_();
        },
        [this](grpc::Status status) {
          EXPECT_FALSE(writing_) << "Finish during a write";
          EXPECT_FALSE(finished_.exchange(true)) << "finished twice";
          status_ = std::move(status);
        });
  }
  bool Push(Box& box, const std::string& text, size_t bytes = 1) {
    return box.Push(bytes, [text] { return text; });
  }
  void WriteEnds(Box& box, bool ok = true) {
    writing_ = false;
    box.OnWriteDone(ok);
  }

  Offload offload_;
  std::atomic<bool> writing_ = false;
  std::atomic<bool> finished_ = false;
  std::vector<std::string> written_;
  std::function<void()> on_write_;
  grpc::Status status_;
};

TEST_F(OutboxTest, WritesFramesInOrderOneAtATime) {
  auto box = Make();
  for (const char* text : {"a", "b", "c"}) EXPECT_TRUE(Push(*box, text));
  EXPECT_THAT(written_, ElementsAre("a"));
  WriteEnds(*box);
  EXPECT_THAT(written_, ElementsAre("a", "b"));
  WriteEnds(*box);
  WriteEnds(*box);
  EXPECT_THAT(written_, ElementsAre("a", "b", "c"));
  EXPECT_TRUE(Push(*box, "d"));
  EXPECT_THAT(written_, SizeIs(4));
}

TEST_F(OutboxTest, FramesAreMadeWhenTheirTurnComes) {
  auto box = Make();
  int made = 0;
  for (int i = 0; i < 2; ++i) {
    box->Push(1, [&made] { return absl::StrCat(++made); });
  }
  EXPECT_EQ(made, 1);
  WriteEnds(*box);
  EXPECT_EQ(made, 2);
}

TEST_F(OutboxTest, RefusesFramesPastTheLimitOfFrames) {
  auto box = Make({.frames = 2});
  EXPECT_TRUE(Push(*box, "writing"));
  EXPECT_TRUE(Push(*box, "1"));
  EXPECT_TRUE(Push(*box, "2"));
  EXPECT_FALSE(Push(*box, "3"));
  WriteEnds(*box);
  EXPECT_TRUE(Push(*box, "3"));
}

TEST_F(OutboxTest, RefusesFramesPastTheLimitOfBytes) {
  auto box = Make({.frames = 100, .bytes = 10});
  EXPECT_TRUE(Push(*box, "writing", 8));
  EXPECT_TRUE(Push(*box, "1", 6));
  EXPECT_TRUE(Push(*box, "2", 4));
  EXPECT_FALSE(Push(*box, "3", 1));
  WriteEnds(*box);
  EXPECT_TRUE(Push(*box, "3", 6));
  EXPECT_FALSE(Push(*box, "4", 1));
}

TEST_F(OutboxTest, AFrameThatIsLargerThanTheLimitIsTakenWhenNothingWaits) {
  auto box = Make({.frames = 100, .bytes = 10});
  EXPECT_TRUE(Push(*box, "writing", 1));
  EXPECT_TRUE(Push(*box, "large", 100));
  EXPECT_FALSE(Push(*box, "small", 1));
}

TEST_F(OutboxTest, EndWithFlushFinishesAfterWhatIsQueued) {
  auto box = Make();
  Push(*box, "a");
  Push(*box, "b");
  box->End(absl::OkStatus(), /*flush=*/true);
  EXPECT_FALSE(Push(*box, "too late"));
  EXPECT_FALSE(finished_);
  WriteEnds(*box);
  EXPECT_FALSE(finished_);
  WriteEnds(*box);
  EXPECT_TRUE(finished_);
  EXPECT_TRUE(status_.ok());
  EXPECT_THAT(written_, ElementsAre("a", "b"));
}

TEST_F(OutboxTest, EndWithoutFlushDropsWhatIsQueued) {
  auto box = Make();
  Push(*box, "a");
  Push(*box, "b");
  box->End(absl::UnavailableError("gone"), /*flush=*/false);
  EXPECT_FALSE(finished_);
  WriteEnds(*box);
  EXPECT_TRUE(finished_);
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(written_, ElementsAre("a"));
}

TEST_F(OutboxTest, EndOfAnIdleStreamFinishesAtOnceAndTheFirstEndCounts) {
  auto box = Make();
  box->End(absl::AbortedError("first"), /*flush=*/true);
  EXPECT_TRUE(finished_);
  box->End(absl::OkStatus(), /*flush=*/false);
  EXPECT_EQ(status_.error_message(), "first");
  EXPECT_FALSE(Push(*box, "a"));
  EXPECT_THAT(written_, IsEmpty());
}

TEST_F(OutboxTest, ABrokenStreamEndsAndDropsWhatIsQueued) {
  auto box = Make();
  Push(*box, "a");
  Push(*box, "b");
  WriteEnds(*box, /*ok=*/false);
  EXPECT_TRUE(finished_);
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(Push(*box, "c"));
  EXPECT_THAT(written_, ElementsAre("a"));
}

TEST_F(OutboxTest, AStreamThatBreaksWhileItEndsKeepsItsStatus) {
  auto box = Make();
  Push(*box, "a");
  Push(*box, "b");
  box->End(absl::DataLossError("why"), /*flush=*/true);
  WriteEnds(*box, /*ok=*/false);
  EXPECT_EQ(status_.error_message(), "why");
}

TEST_F(OutboxTest, LargeFramesAreMadeOnAnotherThreadAndStayInOrder) {
  auto box = Make({.frames = 10, .bytes = 1 << 20});
  std::thread::id maker;
  absl::Notification made;
  on_write_ = [&] {
    if (written_.size() == 1) made.Notify();
  };
  box->Push(Offload::kInlineBytes + 1, [&maker] {
    maker = std::this_thread::get_id();
    return std::string("large");
  });
  Push(*box, "small");
  made.WaitForNotification();
  EXPECT_NE(maker, std::this_thread::get_id());
  EXPECT_THAT(written_, ElementsAre("large"));
  WriteEnds(*box);
  EXPECT_THAT(written_, ElementsAre("large", "small"));
}

TEST_F(OutboxTest, PushesOfManyThreadsAreEachWrittenOnceAndInTheOrderOfTheirThread) {
  auto box = Make({.frames = 100'000});
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  // gRPC's own thread: ends each write that the others begin.
  absl::Mutex mutex;
  int begun = 0;
  on_write_ = [&] {
    absl::MutexLock lock(&mutex);
    ++begun;
  };
  std::thread grpc([&] {
    for (int done = 0; done < kThreads * kEach; ++done) {
      const auto more = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return begun > done; };
      {
        absl::MutexLock lock(&mutex);
        mutex.Await(absl::Condition(&more));
      }
      WriteEnds(*box);
    }
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) EXPECT_TRUE(Push(*box, absl::StrCat(t, " ", i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  grpc.join();
  ASSERT_THAT(written_, SizeIs(kThreads * kEach));
  std::vector<int> next(kThreads, 0);
  for (const std::string& text : written_) {
    int& expected = next[static_cast<size_t>(text[0] - '0')];
    EXPECT_EQ(text, absl::StrCat(text.substr(0, 1), " ", expected));
    ++expected;
  }
  box->End(absl::OkStatus(), /*flush=*/true);
  EXPECT_TRUE(finished_);
}

TEST_F(OutboxTest, AnOperationThatIsBegunComesBeforeWhatIsPushedMeanwhile) {
  auto box = Make();
  bool begun = false;
  EXPECT_TRUE(box->Begin([&] { begun = true; }));
  EXPECT_TRUE(begun);
  EXPECT_TRUE(Push(*box, "a"));
  EXPECT_THAT(written_, IsEmpty());
  box->OnWriteDone(true);
  EXPECT_THAT(written_, ElementsAre("a"));
}

TEST_F(OutboxTest, AnEndDuringTheBegunOperationWaitsForIt) {
  auto box = Make();
  EXPECT_TRUE(box->Begin([] {}));
  box->End(absl::AbortedError("why"), /*flush=*/false);
  EXPECT_FALSE(finished_);
  box->OnWriteDone(true);
  EXPECT_TRUE(finished_);
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::ABORTED);
}

TEST_F(OutboxTest, NothingIsBegunAfterTheEnd) {
  auto box = Make();
  box->End(absl::OkStatus(), /*flush=*/false);
  EXPECT_FALSE(box->Begin([] { ADD_FAILURE() << "begun"; }));
}

TEST_F(OutboxTest, TheOffloadWritesForAPusherWhoHasOthersToServe) {
  auto box = Make();
  absl::Notification may_write;
  absl::Notification written;
  std::thread::id writer;
  offload_.Post([&] { may_write.WaitForNotification(); });
  on_write_ = [&] {
    writer = std::this_thread::get_id();
    written.Notify();
  };
  EXPECT_TRUE(box->Push(
      1, [] { return std::string("a"); }, OutboxWriter::kOffload));
  EXPECT_FALSE(box->idle());
  box->End(absl::OkStatus(), /*flush=*/true);
  EXPECT_FALSE(finished_) << "it may not end under the offload's hands";
  may_write.Notify();
  written.WaitForNotification();
  EXPECT_NE(writer, std::this_thread::get_id());
  WriteEnds(*box);
  EXPECT_THAT(written_, ElementsAre("a"));
  EXPECT_TRUE(finished_);
}

TEST_F(OutboxTest, ALastFrameIsTakenWhateverTheLimits) {
  auto box = Make({.frames = 1});
  EXPECT_TRUE(Push(*box, "a"));
  EXPECT_TRUE(Push(*box, "b"));
  EXPECT_FALSE(Push(*box, "c"));
  EXPECT_TRUE(box->PushLast([] { return std::string("last"); }));
  box->End(absl::OkStatus(), /*flush=*/true);
  EXPECT_FALSE(box->PushLast([] { return std::string("too late"); }));
  for (int i = 0; i < 3; ++i) WriteEnds(*box);
  EXPECT_THAT(written_, ElementsAre("a", "b", "last"));
  EXPECT_TRUE(finished_);
}

TEST_F(OutboxTest, IsIdleWhenNothingIsWrittenOrWaits) {
  auto box = Make();
  EXPECT_TRUE(box->idle());
  Push(*box, "a");
  EXPECT_FALSE(box->idle());
  WriteEnds(*box);
  EXPECT_TRUE(box->idle());
}

}  // namespace
}  // namespace actioncluster

#include "server/grpc/client_outbox.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The stream's side: takes one write at a time, and ends each when the test says so.
class ClientOutboxTest : public ::testing::Test {
 protected:
  using Box = ClientOutbox<std::string>;
  // So many frames of one byte fit.
  static constexpr size_t Room(size_t frames) { return frames * (Box::kFrameBytes + 1); }

  std::unique_ptr<Box> Make(Box::Limits limits = {}) {
    return std::make_unique<Box>(
        offload_, limits,
        Box::Stream{.start_write =
                        [this](const std::string* frame) {
                          EXPECT_FALSE(std::exchange(writing_, true)) << "two writes at once";
                          EXPECT_FALSE(finished_) << "a write after Finish";
                          written_.push_back(*frame);
                          if (on_write_) on_write_();
                        },
                    .finish =
                        [this](grpc::Status status) {
                          EXPECT_FALSE(writing_) << "Finish during a write";
                          EXPECT_FALSE(std::exchange(finished_, true)) << "finished twice";
                          status_ = std::move(status);
                        },
                    .make_missed =
                        +[](uint64_t count, bool gap) { return absl::StrCat("missed ", count, gap ? " gap" : ""); }});
  }
  static bool Keep(Box& box, const std::string& text, size_t bytes = 1) {
    return box.PushKept(bytes, [text] { return text; });
  }
  static bool Drop(Box& box, const std::string& text, size_t bytes = 1) {
    return box.PushDroppable(
        bytes, [text] { return text; }, OutboxWriter::kPusher);
  }
  void WriteEnds(Box& box, bool ok = true) {
    writing_ = false;
    box.OnWriteDone(ok);
  }
  // Ends all writes; gives what was written since.
  std::vector<std::string> WriteAll(Box& box) {
    written_.clear();
    while (writing_) WriteEnds(box);
    return std::exchange(written_, {});
  }

  Offload offload_;
  bool writing_ = false;
  bool finished_ = false;
  std::vector<std::string> written_;
  std::function<void()> on_write_;
  grpc::Status status_;
};

TEST_F(ClientOutboxTest, WritesFramesOfBothKindsInTheirOrder) {
  auto box = Make();
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(i % 2 == 0 ? Drop(*box, absl::StrCat(i)) : Keep(*box, absl::StrCat(i)));
  EXPECT_THAT(written_, ElementsAre("0"));
  EXPECT_THAT(WriteAll(*box), ElementsAre("1", "2", "3", "4", "5"));
  EXPECT_EQ(box->missed(), 0u);
}

TEST_F(ClientOutboxTest, HasRoomForWhatTakesHalfOfTheLimitWithAllThatWaits) {
  auto box = Make({.droppable_bytes = Room(8)});
  EXPECT_TRUE(box->HasRoom(1));
  EXPECT_TRUE(Drop(*box, "is being written"));
  EXPECT_TRUE(box->HasRoom(Room(100))) << "however large, as it pushes nothing out";
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Drop(*box, "waits"));
  EXPECT_TRUE(box->HasRoom(1));
  EXPECT_FALSE(box->HasRoom(2));
  EXPECT_TRUE(Drop(*box, "waits"));
  EXPECT_FALSE(box->HasRoom(1));
  WriteEnds(*box);
  EXPECT_TRUE(box->HasRoom(1));
  EXPECT_TRUE(Keep(*box, "is kept", Room(100)));
  EXPECT_TRUE(box->HasRoom(1)) << "those that are kept do not count";
}

TEST_F(ClientOutboxTest, TheOldestOfTheDroppableAreDroppedAndCountedWhereTheyAreMissing) {
  auto box = Make({.droppable_bytes = Room(2)});
  Drop(*box, "writing");
  Keep(*box, "kept 1");
  for (const char* text : {"a", "b", "c"}) EXPECT_TRUE(Drop(*box, text));
  Keep(*box, "kept 2");
  EXPECT_TRUE(Drop(*box, "d"));
  EXPECT_EQ(box->missed(), 2u);
  EXPECT_THAT(WriteAll(*box), ElementsAre("kept 1", "missed 2", "c", "kept 2", "d"));
  Drop(*box, "e");
  EXPECT_THAT(written_, ElementsAre("e")) << "it is told once";
}

TEST_F(ClientOutboxTest, WhatIsMissingBehindAllThatWaitsIsToldWhenThatIsWritten) {
  auto box = Make({.droppable_bytes = Room(1)});
  Keep(*box, "writing");
  Drop(*box, "a");
  Drop(*box, "large", Room(5));
  Drop(*box, "b");
  Keep(*box, "kept");
  EXPECT_THAT(WriteAll(*box), ElementsAre("missed 2", "b", "kept"));
}

TEST_F(ClientOutboxTest, TheNewestIsTakenHoweverLargeItIs) {
  auto box = Make({.droppable_bytes = Room(2)});
  Keep(*box, "writing");
  Drop(*box, "a");
  EXPECT_TRUE(Drop(*box, "large", Room(100)));
  EXPECT_THAT(WriteAll(*box), ElementsAre("missed 1", "large"));
}

TEST_F(ClientOutboxTest, EachHoleIsToldInItsPlace) {
  auto box = Make({.droppable_bytes = Room(1)});
  Keep(*box, "writing");
  Drop(*box, "a");
  Drop(*box, "b");
  written_.clear();
  WriteEnds(*box);
  EXPECT_THAT(written_, ElementsAre("missed 1"));
  Drop(*box, "c");
  Drop(*box, "d");
  EXPECT_THAT(WriteAll(*box), ElementsAre("missed 2", "d"));
  EXPECT_EQ(box->missed(), 3u);
}

TEST_F(ClientOutboxTest, AGapIsToldBehindWhatWasPushedBeforeIt) {
  auto box = Make();
  Keep(*box, "writing");
  Drop(*box, "a");
  box->MarkGap();
  box->MarkGap();
  Drop(*box, "b");
  EXPECT_THAT(WriteAll(*box), ElementsAre("a", "missed 0 gap", "b"));
}

TEST_F(ClientOutboxTest, AGapAmongWhatIsDroppedIsNotForgotten) {
  auto box = Make({.droppable_bytes = Room(1)});
  Keep(*box, "writing");
  Drop(*box, "a");
  box->MarkGap();
  Drop(*box, "b");
  Drop(*box, "c");
  EXPECT_THAT(WriteAll(*box), ElementsAre("missed 2 gap", "c"));
}

TEST_F(ClientOutboxTest, AGapOfAnIdleStreamIsToldAtOnce) {
  auto box = Make();
  absl::Notification written;
  on_write_ = [&] { written.Notify(); };
  box->MarkGap();
  written.WaitForNotification();
  EXPECT_THAT(written_, ElementsAre("missed 0 gap"));
}

TEST_F(ClientOutboxTest, FramesThatAreKeptAreRefusedPastTheirLimit) {
  auto box = Make({.droppable_bytes = Room(1), .kept_bytes = Room(2)});
  EXPECT_TRUE(Keep(*box, "writing"));
  EXPECT_TRUE(Keep(*box, "a"));
  EXPECT_TRUE(Keep(*box, "b"));
  EXPECT_FALSE(Keep(*box, "c"));
  EXPECT_TRUE(Drop(*box, "d")) << "those have a limit of their own";
  WriteEnds(*box);
  EXPECT_TRUE(Keep(*box, "c"));
  EXPECT_FALSE(box->PushKept(1, Room(2), [] { return std::string("with a limit of its own"); }));
  WriteEnds(*box);
  EXPECT_TRUE(box->PushKept(1, Room(2), [] { return std::string("e"); }));
}

TEST_F(ClientOutboxTest, AKeptFrameThatIsLargerThanTheLimitIsTakenWhenNoOtherWaits) {
  auto box = Make({.kept_bytes = Room(2)});
  EXPECT_TRUE(Keep(*box, "writing"));
  EXPECT_TRUE(Keep(*box, "large", Room(10)));
  EXPECT_FALSE(Keep(*box, "small"));
}

TEST_F(ClientOutboxTest, WhereNothingIsToBeDroppedFramesAreRefused) {
  auto box = Make({.droppable_bytes = Room(2), .drop = false});
  Keep(*box, "writing");
  EXPECT_TRUE(Drop(*box, "a"));
  EXPECT_TRUE(Drop(*box, "b"));
  EXPECT_FALSE(Drop(*box, "c"));
  EXPECT_EQ(box->missed(), 0u);
  EXPECT_THAT(WriteAll(*box), ElementsAre("a", "b"));
}

TEST_F(ClientOutboxTest, TheLastFrameComesAfterAllAndAfterWhatIsMissing) {
  auto box = Make({.droppable_bytes = Room(1)});
  Keep(*box, "writing");
  Drop(*box, "a");
  Drop(*box, "b");
  Keep(*box, "kept");
  box->MarkGap();
  box->End(absl::AbortedError("why"), /*flush=*/true, [] { return std::string("goodbye"); });
  EXPECT_FALSE(Keep(*box, "too late"));
  EXPECT_FALSE(Drop(*box, "too late"));
  box->MarkGap();
  EXPECT_THAT(WriteAll(*box), ElementsAre("missed 1", "b", "kept", "missed 0 gap", "goodbye"));
  EXPECT_TRUE(finished_);
  EXPECT_EQ(status_.error_message(), "why");
}

TEST_F(ClientOutboxTest, AnEndWithoutFlushStillTellsWhatIsMissingIfThereIsALastFrame) {
  auto box = Make();
  Keep(*box, "writing");
  Drop(*box, "a");
  Drop(*box, "b");
  Keep(*box, "kept");
  box->End(absl::AbortedError("why"), /*flush=*/false, [] { return std::string("goodbye"); });
  EXPECT_THAT(WriteAll(*box), ElementsAre("missed 2", "goodbye"));
  EXPECT_TRUE(finished_);
}

TEST_F(ClientOutboxTest, AnEndWithoutFlushAndLastFrameWritesNothingMore) {
  auto box = Make();
  Keep(*box, "writing");
  Drop(*box, "a");
  box->End(absl::AbortedError("why"), /*flush=*/false);
  EXPECT_FALSE(finished_);
  EXPECT_THAT(WriteAll(*box), IsEmpty());
  EXPECT_TRUE(finished_);
}

TEST_F(ClientOutboxTest, AnIdleStreamEndsAtOnceAndTheFirstEndCounts) {
  auto box = Make();
  box->End(absl::AbortedError("first"), /*flush=*/true);
  EXPECT_TRUE(finished_);
  box->End(absl::OkStatus(), /*flush=*/false, [] { return std::string("too late"); });
  EXPECT_EQ(status_.error_message(), "first");
  EXPECT_THAT(written_, IsEmpty());
}

TEST_F(ClientOutboxTest, ABrokenStreamWritesNothingMoreNotEvenTheLastFrame) {
  auto box = Make({.droppable_bytes = Room(1)});
  Keep(*box, "writing");
  Drop(*box, "a");
  Drop(*box, "b");
  box->End(absl::AbortedError("why"), /*flush=*/true, [] { return std::string("goodbye"); });
  written_.clear();
  WriteEnds(*box, /*ok=*/false);
  EXPECT_THAT(written_, IsEmpty());
  EXPECT_TRUE(finished_);
  EXPECT_EQ(status_.error_message(), "why");
}

TEST_F(ClientOutboxTest, AStreamThatBreaksByItselfIsUnavailable) {
  auto box = Make();
  Keep(*box, "writing");
  WriteEnds(*box, /*ok=*/false);
  EXPECT_TRUE(finished_);
  EXPECT_EQ(status_.error_code(), grpc::UNAVAILABLE);
  EXPECT_FALSE(Keep(*box, "too late"));
}

}  // namespace
}  // namespace actioncluster

#include "client/cli/exec_core.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <utility>

#include "actioncluster/status.h"

namespace actioncluster::cli {
namespace {

constexpr int kExited0 = 0;
constexpr int kExited3 = 3 << 8;  // As waitpid encodes it.

class ExecCoreTest : public testing::Test {
 protected:
  const absl::Time start_ = absl::FromUnixSeconds(1000);
  const absl::Duration kill_after_ = absl::Seconds(2);
  ExecCore core_{ExecCore::Options{.max_output = 8, .max_message = 16, .kill_after = kill_after_}};
};

TEST_F(ExecCoreTest, WhatItPrintedIsTheResultOnceItHasEnded) {
  core_.Output("ab", start_);
  core_.Output("cd", start_);
  EXPECT_FALSE(core_.done());
  EXPECT_EQ(core_.next_signal_at(), absl::InfiniteFuture());
  core_.Exited(kExited0);
  EXPECT_TRUE(core_.done());
  EXPECT_EQ(std::move(core_).Result().value(), "abcd");
}

TEST_F(ExecCoreTest, WhatItLeftInTheBackgroundIsNotWaitedFor) {
  core_.Exited(kExited0);  // And nobody has said that its outputs are closed.
  EXPECT_TRUE(core_.done());
  EXPECT_FALSE(core_.stopped());
  EXPECT_EQ(core_.TakeSignal(start_), std::nullopt);
}

TEST_F(ExecCoreTest, ClosingItsOutputsIsNoEnd) {
  core_.OutputsClosed();
  EXPECT_FALSE(core_.done());
}

TEST_F(ExecCoreTest, AnotherStatusFailsWithTheLastOfStandardError) {
  core_.Output("ignored", start_);
  core_.ErrorOutput("first line\n");
  core_.ErrorOutput("last line\n");
  core_.Exited(kExited3);
  const absl::Status failure = std::move(core_).Result().status();
  EXPECT_EQ(failure.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(failure.message(), "last line");
  EXPECT_EQ(client::MetadataOf(failure).at("exit_status"), "3");
}

TEST_F(ExecCoreTest, AMessageThatIsOneLongLineIsCutAtItsBeginningAndValid) {
  core_.ErrorOutput("a long story that ends with \xc3\xa9");
  core_.Exited(kExited3);
  EXPECT_EQ(std::move(core_).Result().status().message(), "hat ends with \xc3\xa9");
}

TEST_F(ExecCoreTest, WithoutAWordTheStatusIsTheMessage) {
  core_.Exited(kExited3);
  EXPECT_EQ(std::move(core_).Result().status().message(), "the command exited with status 3");
}

TEST_F(ExecCoreTest, AnEndBySignalCountsAsAShellCountsIt) {
  core_.Exited(SIGSEGV);
  const absl::Status failure = std::move(core_).Result().status();
  EXPECT_EQ(client::MetadataOf(failure).at("exit_status"), "139");
  EXPECT_NE(failure.message().find("signal 11"), absl::string_view::npos) << failure;
}

TEST_F(ExecCoreTest, ACancelledCommandIsAskedToEndAndThenKilled) {
  core_.Cancel(start_);
  EXPECT_LE(core_.next_signal_at(), start_);
  EXPECT_EQ(core_.TakeSignal(start_), SIGTERM);
  EXPECT_EQ(core_.TakeSignal(start_), std::nullopt);
  EXPECT_EQ(core_.next_signal_at(), start_ + kill_after_);
  EXPECT_EQ(core_.TakeSignal(start_ + kill_after_ - absl::Milliseconds(1)), std::nullopt);
  EXPECT_EQ(core_.TakeSignal(start_ + kill_after_), SIGKILL);
  EXPECT_EQ(core_.TakeSignal(start_ + kill_after_ * 2), std::nullopt);
  EXPECT_EQ(core_.next_signal_at(), absl::InfiniteFuture());
  EXPECT_FALSE(core_.done());
  core_.Exited(SIGKILL);
  EXPECT_TRUE(core_.done());
  EXPECT_EQ(std::move(core_).Result().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ExecCoreTest, OfACancelledCommandWhatItStartedIsEndedToo) {
  core_.Cancel(start_);
  EXPECT_EQ(core_.TakeSignal(start_), SIGTERM);
  core_.Exited(SIGTERM);
  EXPECT_FALSE(core_.done());  // Somebody still has its outputs open.
  EXPECT_EQ(core_.TakeSignal(start_ + kill_after_), SIGKILL);
  EXPECT_TRUE(core_.done());
}

TEST_F(ExecCoreTest, OnceNobodyHasTheOutputsOfACancelledCommandItIsNotWaitedFor) {
  core_.Cancel(start_);
  EXPECT_EQ(core_.TakeSignal(start_), SIGTERM);
  core_.OutputsClosed();
  core_.Exited(SIGTERM);
  EXPECT_TRUE(core_.done());
  EXPECT_TRUE(core_.stopped());  // What is left of it is to be killed at once.
  EXPECT_EQ(core_.TakeSignal(start_ + kill_after_), std::nullopt);
}

TEST_F(ExecCoreTest, TooMuchOutputEndsIt) {
  core_.Output("12345678", start_);
  EXPECT_EQ(core_.TakeSignal(start_), std::nullopt);
  core_.Output("9", start_);
  EXPECT_EQ(core_.TakeSignal(start_), SIGTERM);
  core_.Output("more that came meanwhile", start_);
  core_.Exited(SIGTERM);
  core_.OutputsClosed();
  const absl::Status failure = std::move(core_).Result().status();
  EXPECT_EQ(failure.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(failure.message(), "the command wrote more than 8 bytes");
}

TEST_F(ExecCoreTest, ACancelAfterTheEndChangesNothingThatIsDone) {
  core_.Output("ab", start_);
  core_.Exited(kExited0);
  EXPECT_TRUE(core_.done());
  EXPECT_EQ(std::move(core_).Result().value(), "ab");
}

}  // namespace
}  // namespace actioncluster::cli

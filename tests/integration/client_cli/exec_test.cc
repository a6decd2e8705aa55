#include "client/cli/exec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actioncluster/status.h"

namespace actioncluster::cli {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(30);

class ExecTest : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    char name[] = "/tmp/ac-exec-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override {
    std::filesystem::remove_all(root_);
    // Nobody is left to be reaped.
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  }

  absl::StatusOr<std::string> Run(const std::string& line, const std::string& input = "") {
    return RunCommand({.line = line, .environment = {{"ANSWER", "42"}, {"ROOT", root_}}, .input = input}, cancelled_,
                      &stop_all_, options_);
  }
  // The process id that a command has written to a file, once it has.
  pid_t PidIn(const std::string& name) const {
    int pid = 0;
    for (const absl::Time end = absl::Now() + kPatience; absl::Now() < end && pid == 0;
         absl::SleepFor(absl::Milliseconds(2))) {
      std::string line;
      std::ifstream file(absl::StrCat(root_, "/", name));
      // A whole line: one that is being written has no end yet.
      if (std::getline(file, line) && !file.eof()) static_cast<void>(absl::SimpleAtoi(line, &pid));
    }
    return pid;
  }
  // Runs the command, and cancels it once it has written its file.
  absl::StatusOr<std::string> RunAndCancel(const std::string& line, const std::string& name, Event& how) {
    absl::StatusOr<std::string> result;
    std::thread runner([&] { result = Run(line); });
    pid_ = PidIn(name);
    how.Set();
    runner.join();
    return result;
  }
  static bool IsGone(pid_t pid) {
    for (const absl::Time end = absl::Now() + kPatience; absl::Now() < end; absl::SleepFor(absl::Milliseconds(2))) {
      // Its parent is gone too, and who inherits it may take a while to reap it: a zombie is as good.
      std::string stat((std::istreambuf_iterator<char>(std::ifstream(absl::StrCat("/proc/", pid, "/stat")).rdbuf())),
                       {});
      if (stat.empty() || stat.find(") Z ") != std::string::npos) return true;
    }
    return false;
  }

  std::string root_;
  pid_t pid_ = 0;
  Event cancelled_;
  Event stop_all_;
  ExecCore::Options options_;
};

TEST_F(ExecTest, GetsItsInputAndEnvironmentAndGivesItsOutput) {
  EXPECT_EQ(Run("cat; printf %s $ANSWER", "in\n").value(), "in\n42");
  EXPECT_EQ(Run("true").value(), "");
}

TEST_F(ExecTest, AFailureHasItsStatusAndMessage) {
  const absl::Status failure = Run("echo out; echo why >&2; exit 7").status();
  EXPECT_EQ(failure.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(failure.message(), "why");
  EXPECT_EQ(client::MetadataOf(failure).at("exit_status"), "7");
  EXPECT_EQ(client::MetadataOf(Run("no-such-program-here").status()).at("exit_status"), "127");
}

TEST_F(ExecTest, LargeInputAndOutputPassAtTheSameTime) {
  std::string large(3'000'000, 'x');
  large.back() = '\n';
  EXPECT_EQ(Run("cat", large).value(), large);
  EXPECT_EQ(Run("cat | tee /dev/stderr", large).value(), large);
}

TEST_F(ExecTest, InputThatIsNotReadIsNoFailure) {
  EXPECT_EQ(Run("exec <&-; echo ok", std::string(3'000'000, 'x')).value(), "ok\n");
  EXPECT_EQ(Run("echo ok", std::string(3'000'000, 'x')).value(), "ok\n");
}

TEST_F(ExecTest, OutputWithoutEndIsEnded) {
  options_.max_output = 1000;
  EXPECT_EQ(Run("yes").status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ExecTest, ErrorOutputWithoutEndIsBoundedToo) {
  EXPECT_THAT(std::string(Run("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 1").status().message()),
              HasSubstr("last"));
}

TEST_F(ExecTest, ItHasNoDescriptorsButThree) {
  // A descriptor of ours that is not close-on-exec.
  const int leaky = dup(STDOUT_FILENO);
  EXPECT_EQ(Run("cd /proc/self/fd; for fd in *; do if [ -e $fd ]; then printf '%s ' $fd; fi; done").value(), "0 1 2 ");
  close(leaky);
}

TEST_F(ExecTest, ItIgnoresAndBlocksNoSignal) {
  sigset_t ours, before;
  sigemptyset(&ours);
  sigaddset(&ours, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ours, &before);
  // The last digits are those of signals 1 … 28; glibc ignores two of its own further up.
  EXPECT_EQ(Run("grep -E 'SigBlk|SigIgn' /proc/self/status | grep -o '.......$'").value(), "0000000\n0000000\n");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(ExecTest, WhatItLeavesInTheBackgroundDoesNotHoldItUp) {
  const std::string output = Run("sleep 1000 & echo $!").value();
  int pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(output, &pid)) << output;
  // It was left alone.
  EXPECT_EQ(kill(pid, SIGKILL), 0);
}

TEST_F(ExecTest, ACancelledOneIsEndedWithAllThatItStarted) {
  const auto result = RunAndCancel("sleep 1000 & echo $! > $ROOT/pid; wait", "pid", cancelled_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  ASSERT_GT(pid_, 0);
  EXPECT_TRUE(IsGone(pid_));
}

TEST_F(ExecTest, OneThatDoesNotHeedIsKilled) {
  options_.kill_after = absl::Milliseconds(50);
  const auto result =
      RunAndCancel("trap '' TERM; sleep 1000 & echo $! > $ROOT/pid; while :; do wait; done", "pid", cancelled_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  ASSERT_GT(pid_, 0);
  EXPECT_TRUE(IsGone(pid_));
}

TEST_F(ExecTest, WhatItStartedIsEndedAlsoIfItHeedsNothingAndHasNoOutput) {
  const auto result = RunAndCancel(
      "(trap '' TERM; sh -c 'echo $$ > $ROOT/pid; exec sleep 1000') > /dev/null 2>&1 & wait", "pid", cancelled_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  ASSERT_GT(pid_, 0);
  EXPECT_TRUE(IsGone(pid_));
}

TEST_F(ExecTest, OneMayPutThingsInOrderWhenItIsCancelled) {
  EXPECT_FALSE(
      RunAndCancel("trap 'echo yes > $ROOT/trapped; exit' TERM; echo $$ > $ROOT/pid; while :; do sleep 0.01; done",
                   "pid", cancelled_)
          .ok());
  EXPECT_TRUE(std::filesystem::exists(root_ + "/trapped"));
}

TEST_F(ExecTest, AllCanBeStoppedAtOnce) {
  EXPECT_EQ(RunAndCancel("echo $$ > $ROOT/pid; exec sleep 1000", "pid", stop_all_).status().code(),
            absl::StatusCode::kCancelled);
}

TEST_F(ExecTest, ManyRunAtTheSameTime) {
  std::vector<std::thread> threads;
  std::vector<std::string> outputs(16);
  for (size_t i = 0; i < outputs.size(); ++i) {
    threads.emplace_back([this, i, &outputs] { outputs[i] = Run("cat", absl::StrCat(i)).value_or("failed"); });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(outputs[i], absl::StrCat(i));
}

}  // namespace
}  // namespace actioncluster::cli

// What a start leaves while it runs, and after it has ended.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/ports.h"
#include "tests/cluster/program.h"

namespace actioncluster::cluster {
namespace {

using testing::HasSubstr;

// With the embedded Redis.
class StopTest : public testing::Test {
 protected:
  std::vector<std::string> Flags(int workers) const {
    return {"--workers", absl::StrCat(workers), "--port", absl::StrCat(ports_.first()), "--data-dir", dir_ / "data"};
  }
  std::string PidFile(int number) const { return dir_ / absl::StrCat("data/actioncluster-worker-", number, ".pid"); }
  std::string LogFile(int number) const { return dir_ / absl::StrCat("data/actioncluster-worker-", number, ".log"); }

  const TempDir dir_;
  const Ports ports_{4};
};

TEST_F(StopTest, SigtermEndsNodesAndRedisAndTheDirectoryCanBeStartedAgain) {
  for (int round = 0; round < 2; ++round) {
    Program program(StartCommand(Flags(3)));
    ASSERT_TRUE(program.AwaitOut("3 nodes are ready")) << program.Out() << program.Err();
    for (int number = 1; number <= 3; ++number) {
      EXPECT_THAT(program.Out(), HasSubstr(absl::StrCat("actioncluster-worker-", number,
                                                        " listens on 127.0.0.1:", ports_.first() + number)));
      EXPECT_TRUE(std::filesystem::exists(PidFile(number)));
      EXPECT_TRUE(std::filesystem::exists(LogFile(number)));
    }
    struct stat token = {};
    ASSERT_EQ(stat((dir_ / "data/server-token").c_str(), &token), 0);
    EXPECT_EQ(token.st_mode & 0777, 0600U);
    EXPECT_TRUE(std::filesystem::exists(dir_ / "data/appendonlydir"));
    EXPECT_EQ(program.Descendants().size(), 4U);
    ExpectCleanStop(program);
    for (int number = 1; number <= 3; ++number) EXPECT_FALSE(std::filesystem::exists(PidFile(number))) << number;
  }
}

TEST_F(StopTest, AnotherStartJoinsUnderTheNextName) {
  Program first(StartCommand(Flags(3)));
  ASSERT_TRUE(first.AwaitOut("3 nodes are ready")) << first.Out() << first.Err();
  const Ports ports(2);
  Program second(StartCommand({"--port", absl::StrCat(ports.first()), "--data-dir", dir_ / "second", "--redis",
                               absl::StrCat("unix://", dir_ / "data/redis.sock"), "--server-token-file",
                               dir_ / "data/server-token"}));
  ASSERT_TRUE(second.AwaitOut("node is ready")) << second.Out() << second.Err();
  EXPECT_THAT(second.Out(), HasSubstr("actioncluster-worker-4 listens on"));
  EXPECT_TRUE(std::filesystem::exists(dir_ / "second/actioncluster-worker-4.pid"));
  ExpectCleanStop(second);
  ExpectCleanStop(first);
}

TEST_F(StopTest, WhenItIsKilledNothingOutlivesItAndAnotherMayStartAtOnce) {
  {
    Program program(StartCommand(Flags(3)));
    ASSERT_TRUE(program.AwaitOut("3 nodes are ready")) << program.Out() << program.Err();
    const std::vector<pid_t> descendants = program.Descendants();
    EXPECT_EQ(descendants.size(), 4U);
    program.Signal(SIGKILL);
    EXPECT_EQ(program.Wait(), std::make_optional(-SIGKILL));
    ExpectGone(descendants, absl::Seconds(5));
  }
  Program program(StartCommand(Flags(3)));
  ASSERT_TRUE(program.AwaitOut("3 nodes are ready")) << program.Out() << program.Err();
  // Their predecessors' leases still run; they are succeeded, not waited for.
  for (int number = 1; number <= 3; ++number) {
    EXPECT_THAT(program.Out(), HasSubstr(absl::StrCat("actioncluster-worker-", number, " listens on")));
  }
  ExpectCleanStop(program);
}

TEST_F(StopTest, SigtermEndsItQuicklyWhenRedisIsGone) {
  Cluster cluster(1);
  cluster.redis().Kill();
  ExpectCleanStop(cluster.node(1).program());
}

TEST_F(StopTest, SigtermBeforeItIsReadyEndsItToo) {
  Program program(StartCommand(Flags(3)));
  ASSERT_TRUE(program.AwaitOut("actioncluster-worker-1 listens")) << program.Out() << program.Err();
  ExpectCleanStop(program);
}

}  // namespace
}  // namespace actioncluster::cluster

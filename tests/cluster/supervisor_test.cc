// The supervisor with real nodes: what dies comes back, and orders by signal and by name do what they say.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/ports.h"
#include "tests/cluster/program.h"
#include "tests/fakes/stop_process.h"

namespace actioncluster::cluster {
namespace {

using testing::HasSubstr;
using testing::Not;

// One `start` with a Redis of its own, and the commands that speak to it.
class SupervisorTest : public testing::Test {
 protected:
  void Start(int workers, const std::vector<std::string>& flags = {}) {
    std::vector<std::string> all = {
        "--workers", absl::StrCat(workers), "--port", absl::StrCat(ports_.first()), "--data-dir", data_};
    all.insert(all.end(), flags.begin(), flags.end());
    program_ = std::make_unique<Program>(StartCommand(all));
    ASSERT_TRUE(program_->AwaitOut("ready on")) << program_->Out() << program_->Err();
  }
  struct Ended {
    int status;
    std::string out;
    std::string err;
  };
  Ended Command(std::vector<std::string> words) const {
    words.insert(words.begin(), StartCommand({})[0]);
    words.insert(words.end(), {"--data-dir", data_});
    Program command(words);
    const std::optional<int> status = command.Wait();
    return {status.value_or(-1000), command.Out(), command.Err()};
  }
  std::string PidFile(int number) const { return absl::StrCat(data_, "/actioncluster-worker-", number, ".pid"); }
  // 0 without a pid file.
  pid_t Pid(int number) const { return std::atoi(ReadFile(PidFile(number)).c_str()); }
  // The node of this number says by its log that it serves, under another process than `former`.
  bool AwaitOther(int number, pid_t former) const {
    return Await([&] {
      const Ended ended = Command({"status", "--json"});
      return Pid(number) != 0 && Pid(number) != former &&
             absl::StrContains(ended.out, absl::StrCat("\"state\":\"ready\",\"pid\":", Pid(number), ","));
    });
  }
  std::vector<pid_t> Pids(int count) const {
    std::vector<pid_t> pids;
    for (int number = 1; number <= count; ++number) pids.push_back(Pid(number));
    return pids;
  }

  const TempDir dir_;
  const std::string data_ = dir_ / "data";
  const Ports ports_{6};
  std::unique_ptr<Program> program_;
};

TEST_F(SupervisorTest, NodesThatAreKilledAtOnceComeBackUnderTheirNames) {
  Start(3);
  const std::vector<pid_t> before = Pids(3);
  kill(before[0], SIGKILL);
  kill(before[1], SIGKILL);
  EXPECT_TRUE(AwaitOther(1, before[0])) << program_->Err();
  EXPECT_TRUE(AwaitOther(2, before[1])) << program_->Err();
  EXPECT_EQ(Pid(3), before[2]);
  EXPECT_THAT(program_->Err(), HasSubstr("worker died: actioncluster-worker-1 was killed by signal 9"));
  ExpectCleanStop(*program_);
}

TEST_F(SupervisorTest, ANodeThatHangsIsKilledAndItsSuccessorTakesItsNameWhileTheOthersGoOn) {
  Start(2);
  const std::vector<pid_t> before = Pids(2);
  fakes::StopProcess(before[0]);
  const absl::Time stopped = absl::Now();
  ASSERT_TRUE(Await([&] { return !IsAlive(before[0]); }, absl::Minutes(1)));
  const absl::Duration killed_after = absl::Now() - stopped;
  std::cout << "killed " << killed_after << " after it stood still\n";
  EXPECT_GE(killed_after, absl::Seconds(30));
  EXPECT_LT(killed_after, absl::Seconds(37));
  EXPECT_TRUE(AwaitOther(1, before[0])) << program_->Err();
  EXPECT_EQ(Pid(2), before[1]);
  EXPECT_THAT(program_->Err(), HasSubstr("actioncluster-worker-1 does not answer: killed"));
  ExpectCleanStop(*program_);
}

TEST_F(SupervisorTest, ARestartReplacesEachNodeAndKeepsItsName) {
  Start(3);
  const std::vector<pid_t> before = Pids(3);
  const Ended ended = Command({"restart"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("supervisor serving"));
  for (int number = 1; number <= 3; ++number) {
    EXPECT_NE(Pid(number), 0);
    EXPECT_NE(Pid(number), before[static_cast<size_t>(number) - 1]) << number;
  }
  EXPECT_THAT(program_->Out(), HasSubstr("has restarted 3 nodes"));
  EXPECT_EQ(program_->Err(), "");
  ExpectCleanStop(*program_);
}

TEST_F(SupervisorTest, ARestartGoesOnThoughANodeAndRedisAreKilledMeanwhile) {
  Start(3);
  const std::vector<pid_t> before = Pids(3);
  program_->Signal(SIGUSR2);
  ASSERT_TRUE(program_->AwaitOut("restarts 3 nodes"));
  kill(before[2], SIGKILL);
  std::string status = Command({"status", "--json"}).out;
  const size_t redis = status.find("\"state\":\"ready\",\"pid\":");
  ASSERT_NE(redis, std::string::npos) << status;
  kill(std::atoi(status.c_str() + redis + std::string("\"state\":\"ready\",\"pid\":").size()), SIGKILL);
  ASSERT_TRUE(program_->AwaitOut("has restarted 3 nodes")) << program_->Out() << program_->Err();
  EXPECT_TRUE(Await([&] { return absl::StrContains(program_->Err(), "embedded redis ready again"); }))
      << program_->Err();
  for (int number = 1; number <= 3; ++number) {
    EXPECT_NE(Pid(number), before[static_cast<size_t>(number) - 1]) << number;
  }
  ExpectCleanStop(*program_);
}

TEST_F(SupervisorTest, MoreAndFewerNodesBySignalAndByName) {
  Start(1);
  program_->Signal(SIGTTIN);
  ASSERT_TRUE(program_->AwaitOut("actioncluster-worker-2 listens on")) << program_->Err();
  EXPECT_THAT(ReadFile(absl::StrCat(data_, "/actioncluster.address")),
              HasSubstr(absl::StrCat(":", ports_.first() + 2)));
  Ended ended = Command({"scale", "4", "--json"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("\"id\":\"actioncluster-worker-4\",\"state\":\"ready\""));
  const pid_t last = Pid(4);
  program_->Signal(SIGTTOU);
  EXPECT_TRUE(Await([&] { return !IsAlive(last) && Pid(4) == 0; }));
  ended = Command({"scale", "1"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(ended.out, Not(HasSubstr("actioncluster-worker-2")));
  EXPECT_EQ(program_->Descendants().size(), 2U);
  ExpectCleanStop(*program_);
}

TEST_F(SupervisorTest, ANodeMoreWhosePortIsTakenIsRefusedAndTheOthersGoOn) {
  Start(1);
  const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(ports_.first() + 3));
  ASSERT_EQ(bind(taken, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  const Ended ended = Command({"scale", "3"});
  EXPECT_EQ(ended.status, 9);
  EXPECT_THAT(ended.err, HasSubstr(absl::StrCat(":", ports_.first() + 3, " is taken")));
  EXPECT_EQ(program_->Descendants().size(), 2U);
  close(taken);
  EXPECT_EQ(Command({"scale", "3"}).status, 0);
  ExpectCleanStop(*program_);
}

TEST_F(SupervisorTest, SigwinchTakesAllNodesDownAndSighupBringsThemBackWithNewSettings) {
  WriteFile(dir_ / "config", "rpc-timeout = 5s\n");
  Start(2, {"--config", dir_ / "config"});
  const std::vector<pid_t> before = Pids(2);
  program_->Signal(SIGWINCH);
  ExpectGone(before);
  EXPECT_TRUE(Await([&] { return absl::StrContains(Command({"status"}).out, "supervisor suspended"); }));
  EXPECT_EQ(program_->Descendants().size(), 1U);  // Redis.
  WriteFile(dir_ / "config", "rpc-timeout = 7s\n");
  program_->Signal(SIGHUP);
  ASSERT_TRUE(program_->AwaitOut("has restarted 2 nodes")) << program_->Err();
  EXPECT_THAT(ReadFile(absl::StrCat("/proc/", Pid(1), "/environ")), HasSubstr("ACTIONCLUSTER_RPC_TIMEOUT=7s"));
  ExpectCleanStop(*program_);
}

TEST_F(SupervisorTest, StopByNameReturnsWhenNothingIsLeft) {
  Start(2);
  const std::vector<pid_t> descendants = program_->Descendants();
  const Ended ended = Command({"stop"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, "stopped\n");
  for (const pid_t pid : descendants) EXPECT_FALSE(IsAlive(pid)) << pid;
  EXPECT_EQ(program_->Wait(), std::make_optional(0));
  const Ended after = Command({"status"});
  EXPECT_EQ(after.status, 5);
  EXPECT_THAT(after.err, HasSubstr(absl::StrCat("no actioncluster runs on the data directory ", data_)));
  EXPECT_EQ(Command({"scale"}).status, 2);
  EXPECT_EQ(Command({"status", "--now"}).status, 2);
}

TEST_F(SupervisorTest, SigquitEndsAllAtOnceAndTheDirectoryCanBeStartedAgain) {
  Start(2);
  const std::vector<pid_t> descendants = program_->Descendants();
  program_->Signal(SIGQUIT);
  EXPECT_EQ(program_->Wait(), std::make_optional(0));
  ExpectGone(descendants);
  Start(2);
  EXPECT_THAT(program_->Out(), HasSubstr("actioncluster-worker-2 listens on"));
  ExpectCleanStop(*program_);
}

TEST_F(SupervisorTest, ASupervisorThatIsKilledLeavesNoRedisThoughThatWasStartedAnew) {
  Start(1);
  for (const pid_t pid : program_->Descendants()) {
    if (pid != Pid(1)) kill(pid, SIGKILL);
  }
  EXPECT_TRUE(Await([&] { return absl::StrContains(program_->Err(), "embedded redis ready again"); }));
  const std::vector<pid_t> descendants = program_->Descendants();
  EXPECT_EQ(descendants.size(), 2U);
  program_->Signal(SIGKILL);
  ExpectGone(descendants);
}

}  // namespace
}  // namespace actioncluster::cluster

#include "server/supervisor/supervisor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/supervisor/control.h"
#include "server/supervisor/data_dir.h"

namespace actioncluster {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int kPatienceMs = 30'000;
constexpr absl::Duration kPatience = absl::Milliseconds(kPatienceMs);

// Runs a real supervisor in a child process, with shell scripts for workers, and reads what it says.
class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ac-sup-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    settings_.data_dir = dir_ + "/data";
    settings_.workers = 2;
    // Below the range that the system hands out, and another one for each test process.
    settings_.port = 10'000 + (getpid() % 5'000) * 4;
  }
  void TearDown() override {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      ReadUntil("no such line");  // Up to the end of the last worker.
      EXPECT_TRUE(DataDir::Open(settings_.data_dir, kPatience).ok());
    }
    if (output_ >= 0) close(output_);
    std::filesystem::remove_all(dir_);
  }

  // What a worker does: `$3` is its slot, and the file behind `$5` takes its report.
  void Start(const std::string& worker) {
    const std::string program = dir_ + "/worker";
    std::ofstream(program) << "#!/bin/sh\n" << worker << "\n";
    chmod(program.c_str(), 0700);
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    output_ = ends[0];
    std::fflush(stdout);  // Or the child says again what waits in the buffer.
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      const absl::Status end = RunSupervisor(settings_, {.path = program, .reload = reload_});
      if (!end.ok()) std::fprintf(stderr, "ended: %s\n", std::string(end.message()).c_str());
      std::fflush(stdout);
      _exit(end.ok() ? 0 : 1);
    }
    close(ends[1]);
  }
  static std::string Ready(const std::string& then) {
    return absl::StrCat("echo ready fake-$3 127.0.0.1:$3 >/proc/self/fd/$5\n", then);
  }

  // Everything that was said up to `text`; fails if it does not come.
  testing::AssertionResult ReadUntil(const std::string& text) {
    while (!absl::StrContains(said_, text)) {
      pollfd readable = {.fd = output_, .events = POLLIN, .revents = 0};
      if (poll(&readable, 1, kPatienceMs) <= 0)
        return testing::AssertionFailure() << "waited in vain, after: " << said_;
      char buffer[1024];
      const ssize_t got = read(output_, buffer, sizeof buffer);
      if (got <= 0) return testing::AssertionFailure() << "it ended, after: " << said_;
      said_.append(buffer, static_cast<size_t>(got));
    }
    return testing::AssertionSuccess();
  }
  int Wait() {
    int wait_status = 0;
    ReadUntil("no such line");
    EXPECT_EQ(waitpid(pid_, &wait_status, 0), pid_);
    pid_ = 0;
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -WTERMSIG(wait_status);
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(dir_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  // The file is there, and has something in it.
  bool Await(const std::string& name) const {
    for (const absl::Time end = absl::Now() + kPatience; Read(name).empty();) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }
  bool IsFree() const { return DataDir::Open(settings_.data_dir, absl::ZeroDuration()).ok(); }

  // 0 if Redis does not answer.
  pid_t RedisPid() const {
    const std::string path = settings_.data_dir + "/redis.sock";
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    std::memcpy(address.sun_path, path.data(), path.size());
    std::string answer;
    constexpr char kAsk[] = "INFO server\r\n";
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        send(fd, kAsk, sizeof kAsk - 1, MSG_NOSIGNAL) > 0) {
      char buffer[4096];
      for (ssize_t got; !absl::StrContains(answer, "tcp_port:") && (got = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
        answer.append(buffer, static_cast<size_t>(got));
      }
    }
    close(fd);
    const size_t at = answer.find("process_id:");
    return at == std::string::npos ? 0 : std::atoi(answer.c_str() + at + std::strlen("process_id:"));
  }

  std::string dir_;
  Settings settings_;
  std::function<absl::StatusOr<Settings>()> reload_;
  pid_t pid_ = 0;
  int output_ = -1;
  std::string said_;
};

TEST_F(SupervisorTest, StartsRedisThenTheWorkersSaysSoAndStopsCleanly) {
  Start(Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  EXPECT_EQ(said_,
            absl::StrCat("actioncluster: fake-1 listens on 127.0.0.1:1\nactioncluster: fake-2 listens on 127.0.0.1:2\n",
                         "actioncluster: 2 nodes are ready on 127.0.0.1:", settings_.port, " (data in ",
                         settings_.data_dir, ")\n"));
  EXPECT_GT(RedisPid(), 0);
  EXPECT_FALSE(IsFree());
  kill(pid_, SIGTERM);
  EXPECT_EQ(Wait(), 0);
  EXPECT_EQ(RedisPid(), 0);
  EXPECT_TRUE(IsFree());
}

TEST_F(SupervisorTest, WhatIsWrittenSurvivesAStopAndAStart) {
  Start(Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  const std::string redis = "redis-cli -s " + settings_.data_dir + "/redis.sock ";
  ASSERT_EQ(std::system((redis + "set kept yes >/dev/null").c_str()), 0);
  kill(pid_, SIGINT);
  ASSERT_EQ(Wait(), 0);
  close(output_);
  said_.clear();
  Start(Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  EXPECT_EQ(std::system((redis + "get kept | grep -q yes").c_str()), 0);
}

TEST_F(SupervisorTest, WorkersGetTheSettingsInTheirEnvironmentAndNothingOnTheirCommandLine) {
  settings_.redis = "redis://:hunter2@127.0.0.1:1";
  settings_.workers = 1;
  Start("echo \"$@\" >" + dir_ + "/args\nenv >" + dir_ + "/env\n" + Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("node is ready"));
  EXPECT_THAT(Read("args"), testing::StartsWith("node --slot 1 --ready-fd "));
  EXPECT_THAT(Read("args"), Not(HasSubstr("hunter2")));
  EXPECT_THAT(Read("env"), HasSubstr("ACTIONCLUSTER_REDIS=redis://:hunter2@127.0.0.1:1\n"));
  EXPECT_THAT(Read("env"), HasSubstr("ACTIONCLUSTER_SERVER_TOKEN_FILE=" + settings_.data_dir + "/server-token\n"));
  EXPECT_FALSE(std::filesystem::exists(settings_.data_dir + "/redis.sock"));
}

TEST_F(SupervisorTest, AWorkerThatCannotStartStopsEverythingForItsReason) {
  Start("[ $3 = 2 ] && { echo failed no luck >/proc/self/fd/$5; exit 1; }\n" + Ready("exec sleep 1000"));
  EXPECT_EQ(Wait(), 1);
  EXPECT_THAT(said_, testing::EndsWith("ended: worker 2: no luck\n"));
  EXPECT_TRUE(IsFree());
}

TEST_F(SupervisorTest, AWorkerThatEndsWithoutAWordStopsTheStart) {
  Start("exit 3");
  EXPECT_EQ(Wait(), 1);
  EXPECT_EQ(said_, "ended: worker 1 exited with status 3 before it was ready\n");
}

TEST_F(SupervisorTest, AWorkerThatDiesIsStartedAgainAndTheOthersGoOn) {
  Start("echo $$ >" + dir_ + "/pid-$3\n" + Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  const std::string other = Read("pid-2");
  said_.clear();
  kill(std::atoi(Read("pid-1").c_str()), SIGKILL);
  EXPECT_TRUE(ReadUntil("fake-1 was killed by signal 9"));
  EXPECT_TRUE(ReadUntil("fake-1 listens on"));
  EXPECT_EQ(Read("pid-2"), other);
  kill(pid_, SIGTERM);
  EXPECT_EQ(Wait(), 0);
}

TEST_F(SupervisorTest, WhenNobodyIsLeftButWhoDiesBeforeItServesItGivesUpAndSaysWhereToLook) {
  settings_.workers = 1;
  Start("[ -e " + dir_ + "/was ] && { echo failed no luck >/proc/self/fd/$5; exit 3; }\n" +
        Ready("echo $$ >" + dir_ + "/was; exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("node is ready"));
  ASSERT_TRUE(Await("was"));
  kill(std::atoi(Read("was").c_str()), SIGKILL);
  EXPECT_EQ(Wait(), 1);
  EXPECT_THAT(said_,
              testing::EndsWith("ended: fake-1 died 5 times within 30s before it served (no luck); see the nodes' "
                                "logs in " +
                                settings_.data_dir + "\n"));
}

TEST_F(SupervisorTest, AWorkerThatWasToldToStopStaysAwayAndTheLastOneEndsAll) {
  Start(Ready("while [ ! -e " + dir_ + "/end-$3 ]; do sleep 0.01; done"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  std::ofstream(dir_ + "/end-1") << "now";
  EXPECT_TRUE(ReadUntil("told to stop: fake-1"));
  std::ofstream(dir_ + "/end-2") << "now";
  EXPECT_EQ(Wait(), 1);
  EXPECT_THAT(said_, testing::EndsWith("ended: no node is left\n"));
}

TEST_F(SupervisorTest, Sigusr2RestartsOneAfterTheOther) {
  Start("echo $3 >>" + dir_ + "/starts\n" + Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  kill(pid_, SIGUSR2);
  ASSERT_TRUE(ReadUntil("has restarted 2 nodes"));
  EXPECT_EQ(Read("starts"), "1\n2\n1\n2\n");
  kill(pid_, SIGTERM);
  EXPECT_EQ(Wait(), 0);
}

TEST_F(SupervisorTest, SighupReadsTheSettingsAnewForWorkersThatStartFromThenOn) {
  reload_ = [this]() -> absl::StatusOr<Settings> {
    if (Read("reload") == "bad\n") return absl::InvalidArgumentError("bad settings");
    Settings fresh = settings_;
    fresh.rpc_timeout = absl::Seconds(42);
    fresh.workers = 1;
    if (Read("reload") == "port\n") fresh.port += 100;
    return fresh;
  };
  Start("env >" + dir_ + "/env-$3\n" + Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  EXPECT_THAT(Read("env-1"), HasSubstr("ACTIONCLUSTER_RPC_TIMEOUT=5s\n"));
  std::ofstream(dir_ + "/reload") << "bad\n";
  kill(pid_, SIGHUP);
  ASSERT_TRUE(ReadUntil("order refused: bad settings"));
  std::ofstream(dir_ + "/reload") << "port\n";
  kill(pid_, SIGHUP);
  ASSERT_TRUE(ReadUntil("order refused: takes a stop and a start to change: port; nothing was changed"));
  EXPECT_THAT(Read("env-1"), HasSubstr("ACTIONCLUSTER_RPC_TIMEOUT=5s\n"));
  std::ofstream(dir_ + "/reload") << "good\n";
  kill(pid_, SIGHUP);
  ASSERT_TRUE(ReadUntil("has restarted 1 node\n"));
  EXPECT_THAT(Read("env-1"), HasSubstr("ACTIONCLUSTER_RPC_TIMEOUT=42s\n"));
  kill(pid_, SIGTERM);
  EXPECT_EQ(Wait(), 0);
}

TEST_F(SupervisorTest, SigquitEndsItAtOnceThoughWorkersDoNotStop) {
  Start("trap '' TERM\n" + Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  kill(pid_, SIGQUIT);
  EXPECT_EQ(Wait(), 0);
  EXPECT_TRUE(IsFree());
}

TEST_F(SupervisorTest, TheServiceManagerHearsHowItIs) {
  const int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  const std::string path = dir_ + "/notify";
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(bind(manager, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const auto heard = [manager] {
    char buffer[512];
    pollfd readable = {.fd = manager, .events = POLLIN, .revents = 0};
    if (poll(&readable, 1, kPatienceMs) <= 0) return std::string("nothing");
    return std::string(buffer, static_cast<size_t>(recv(manager, buffer, sizeof buffer, 0)));
  };
  const auto heard_but_watchdog = [&heard] {
    std::string text = heard();
    while (text == "WATCHDOG=1") text = heard();
    return text;
  };
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  setenv("WATCHDOG_USEC", "100000", 1);
  Start("env >" + dir_ + "/env\n" + Ready("exec sleep 1000"));
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
  EXPECT_EQ(heard_but_watchdog(), absl::StrCat("READY=1\nMAINPID=", pid_, "\nSTATUS=nodes serve"));
  EXPECT_THAT(Read("env"), Not(HasSubstr("NOTIFY_SOCKET")));
  EXPECT_THAT(Read("env"), Not(HasSubstr("WATCHDOG_USEC")));
  for (int times = 1; times <= 5; ++times) EXPECT_EQ(heard(), "WATCHDOG=1");
  kill(pid_, SIGUSR2);
  EXPECT_THAT(heard_but_watchdog(), testing::StartsWith("RELOADING=1\nMONOTONIC_USEC="));
  EXPECT_THAT(heard_but_watchdog(), testing::StartsWith("READY=1\n"));
  kill(pid_, SIGTERM);
  EXPECT_THAT(heard_but_watchdog(), testing::StartsWith("STOPPING=1\n"));
  EXPECT_EQ(Wait(), 0);
  close(manager);
}

TEST_F(SupervisorTest, OrdersByTheControlSocketAreAnsweredWhenTheyAreDone) {
  Start("[ $3 = 3 ] && [ -e " + dir_ + "/broken ] && exit 1\n" + Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  const auto ask = [this](const std::string& line) {
    return AskSupervisor(settings_.data_dir, line, kPatience, false);
  };
  const auto status = [&] { return SupervisorStatus::Parse(ask("status").value_or("")); };
  ASSERT_TRUE(status().ok()) << status().status();
  EXPECT_EQ(status()->pid, pid_);
  EXPECT_EQ(status()->state, "serving");
  EXPECT_EQ(status()->redis_pid, RedisPid());
  ASSERT_EQ(status()->nodes.size(), 2U);
  EXPECT_EQ(status()->nodes[1].name, "fake-2");
  const int before = status()->nodes[0].pid;
  EXPECT_TRUE(ask("restart").ok()) << ask("status").value_or("?");
  EXPECT_NE(status()->nodes[0].pid, before);
  EXPECT_EQ(ask("scale 0").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ask("dance").status().code(), absl::StatusCode::kInvalidArgument);
  std::ofstream(dir_ + "/broken") << "yes";
  EXPECT_EQ(ask("scale 3").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status()->nodes[2].state, "looping");
  std::filesystem::remove(dir_ + "/broken");
  EXPECT_TRUE(ask("scale 3").ok());
  EXPECT_EQ(status()->nodes[2].state, "ready");
  EXPECT_TRUE(ask("scale 1").ok());
  EXPECT_EQ(status()->nodes.size(), 1U);
  EXPECT_TRUE(AskSupervisor(settings_.data_dir, "stop", kPatience, true).ok());
  EXPECT_TRUE(IsFree());
  EXPECT_EQ(Wait(), 0);
  EXPECT_EQ(ask("status").status().message(), "no actioncluster runs on the data directory " + settings_.data_dir);
}

TEST_F(SupervisorTest, ASecondSignalKillsWorkersThatDoNotStop) {
  Start("trap '' TERM\n" + Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  kill(pid_, SIGTERM);
  kill(pid_, SIGINT);
  EXPECT_EQ(Wait(), 0);
  EXPECT_TRUE(IsFree());
}

TEST_F(SupervisorTest, ARedisThatIsKilledIsStartedAgain) {
  Start(Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  const pid_t before = RedisPid();
  ASSERT_GT(before, 0);
  kill(before, SIGKILL);
  ASSERT_TRUE(ReadUntil("embedded redis ready again"));
  EXPECT_GT(RedisPid(), 0);
  EXPECT_NE(RedisPid(), before);
  kill(pid_, SIGTERM);
  EXPECT_EQ(Wait(), 0);
}

TEST_F(SupervisorTest, WhenItIsKilledWorkersAndRedisEndAndASuccessorMayStart) {
  Start(Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  kill(pid_, SIGKILL);
  EXPECT_EQ(Wait(), -SIGKILL);  // Returns when the last worker has closed the output.
  const auto data_dir = DataDir::Open(settings_.data_dir, kPatience);
  EXPECT_TRUE(data_dir.ok()) << data_dir.status();
  EXPECT_EQ(RedisPid(), 0);
}

TEST_F(SupervisorTest, ASecondOneOnTheSamePortDoesNotStart) {
  Start(Ready("exec sleep 1000"));
  ASSERT_TRUE(ReadUntil("nodes are ready"));
  Settings other = settings_;
  other.data_dir = dir_ + "/other";
  const absl::Status end = RunSupervisor(other);
  EXPECT_EQ(end.message(), absl::StrCat("port ", settings_.port, " is taken by another actioncluster on this machine"));
}

}  // namespace
}  // namespace actioncluster

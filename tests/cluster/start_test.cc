// What `actioncluster start` refuses: with one line that says why.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/ports.h"
#include "tests/cluster/program.h"
#include "tests/fakes/redis_server.h"

namespace actioncluster::cluster {
namespace {

using testing::HasSubstr;

class StartTest : public testing::Test {
 protected:
  // With a data directory and ports of its own, unless the flags say otherwise.
  void ExpectRefused(const std::vector<std::string>& flags, const std::string& named,
                     const std::vector<std::string>& environment = {}) {
    std::vector<std::string> all;
    if (std::ranges::find(flags, "--data-dir") == flags.end()) all.insert(all.end(), {"--data-dir", dir_ / "data"});
    if (std::ranges::find(flags, "--port") == flags.end()) {
      all.insert(all.end(), {"--port", absl::StrCat(ports_.first())});
    }
    all.insert(all.end(), flags.begin(), flags.end());
    Program program(StartCommand(all), environment);
    const auto status = program.Wait();
    ASSERT_TRUE(status.has_value()) << "it runs: " << named;
    EXPECT_GT(*status, 0) << named;
    const std::string said = program.Err();
    EXPECT_THAT(said, HasSubstr(named));
    EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
    EXPECT_EQ(program.Out(), "");
  }

  const TempDir dir_;
  const Ports ports_{3};
};

TEST_F(StartTest, AnUnknownFlagVariableOrLineIsNamed) {
  ExpectRefused({"--frobnicate", "1"}, "frobnicate");
  ExpectRefused({"stray"}, "stray");
  ExpectRefused({}, "ACTIONCLUSTER_FROBNICATE", {"ACTIONCLUSTER_FROBNICATE=1"});
  WriteFile(dir_ / "config", "# a comment\nworkers = 1\nfrobnicate = 1\n");
  ExpectRefused({"--config", dir_ / "config"}, "line 3: there is no setting frobnicate");
  WriteFile(dir_ / "config", "workers = 1\nworkers = 2\n");
  ExpectRefused({"--config", dir_ / "config"}, "workers");
  ExpectRefused({"--config", dir_ / "absent"}, "absent");
}

TEST_F(StartTest, ABadValueIsNamedWithItsSourceAndWhatIsAllowed) {
  ExpectRefused({"--workers", "0"}, "workers (from the flag --workers): takes a whole number, 1 … 256");
  ExpectRefused({"--workers", "many"}, "workers");
  ExpectRefused({}, "lease (from the environment's ACTIONCLUSTER_LEASE)", {"ACTIONCLUSTER_LEASE=1ms"});
  WriteFile(dir_ / "config", "rpc-timeout = soon\n");
  ExpectRefused({"--config", dir_ / "config"}, "rpc-timeout");
  ExpectRefused({"--host", "example.com"}, "host");
  ExpectRefused({"--redis", "http://127.0.0.1"}, "redis");
  ExpectRefused({"--namespace", "a b"}, "namespace");
  ExpectRefused({"--port", "65535", "--workers", "2"}, "port");
}

TEST_F(StartTest, ATokenFileThatOthersCanReadOrThatIsTooShortIsRefused) {
  WriteFile(dir_ / "token", "long enough for a token", 0644);
  ExpectRefused({"--api-token-file", dir_ / "token"}, "chmod 600");
  WriteFile(dir_ / "token", "short");
  ExpectRefused({"--server-token-file", dir_ / "token"}, "16");
  ExpectRefused({"--server-token-file", dir_ / "absent"}, "absent");
}

TEST_F(StartTest, APortThatIsTakenIsNamed) {
  // The shared one, then the own one of the second node.
  for (const int offset : {0, 2}) {
    const int port = ports_.first() + offset;
    const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // As another gRPC server would have it: shared with whoever else asks so.
    const int yes = 1;
    setsockopt(taken, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    ASSERT_EQ(bind(taken, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(taken, 1), 0);
    ExpectRefused({"--workers", "2"}, absl::StrCat("127.0.0.1:", port, " is taken"));
    close(taken);
  }
}

TEST_F(StartTest, BeyondLoopbackBothTokenFilesAreAskedFor) {
  WriteFile(dir_ / "token", "long enough for a token");
  ExpectRefused({"--host", "0.0.0.0"}, "token-file");
  ExpectRefused({"--host", "0.0.0.0", "--server-token-file", dir_ / "token"}, "api-token-file");
  ExpectRefused({"--host", "0.0.0.0", "--api-token-file", dir_ / "token"}, "server-token-file");
}

TEST_F(StartTest, AClusterWithAnotherServerTokenIsNotJoined) {
  Cluster cluster(1);
  WriteFile(dir_ / "token", "another token than the cluster's");
  ExpectRefused({"--redis", cluster.redis().url(), "--server-token-file", dir_ / "token"}, "token");
  EXPECT_TRUE(cluster.node(1).IsServing());
}

TEST_F(StartTest, ADataDirectoryInUseIsNamed) {
  Cluster cluster(1);
  ExpectRefused({"--data-dir", cluster.node(1).data_dir()}, cluster.node(1).data_dir());
}

}  // namespace
}  // namespace actioncluster::cluster

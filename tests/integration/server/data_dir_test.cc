#include "server/supervisor/data_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/config/settings.h"
#include "server/supervisor/embedded_redis.h"
#include "server/supervisor/port_guard.h"

namespace actioncluster {
namespace {

using testing::HasSubstr;

class DataDirTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ac-data-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    path_ = root_ + "/some/where";
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string root_;
  std::string path_;
};

mode_t ModeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

TEST_F(DataDirTest, IsMadeForItsOwnerAlone) {
  const auto data_dir = DataDir::Open(path_, absl::ZeroDuration());
  ASSERT_TRUE(data_dir.ok()) << data_dir.status();
  EXPECT_EQ(ModeOf(path_), 0700u);
}

TEST_F(DataDirTest, IsHeldByOneWhoIsNamedToTheNext) {
  auto first = DataDir::Open(path_, absl::ZeroDuration());
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = DataDir::Open(path_, absl::Milliseconds(1));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(absl::StrCat("process ", getpid())));
}

TEST_F(DataDirTest, IsFreeAgainOnceItIsClosed) {
  { ASSERT_TRUE(DataDir::Open(path_, absl::ZeroDuration()).ok()); }
  EXPECT_TRUE(DataDir::Open(path_, absl::ZeroDuration()).ok());
}

TEST_F(DataDirTest, ThatIsAFileIsAnError) {
  std::ofstream(root_ + "/file") << "x";
  EXPECT_FALSE(DataDir::Open(root_ + "/file", absl::ZeroDuration()).ok());
  EXPECT_FALSE(DataDir::Open(root_ + "/file/below", absl::ZeroDuration()).ok());
}

TEST_F(DataDirTest, MakesTheServerTokenOnceForItsOwnerAlone) {
  const auto data_dir = DataDir::Open(path_, absl::ZeroDuration());
  const auto file = data_dir->ServerTokenFile();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(ModeOf(*file), 0600u);
  const auto token = ReadTokenFile(*file);
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(token->size(), 64u);
  EXPECT_EQ(*data_dir->ServerTokenFile(), *file);
  EXPECT_EQ(*ReadTokenFile(*file), *token);
}

TEST_F(DataDirTest, ASocketsPathThatIsTooLongIsRefusedWithItsLimit) {
  EXPECT_TRUE(EmbeddedRedis::Create("/" + std::string(88, 'd'), -1).ok());
  const auto redis = EmbeddedRedis::Create("/" + std::string(89, 'd'), -1);
  EXPECT_EQ(redis.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(redis.status().message()), HasSubstr("100"));
}

// A port that the system says is free; nobody else here asks for the ones next to it.
class PortGuardTest : public testing::Test {
 protected:
  void SetUp() override {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(listen(listener_, 1), 0);
    ASSERT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
  }
  void TearDown() override { close(listener_); }

  int listener_ = -1;
  int port_ = 0;
};

TEST_F(PortGuardTest, APortThatAnotherProgramListensOnIsTaken) {
  const auto guard = PortGuard::Take("127.0.0.1", port_, 0);
  EXPECT_EQ(guard.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(guard.status().message(), absl::StrCat("127.0.0.1:", port_, " is taken by another program"));
}

TEST_F(PortGuardTest, APortAfterTheFirstCountsToo) { EXPECT_FALSE(PortGuard::Take("127.0.0.1", port_ - 1, 1).ok()); }

TEST_F(PortGuardTest, APortIsGuardedEvenIfNobodyListensYet) {
  close(listener_);
  auto guard = PortGuard::Take("127.0.0.1", port_, 0);
  ASSERT_TRUE(guard.ok()) << guard.status();
  const auto second = PortGuard::Take("::1", port_, 0);
  EXPECT_EQ(second.status().message(),
            absl::StrCat("port ", port_, " is taken by another actioncluster on this machine"));
  guard = absl::CancelledError("");
  EXPECT_TRUE(PortGuard::Take("127.0.0.1", port_, 0).ok());
}

TEST_F(PortGuardTest, AnAddressOfAnotherMachineIsAnError) {
  close(listener_);
  EXPECT_THAT(std::string(PortGuard::Take("192.0.2.1", port_, 0).status().message()),
              HasSubstr("cannot listen on 192.0.2.1"));
}

TEST(HostPortTest, PutsAnIpv6AddressInBrackets) {
  EXPECT_EQ(HostPort("127.0.0.1", 7400), "127.0.0.1:7400");
  EXPECT_EQ(HostPort("::1", 7400), "[::1]:7400");
}

}  // namespace
}  // namespace actioncluster

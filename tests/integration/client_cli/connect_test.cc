#include "client/cli/connect.h"

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
#include "client/cli/file_descriptor.h"
#include "client/cli/reach.h"

namespace actioncluster::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class ConnectTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ac-connect-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // A data directory with an address file.
  std::string DataDir(const std::string& name, const std::string& addresses) const {
    const std::string path = absl::StrCat(root_, "/", name);
    std::filesystem::create_directories(path);
    std::ofstream(path + "/actioncluster.address") << addresses;
    return path;
  }
  std::string File(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const std::string path = absl::StrCat(root_, "/", name);
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }

  std::string root_;
};

TEST_F(ConnectTest, TheFlagWinsThenTheVariableThenTheDataDirectoryThenTheDefault) {
  CommonOptions options;
  Environment environment = {{"HOME", root_}};
  EXPECT_THAT(FindEndpoint(options, environment)->addresses, ElementsAre("127.0.0.1:7400"));
  EXPECT_EQ(FindEndpoint(options, environment)->source, "the default");

  DataDir(".local/state/actioncluster", "127.0.0.1:1\n127.0.0.1:2\n");
  EXPECT_THAT(FindEndpoint(options, environment)->addresses, ElementsAre("127.0.0.1:1", "127.0.0.1:2"));
  environment["XDG_STATE_HOME"] = root_ + "/xdg";
  EXPECT_THAT(FindEndpoint(options, environment)->addresses, ElementsAre("127.0.0.1:7400"));
  DataDir("xdg/actioncluster", "127.0.0.1:3\n");
  EXPECT_THAT(FindEndpoint(options, environment)->addresses, ElementsAre("127.0.0.1:3"));
  environment["ACTIONCLUSTER_DATA_DIR"] = DataDir("variable", "127.0.0.1:4\n");
  EXPECT_THAT(FindEndpoint(options, environment)->addresses, ElementsAre("127.0.0.1:4"));
  options.data_dir = DataDir("flag", "[::1]:5\n");
  const auto endpoint = FindEndpoint(options, environment);
  EXPECT_THAT(endpoint->addresses, ElementsAre("[::1]:5"));
  EXPECT_EQ(endpoint->source, root_ + "/flag/actioncluster.address");
  EXPECT_TRUE(endpoint->may_be_stale);

  environment["ACTIONCLUSTER_ADDRESS"] = "127.0.0.1:6, 127.0.0.1:7";
  EXPECT_THAT(FindEndpoint(options, environment)->addresses, ElementsAre("127.0.0.1:6", "127.0.0.1:7"));
  EXPECT_FALSE(FindEndpoint(options, environment)->may_be_stale);
  options.address = "example.org:8";
  EXPECT_THAT(FindEndpoint(options, environment)->addresses, ElementsAre("example.org:8"));
  EXPECT_EQ(FindEndpoint(options, environment)->source, "the flag --address");
}

TEST_F(ConnectTest, ADirectoryThatIsNamedAndHasNoClusterIsNotPassedOver) {
  CommonOptions options;
  options.data_dir = root_;
  const auto endpoint = FindEndpoint(options, {});
  EXPECT_EQ(endpoint.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(endpoint.status().message()), HasSubstr(root_));
}

TEST_F(ConnectTest, AnAddressFileThatHoldsNothingIsAnError) {
  CommonOptions options;
  options.data_dir = DataDir("empty", "\n");
  EXPECT_EQ(FindEndpoint(options, {}).status().code(), absl::StatusCode::kFailedPrecondition);
  options.data_dir = root_ + "/odd";
  std::filesystem::create_directories(options.data_dir + "/actioncluster.address");
  EXPECT_EQ(FindEndpoint(options, {}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ConnectTest, AnEmptyAddressInAListIsAnError) {
  CommonOptions options;
  options.address = "127.0.0.1:1,,127.0.0.1:2";
  EXPECT_EQ(FindEndpoint(options, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ConnectTest, WithoutAHomeTheDefaultRemains) {
  EXPECT_THAT(FindEndpoint({}, {})->addresses, ElementsAre("127.0.0.1:7400"));
  EXPECT_THAT(FindEndpoint({}, {{"HOME", "relative"}})->addresses, ElementsAre("127.0.0.1:7400"));
}

TEST_F(ConnectTest, ATokenIsReadWithoutTheSpaceAtItsEnd) {
  EXPECT_EQ(ReadApiToken(File("t", "0123456789abcdef\n")).value(), "0123456789abcdef");
}

TEST_F(ConnectTest, ATokenThatIsNoneIsRefused) {
  for (const std::string text :
       {"short", "", "0123456789 abcdef", "0123456789abcdef\n0123456789abcdef", "0123456789abcd\xc3\xa9"}) {
    EXPECT_EQ(ReadApiToken(File("t", text)).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(ReadApiToken(root_ + "/none").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadApiToken(root_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ConnectTest, ATokenThatOthersCanReadIsRefused) {
  const auto token = ReadApiToken(File("t", "0123456789abcdef", 0644));
  EXPECT_EQ(token.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(token.status().message()), HasSubstr("chmod 600"));
}

TEST_F(ConnectTest, ATimeoutNeedsItsUnitAndHasLimits) {
  EXPECT_EQ(ParseTimeout("", absl::Seconds(7)).value(), absl::Seconds(7));
  EXPECT_EQ(ParseTimeout("250ms", absl::Seconds(7)).value(), absl::Milliseconds(250));
  EXPECT_EQ(ParseTimeout("1h", absl::Seconds(7)).value(), absl::Hours(1));
  for (const std::string text : {"5", "0s", "-1s", "61m", "inf", "x"}) {
    EXPECT_EQ(ParseTimeout(text, absl::Seconds(7)).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST_F(ConnectTest, WhatAKilledClusterLeftBehindIsNamed) {
  CommonOptions options;
  options.data_dir = DataDir("stale", "127.0.0.1:1\n");
  const auto client = Connect(options, {});
  EXPECT_EQ(client.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(client.status().message()),
              AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("stale/actioncluster.address"), HasSubstr("was killed"),
                    HasSubstr("Connection refused")));
}

class ReachTest : public testing::Test {
 protected:
  void SetUp() override {
    listener_ = FileDescriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  }

  FileDescriptor listener_;
  std::string address_;
};

TEST_F(ReachTest, OneOfSeveralIsEnough) {
  ASSERT_EQ(listen(listener_.get(), 8), 0);
  EXPECT_TRUE(Reach({address_}, absl::Seconds(30)).ok());
  EXPECT_TRUE(Reach({"127.0.0.1:1", address_}, absl::Seconds(30)).ok());
  EXPECT_TRUE(
      Reach({"127.0.0.1:1", absl::StrCat("localhost", address_.substr(address_.find(':')))}, absl::Seconds(30)).ok());
}

TEST_F(ReachTest, NoneIsUnavailableWithTheSystemsReason) {
  const absl::Status refused = Reach({address_, "127.0.0.1:1"}, absl::Seconds(30));
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(refused.message(), "Connection refused");
  EXPECT_EQ(Reach({"unix:/tmp/no-such-socket"}, absl::Seconds(30)).message(), "No such file or directory");
}

TEST_F(ReachTest, OneThatDoesNotAnswerIsGivenUpAtTheLimit) {
  ASSERT_EQ(listen(listener_.get(), 0), 0);
  // Its queue takes one; what comes after that hears nothing.
  FileDescriptor first(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  socklen_t length = sizeof address;
  ASSERT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  ASSERT_EQ(connect(first.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  const absl::Status late = Reach({address_}, absl::Milliseconds(50));
  EXPECT_EQ(late.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(late.message(), "no connection within 50ms");
}

TEST_F(ReachTest, WhatIsNoAddressIsAnError) {
  EXPECT_EQ(Reach({"localhost"}, absl::Seconds(1)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Reach({"unix:"}, absl::Seconds(1)).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace actioncluster::cli

#include "server/supervisor/address_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class AddressFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ac-address-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string Text() const {
    std::ifstream file(root_ + "/actioncluster.address");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string root_;
};

std::vector<std::string> AddressesOf(const std::string& host, int port, int workers) {
  Settings settings;
  settings.host = host;
  settings.port = port;
  settings.workers = workers;
  return LocalAddresses(settings);
}

TEST(LocalAddressesTest, TheSharedPortComesFirstThenEachWorkersOwn) {
  EXPECT_THAT(AddressesOf("127.0.0.1", 7500, 2), ElementsAre("127.0.0.1:7500", "127.0.0.1:7501", "127.0.0.1:7502"));
  EXPECT_THAT(AddressesOf("192.0.2.7", 7500, 1), ElementsAre("192.0.2.7:7500", "192.0.2.7:7501"));
}

TEST(LocalAddressesTest, WhoListensEverywhereIsReachedOverLoopback) {
  EXPECT_THAT(AddressesOf("0.0.0.0", 7400, 1), ElementsAre("127.0.0.1:7400", "127.0.0.1:7401"));
  EXPECT_THAT(AddressesOf("localhost", 7400, 1), ElementsAre("127.0.0.1:7400", "127.0.0.1:7401"));
  EXPECT_THAT(AddressesOf("::", 7400, 1), ElementsAre("[::1]:7400", "[::1]:7401"));
}

TEST_F(AddressFileTest, HasALineForEachAddressAndIsForItsOwnerAlone) {
  const auto file = AddressFile::Write(root_, {"127.0.0.1:1", "127.0.0.1:2"});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Text(), "127.0.0.1:1\n127.0.0.1:2\n");
  struct stat info;
  ASSERT_EQ(stat((root_ + "/actioncluster.address").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(AddressFileTest, IsGoneAtItsEnd) {
  {
    auto file = AddressFile::Write(root_, {"127.0.0.1:1"});
    const std::optional<AddressFile> moved = *std::move(file);
    file = absl::CancelledError("");
    EXPECT_EQ(Text(), "127.0.0.1:1\n");
  }
  EXPECT_TRUE(std::filesystem::is_empty(root_));
}

TEST_F(AddressFileTest, WhatAPredecessorLeftBehindIsReplacedOrRemoved) {
  std::ofstream(root_ + "/actioncluster.address") << "old";
  std::ofstream(root_ + "/actioncluster.address.new") << "half";
  { ASSERT_TRUE(AddressFile::Write(root_, {"127.0.0.1:1"}).ok()); }
  std::ofstream(root_ + "/actioncluster.address") << "old";
  AddressFile::Remove(root_);
  AddressFile::Remove(root_);
  EXPECT_TRUE(std::filesystem::is_empty(root_));
}

TEST_F(AddressFileTest, ADirectoryThatIsNotThereIsAnError) {
  EXPECT_EQ(AddressFile::Write(root_ + "/none", {"x"}).status().code(), absl::StatusCode::kInternal);
}

TEST_F(AddressFileTest, AFullDiskIsToldAndNoHalfIsLeft) {
  // Files that may have no more than 5 bytes, as on a disk that has no more: the write is cut short.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {.rlim_cur = 5, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status failure = AddressFile::Write(root_, {"127.0.0.1:1"}).status();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_THAT(std::string(failure.message()), HasSubstr("No space left on device"));
  EXPECT_TRUE(std::filesystem::is_empty(root_));
}

}  // namespace
}  // namespace actioncluster

#include "server/supervisor/worker_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"

namespace actioncluster {
namespace {

constexpr char kBoot[] = "00112233445566aa";
constexpr char kOtherBoot[] = "ffeeddccbbaa9988";

class WorkerFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ac-files-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    out_ = dup(STDOUT_FILENO);
    err_ = dup(STDERR_FILENO);
  }
  void TearDown() override {
    RestoreOutput();
    close(out_);
    close(err_);
    std::filesystem::remove_all(dir_);
  }

  void RestoreOutput() const {
    std::fflush(stdout);
    dup2(out_, STDOUT_FILENO);
    dup2(err_, STDERR_FILENO);
  }
  bool Exists(const std::string& name) const { return std::filesystem::exists(absl::StrCat(dir_, "/", name)); }
  std::string Read(const std::string& name) const {
    std::ifstream file(absl::StrCat(dir_, "/", name));
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(absl::StrCat(dir_, "/", name)) << text;
  }
  std::unique_ptr<WorkerFiles> Open(int slot = 1) const {
    auto files = WorkerFiles::Open(dir_, slot);
    EXPECT_TRUE(files.ok()) << files.status();
    return files.ok() ? *std::move(files) : nullptr;
  }

  std::string dir_;
  int out_ = -1;
  int err_ = -1;
};

TEST_F(WorkerFilesTest, ASlotIsHeldByOneAtATime) {
  auto first = Open(1);
  EXPECT_EQ(WorkerFiles::Open(dir_, 1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(Open(2), nullptr);
  first.reset();
  EXPECT_NE(Open(1), nullptr);
}

TEST_F(WorkerFilesTest, ABootThatDidNotLeaveIsKnownToItsSuccessor) {
  auto files = Open();
  EXPECT_EQ(files->last_boot(), "");
  ASSERT_TRUE(files->Named("node-1", kBoot).ok());
  files.reset();
  EXPECT_EQ(Open()->last_boot(), kBoot);
}

TEST_F(WorkerFilesTest, ABootThatLeftIsForgotten) {
  auto files = Open();
  ASSERT_TRUE(files->Named("node-1", kBoot).ok());
  files->Left();
  files.reset();
  EXPECT_EQ(Open()->last_boot(), "");
}

TEST_F(WorkerFilesTest, WhateverElseIsInTheLockFileIsNoBoot) {
  for (const char* text : {"0011", "00112233445566zz", "00112233445566aa0", "\n"}) {
    Write("worker-1.lock", text);
    EXPECT_EQ(Open()->last_boot(), "") << text;
  }
}

TEST_F(WorkerFilesTest, TheNameDecidesThePidFileAndTheLog) {
  Write("node-1.log", "before\n");
  auto files = Open();
  ASSERT_TRUE(files->Named("node-1", kBoot).ok());
  std::printf("out\n");
  std::fprintf(stderr, "err\n");
  RestoreOutput();
  EXPECT_EQ(Read("node-1.pid"), absl::StrCat(getpid(), "\n"));
  EXPECT_EQ(Read("node-1.log"), "before\nerr\nout\n");
  files.reset();
  EXPECT_FALSE(Exists("node-1.pid"));
  EXPECT_TRUE(Exists("node-1.log"));
}

TEST_F(WorkerFilesTest, AnotherNameAfterARejoinMovesTheFiles) {
  auto files = Open();
  ASSERT_TRUE(files->Named("node-1", kBoot).ok());
  ASSERT_TRUE(files->Named("node-2", kOtherBoot).ok());
  std::fprintf(stderr, "err\n");
  RestoreOutput();
  EXPECT_FALSE(Exists("node-1.pid"));
  EXPECT_TRUE(Exists("node-2.pid"));
  EXPECT_EQ(Read("node-1.log"), "");
  EXPECT_EQ(Read("node-2.log"), "err\n");
  files.reset();
  EXPECT_EQ(Open()->last_boot(), kOtherBoot);
}

TEST_F(WorkerFilesTest, ThePidFileOfAnotherProcessUnderTheSameNameStays) {
  auto files = Open();
  ASSERT_TRUE(files->Named("node-1", kBoot).ok());
  RestoreOutput();
  Write("node-1.pid", "1\n");
  files.reset();
  EXPECT_EQ(Read("node-1.pid"), "1\n");
}

TEST_F(WorkerFilesTest, ANameThatLeadsElsewhereIsRefused) {
  auto files = Open();
  for (const char* name : {"", "../x", "a/b", ".hidden"}) {
    EXPECT_EQ(files->Named(name, kBoot).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

}  // namespace
}  // namespace actioncluster

// The installed CMake package is enough to build a program against, and the program works.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"

namespace actioncluster::cluster {
namespace {

// Compilers take their time where everything else is tested at the same time.
constexpr absl::Duration kBuildLimit = absl::Minutes(4);

void Execute(const std::vector<std::string>& command) {
  Program program(command);
  ASSERT_EQ(program.Wait(kBuildLimit), std::make_optional(0)) << program.Out() << program.Err();
}

std::vector<std::string> Configure(const std::string& prefix, const std::string& build) {
  std::vector<std::string> command = {CMAKE_PROGRAM,
                                      "-S",
                                      PROJECT,
                                      "-B",
                                      build,
                                      absl::StrCat("-DCMAKE_PREFIX_PATH=", prefix),
                                      absl::StrCat("-DCMAKE_CXX_COMPILER=", COMPILER),
                                      "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"};
  // Only the library is sanitized, not who uses it; but that must be linked with what a sanitizer needs.
  if (std::string(SANITIZE) != "") command.push_back(absl::StrCat("-DCMAKE_EXE_LINKER_FLAGS=-fsanitize=", SANITIZE));
  return command;
}

TEST(PackageTest, AProgramIsBuiltAgainstTheInstalledClientAndWorks) {
  const TempDir dir;
  const std::string prefix = dir / "prefix";
  const std::string build = dir / "build";
  ASSERT_NO_FATAL_FAILURE(
      Execute({CMAKE_PROGRAM, "--install", OUR_BUILD, "--component", "client", "--prefix", prefix}));
  ASSERT_NO_FATAL_FAILURE(Execute(Configure(prefix, build)));
  ASSERT_NO_FATAL_FAILURE(Execute({CMAKE_PROGRAM, "--build", build}));

  Cluster cluster(1);
  Program program({build + "/package_user", cluster.node(1).address()});
  EXPECT_EQ(program.Wait(), std::make_optional(0)) << program.Err();
  EXPECT_EQ(program.Out(), "\"hello, world\"\nMETHOD_NOT_FOUND\n3\n");
}

TEST(PackageTest, TheContractsAreInstalledAndNothingInternalIs) {
  const TempDir dir;
  ASSERT_NO_FATAL_FAILURE(
      Execute({CMAKE_PROGRAM, "--install", OUR_BUILD, "--component", "client", "--prefix", dir / "prefix"}));
  const std::string share = dir / "prefix/share/actioncluster/proto/actioncluster/v1";
  for (const char* name : {"rpc", "cluster", "pubsub", "errors"}) {
    EXPECT_TRUE(std::filesystem::exists(absl::StrCat(share, "/", name, ".proto"))) << name;
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir / "prefix")) {
    EXPECT_EQ(entry.path().string().find("internal"), std::string::npos) << entry.path();
  }
}

TEST(PackageTest, TheProgramIsInstalled) {
  const TempDir dir;
  ASSERT_NO_FATAL_FAILURE(
      Execute({CMAKE_PROGRAM, "--install", OUR_BUILD, "--component", "server", "--prefix", dir / "prefix"}));
  Program program({dir / "prefix/bin/actioncluster", "--version"});
  EXPECT_EQ(program.Wait(), std::make_optional(0)) << program.Err();
}

}  // namespace
}  // namespace actioncluster::cluster

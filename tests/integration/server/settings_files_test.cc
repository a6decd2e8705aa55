#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/config/settings.h"

namespace actioncluster {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class SettingsFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ac-settings-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string Write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = absl::StrCat(dir_, "/", name);
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  absl::StatusOr<Settings> Load(const std::string& text) {
    return LoadSettings({"--config", Write("config", text), "--data-dir", dir_}, {});
  }

  std::string dir_;
};

TEST_F(SettingsFilesTest, TheFileGivesWhatFlagsAndEnvironmentDoNot) {
  const std::string path = Write("config", "# ours\n\nport = 7500\n  workers=4  \nnamespace = file\n");
  const auto settings = LoadSettings({"--config", path, "--port", "7600"}, {"HOME=/h", "ACTIONCLUSTER_NAMESPACE=env"});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->port, 7600);
  EXPECT_EQ(settings->cluster_namespace, "env");
  EXPECT_EQ(settings->workers, 4);
}

TEST_F(SettingsFilesTest, TheEnvironmentMayNameTheFile) {
  const auto settings = LoadSettings({}, {"HOME=/h", "ACTIONCLUSTER_CONFIG=" + Write("config", "port = 7500\n")});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->port, 7500);
}

TEST_F(SettingsFilesTest, AWrongLineIsNamedByItsNumber) {
  EXPECT_THAT(std::string(Load("port = 7500\nworkers = x\n").status().message()),
              AllOf(HasSubstr("workers (from"), HasSubstr("line 2"), HasSubstr("1 … 256")));
  EXPECT_THAT(std::string(Load("prot = 7500\n").status().message()), AllOf(HasSubstr("line 1"), HasSubstr("prot")));
  EXPECT_THAT(std::string(Load("port\n").status().message()), HasSubstr("line 1"));
  EXPECT_THAT(std::string(Load("port = 1\nport = 2\n").status().message()),
              AllOf(HasSubstr("line 2"), HasSubstr("line 1")));
  EXPECT_THAT(std::string(Load("config = /x\n").status().message()), HasSubstr("line 1"));
}

TEST_F(SettingsFilesTest, AFileThatIsNotThereIsAnError) {
  EXPECT_THAT(std::string(LoadSettings({"--config", dir_ + "/none"}, {"HOME=/h"}).status().message()),
              HasSubstr("/none"));
}

TEST_F(SettingsFilesTest, ATokenIsReadWithoutTheWhiteSpaceAfterIt) {
  const auto token = ReadTokenFile(Write("token", "0123456789abcdef \r\n\n"));
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(*token, "0123456789abcdef");
}

TEST_F(SettingsFilesTest, ATokenThatIsShortOpenToOthersOrMissingIsRefused) {
  EXPECT_EQ(ReadTokenFile(Write("short", "0123456789abcde\n")).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadTokenFile(Write("open", "0123456789abcdef\n", 0604)).status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ReadTokenFile(dir_ + "/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadTokenFile(dir_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SettingsFilesTest, ATokenFileIsCheckedWithTheSettings) {
  const std::string good = Write("good", "0123456789abcdef");
  const std::string bad = Write("bad", "short");
  EXPECT_TRUE(
      LoadSettings({"--host", "0.0.0.0", "--server-token-file", good, "--api-token-file", good}, {"HOME=/h"}).ok());
  EXPECT_THAT(
      std::string(LoadSettings({"--host", "0.0.0.0", "--server-token-file", good}, {"HOME=/h"}).status().message()),
      HasSubstr("api-token-file"));
  EXPECT_THAT(std::string(LoadSettings({"--server-token-file", bad}, {"HOME=/h"}).status().message()),
              AllOf(HasSubstr("server-token-file (from the flag"), HasSubstr("16 bytes")));
}

}  // namespace
}  // namespace actioncluster

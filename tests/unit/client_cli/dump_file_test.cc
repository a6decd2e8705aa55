#include "client/cli/dump_file.h"

#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/progress.h"
#include "gtest/gtest.h"

namespace actioncluster::cli {
namespace {

v1::DumpEntry Entry(const std::string& key, const std::string& data) {
  v1::DumpEntry entry;
  entry.set_key(key);
  entry.set_data(data);
  return entry;
}

std::string Written(const std::vector<v1::DumpEntry>& entries) {
  std::string file;
  DumpWriter writer([&file](absl::string_view bytes) {
    absl::StrAppend(&file, bytes);
    return absl::OkStatus();
  });
  for (const v1::DumpEntry& entry : entries) EXPECT_TRUE(writer.Add(entry).ok());
  EXPECT_TRUE(writer.Finish().ok());
  EXPECT_EQ(writer.bytes(), file.size());
  EXPECT_EQ(writer.entries(), entries.size());
  return file;
}

class DumpFileTest : public testing::Test {
 protected:
  DumpFileTest() {
    const int fd = mkstemp(path_.data());
    EXPECT_GE(fd, 0);
    close(fd);
  }
  ~DumpFileTest() override { unlink(path_.c_str()); }

  // What a reader says of a file with this content: OK if it takes it to be good.
  absl::Status Read(absl::string_view content, std::vector<v1::DumpEntry>* entries = nullptr,
                    std::string* digest = nullptr) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
    const auto reader = DumpReader::Open(path_);
    if (!reader.ok()) return reader.status();
    v1::DumpEntry entry;
    while (true) {
      const absl::StatusOr<bool> more = (*reader)->Next(&entry);
      if (!more.ok()) return more.status();
      if (!*more) {
        if (digest != nullptr) *digest = (*reader)->Digest();
        return absl::OkStatus();
      }
      if (entries != nullptr) entries->push_back(entry);
    }
  }

  std::string path_ = "/tmp/dump_file_test.XXXXXX";
  const std::string small_ = Written({Entry("a", "1"), Entry("ä", std::string("\0\n", 2))});
};

TEST_F(DumpFileTest, WhatIsWrittenIsRead) {
  std::vector<v1::DumpEntry> written;
  for (int i = 0; i < 1000; ++i) written.push_back(Entry(absl::StrCat("key ", i), std::string(i * 7, 'x')));
  std::vector<v1::DumpEntry> read;
  ASSERT_TRUE(Read(Written(written), &read).ok());
  ASSERT_EQ(read.size(), written.size());
  for (size_t i = 0; i < read.size(); ++i) ASSERT_EQ(read[i].SerializeAsString(), written[i].SerializeAsString());
}

TEST_F(DumpFileTest, AnEmptyCacheHasAFileToo) { EXPECT_TRUE(Read(Written({})).ok()); }

TEST_F(DumpFileTest, TheDigestNamesTheContent) {
  std::string one;
  std::string same;
  std::string other;
  ASSERT_TRUE(Read(small_, nullptr, &one).ok());
  ASSERT_TRUE(Read(small_, nullptr, &same).ok());
  ASSERT_TRUE(Read(Written({Entry("a", "1")}), nullptr, &other).ok());
  EXPECT_EQ(one.size(), 64u);
  EXPECT_EQ(one, same);
  EXPECT_NE(one, other);
}

TEST_F(DumpFileTest, AnyByteThatIsAnotherIsFoundAndTheErrorSaysWhere) {
  for (size_t at = 0; at < small_.size(); ++at) {
    for (const int mask : {0x01, 0x20, 0x80, 0xff, 'E' ^ 'Z'}) {
      std::string bad = small_;
      bad[at] = static_cast<char>(bad[at] ^ mask);
      const absl::Status status = Read(bad);
      ASSERT_TRUE(absl::IsDataLoss(status)) << "byte " << at << ", " << status;
      ASSERT_TRUE(absl::StrContains(status.message(), "is bad at byte ")) << status;
    }
  }
}

TEST_F(DumpFileTest, AFileThatIsCutAnywhereIsRefused) {
  for (size_t length = 0; length < small_.size(); ++length) {
    const absl::Status status = Read(absl::string_view(small_).substr(0, length));
    ASSERT_TRUE(absl::IsDataLoss(status)) << "cut at " << length << ", " << status;
    ASSERT_TRUE(absl::StrContains(status.message(), "cut")) << status;
  }
}

TEST_F(DumpFileTest, WhatFollowsTheEndIsRefused) {
  EXPECT_TRUE(absl::IsDataLoss(Read(small_ + "\n")));
  EXPECT_TRUE(absl::IsDataLoss(Read(small_ + small_)));
}

TEST_F(DumpFileTest, EntriesInAnotherOrderOrOfAnotherFileAreRefused) {
  const std::string other = Written({Entry("b", "1"), Entry("ä", std::string("\0\n", 2))});
  ASSERT_EQ(other.size(), small_.size());
  // The first entry of the one, all that follows of the other.
  const size_t frame = 1 + 4 + Entry("a", "1").ByteSizeLong() + 8;
  const size_t start = absl::string_view("actioncluster dump 1\n").size();
  EXPECT_TRUE(absl::IsDataLoss(Read(other.substr(0, start + frame) + small_.substr(start + frame))));
  EXPECT_TRUE(absl::IsDataLoss(Read(small_.substr(0, start) + small_.substr(start + frame))));
}

TEST_F(DumpFileTest, ForeignFilesAndOtherVersionsAreToldApart) {
  EXPECT_EQ(Read("PK\x03\x04 and so on, and on").message(), path_ + " is bad at byte 0: this is no dump of a cache");
  EXPECT_EQ(Read("actioncluster dump 2\nE").message(), path_ + " is bad at byte 19: this is a dump of another version");
  EXPECT_TRUE(absl::IsInvalidArgument(DumpReader::Open("/tmp").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(DumpReader::Open("/nonexistent/file").status()));
}

TEST_F(DumpFileTest, ASinkThatFailsEndsIt) {
  DumpWriter writer([](absl::string_view) { return absl::InternalError("the disk is full"); });
  EXPECT_TRUE(writer.Add(Entry("a", "1")).ok());
  EXPECT_FALSE(writer.Finish().ok());
}

TEST(ProgressTest, ItShowsHowFarItIs) {
  EXPECT_EQ(FormatProgress("dumping", 500, 1000, 1234567, 3u << 20),
            "dumping [############............]  50 %  1,234,567 entries  3.0 MiB");
  EXPECT_EQ(FormatProgress("dumping", 2000, 1000, 1, 999),
            "dumping [########################] 100 %  1 entry  999 bytes");
  EXPECT_EQ(FormatProgress("dumping", 5, 0, 999, 2048), "dumping  999 entries  2.0 KiB");
}

}  // namespace
}  // namespace actioncluster::cli

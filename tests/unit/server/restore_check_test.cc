#include "server/services/restore_check.h"

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "gtest/gtest.h"
#include "server/services/restore_spool.h"

namespace actioncluster {
namespace {

v1::RestoreRequest Begin(bool keep = false) {
  v1::RestoreRequest frame;
  frame.mutable_begin()->set_restore_id("r");
  frame.mutable_begin()->set_keep_existing(keep);
  return frame;
}
v1::RestoreRequest Value(const std::string& key, const std::string& data = "x") {
  v1::RestoreRequest frame;
  frame.mutable_entry()->set_key(key);
  frame.mutable_entry()->set_data(data);
  return frame;
}
v1::RestoreRequest Part(const std::string& key, int64_t offset, bool last, int items) {
  v1::RestoreRequest frame;
  frame.mutable_entry()->set_key(key);
  frame.mutable_entry()->mutable_list()->set_offset(offset);
  frame.mutable_entry()->mutable_list()->set_last(last);
  for (int i = 0; i < items; ++i) frame.mutable_entry()->mutable_list()->add_items()->set_data("i");
  return frame;
}
v1::RestoreRequest End(int64_t entries) {
  v1::RestoreRequest frame;
  frame.mutable_end()->set_entries(entries);
  return frame;
}

// The digest of good frames.
std::string DigestOf(const std::vector<v1::RestoreRequest>& frames) {
  RestoreCheck check(CacheLimits{});
  for (const v1::RestoreRequest& frame : frames) EXPECT_TRUE(check.Take(frame).ok());
  EXPECT_TRUE(check.complete());
  return check.Digest();
}

TEST(RestoreCheckTest, TheDigestTellsRestoresApart) {
  const std::string digest = DigestOf({Begin(), Value("a"), Part("l", 0, true, 2), End(2)});
  EXPECT_EQ(digest, DigestOf({Begin(), Value("a"), Part("l", 0, true, 2), End(2)}));
  EXPECT_NE(digest, DigestOf({Begin(true), Value("a"), Part("l", 0, true, 2), End(2)}));
  EXPECT_NE(digest, DigestOf({Begin(), Value("b"), Part("l", 0, true, 2), End(2)}));
  EXPECT_NE(digest, DigestOf({Begin(), Part("l", 0, true, 2), Value("a"), End(2)}));
  EXPECT_NE(digest, DigestOf({Begin(), Value("a"), Part("l", 0, true, 3), End(2)}));
  EXPECT_NE(digest, DigestOf({Begin(), Value("a", "y"), Part("l", 0, true, 2), End(2)})) << "another content";
  v1::RestoreRequest item = Part("l", 0, true, 2);
  item.mutable_entry()->mutable_list()->mutable_items(1)->set_data("another");
  EXPECT_NE(digest, DigestOf({Begin(), Value("a"), item, End(2)}));
  v1::RestoreRequest expiring = Value("a");
  expiring.mutable_entry()->mutable_expires_at()->set_seconds(2'000'000'000);
  EXPECT_NE(digest, DigestOf({Begin(), expiring, Part("l", 0, true, 2), End(2)}));
}

TEST(RestoreCheckTest, TheDigestIsTheSameWhateverOrderAnObjectHasInMemory) {
  std::set<std::string> digests;
  for (int first = 0; first < 20; ++first) {
    v1::RestoreRequest frame;
    frame.mutable_entry()->set_key("a");
    auto& fields = *frame.mutable_entry()->mutable_value()->mutable_struct_value()->mutable_fields();
    for (int i = 0; i < 20; ++i) fields[absl::StrCat("field", (first + i) % 20)].set_number_value((first + i) % 20);
    digests.insert(DigestOf({Begin(), frame, End(1)}));
  }
  EXPECT_EQ(digests.size(), 1u);
}

TEST(RestoreCheckTest, AListThatIsTooLongIsRefusedByItsEntry) {
  CacheLimits limits;
  limits.list_length = 1500;
  RestoreCheck check(limits);
  ASSERT_TRUE(check.Take(Begin()).ok());
  ASSERT_TRUE(check.Take(Part("l", 0, false, 1000)).ok());
  const absl::Status status = check.Take(Part("l", 1000, true, 501));
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_LIMIT_EXCEEDED);
  EXPECT_EQ(MetadataOf(status)["limit"], "cache_list_length");
  EXPECT_EQ(MetadataOf(status)["entry"], "1");
  EXPECT_EQ(MetadataOf(status)["key"], "l");
}

TEST(RestoreCheckTest, ListsMayHaveManyPartsAndAnEmptyLastOne) {
  EXPECT_FALSE(
      DigestOf({Begin(), Part("l", 0, false, 2), Part("l", 2, true, 0), Part("l", 0, true, 1), End(3)}).empty());
}

TEST(RestoreParserTest, PartsKnowWhereTheirListBegins) {
  RestoreParser parser;
  const std::vector<v1::RestoreRequest> frames = {Value("a"), Part("l", 0, false, 2), Part("l", 2, true, 1),
                                                  Part("m", 0, true, 1)};
  std::vector<int64_t> first;
  for (size_t i = 0; i < frames.size(); ++i) {
    const auto entry = parser.Parse(frames[i].entry(), static_cast<int64_t>(i));
    ASSERT_TRUE(entry.ok());
    if (const auto* part = std::get_if<CacheRestorer::ListPart>(&entry->what)) first.push_back(part->first_entry);
  }
  EXPECT_EQ(first, (std::vector<int64_t>{1, 1, 3}));
}

TEST(RestoreSpoolTest, TextsComeBackInTheirOrderWithinBounds) {
  RestoreDisk disk(testing::TempDir(), 100 << 20);
  auto spool = RestoreSpool::Create(disk);
  ASSERT_TRUE(spool.ok()) << spool.status();
  std::vector<std::string> written;
  for (int i = 0; i < 300; ++i) written.push_back(std::string(static_cast<size_t>(i) * 37, 'a' + i % 26));
  for (const std::string& text : written) ASSERT_TRUE((*spool)->Append(text).ok());
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE((*spool)->Rewind().ok());
    std::vector<std::string> read;
    while (true) {
      const auto texts = (*spool)->Read(7, 20'000);
      ASSERT_TRUE(texts.ok()) << texts.status();
      if (texts->empty()) break;
      ASSERT_LE(texts->size(), 7u);
      size_t bytes = 0;
      for (const std::string& text : *texts) bytes += text.size();
      ASSERT_LT(bytes, 20'000u + 300 * 37);
      read.insert(read.end(), texts->begin(), texts->end());
    }
    EXPECT_EQ(read, written);
  }
}

TEST(RestoreSpoolTest, AllSpoolsShareTheRoomAndGiveItBack) {
  RestoreDisk disk(testing::TempDir(), 1000);
  auto one = RestoreSpool::Create(disk);
  auto two = RestoreSpool::Create(disk);
  ASSERT_TRUE(one.ok() && two.ok());
  ASSERT_TRUE((*one)->Append(std::string(600, 'x')).ok());
  const absl::Status full = (*two)->Append(std::string(600, 'x'));
  EXPECT_EQ(ReasonOf(full), v1::ERROR_REASON_LIMIT_EXCEEDED);
  EXPECT_EQ(MetadataOf(full)["limit"], "restore_bytes");
  *one = nullptr;
  EXPECT_TRUE((*two)->Append(std::string(600, 'x')).ok());
}

TEST(RestoreSpoolTest, ADirectoryThatIsNotThereIsAnError) {
  RestoreDisk disk("/nonexistent", 1000);
  EXPECT_TRUE(absl::IsInternal(RestoreSpool::Create(disk).status()));
}

}  // namespace
}  // namespace actioncluster

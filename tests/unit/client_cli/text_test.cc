#include "client/cli/text.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/string_view.h"
#include "actioncluster/json.h"

namespace actioncluster::cli {
namespace {

TEST(EscapeTest, LeavesPrintableTextAlone) {
  for (const absl::string_view text : {"plain", "", "a b~!\\", "größer", "日本語", "🎉", "e\xcc\x81"}) {
    EXPECT_EQ(Escape(text), text);
  }
}

TEST(EscapeTest, ShowsControlCharactersAsJsonDoes) {
  EXPECT_EQ(Escape("a\nb\rc\td"), "a\\nb\\rc\\td");
  EXPECT_EQ(Escape("\x1b[31mred"), "\\u001b[31mred");
  EXPECT_EQ(Escape(absl::string_view("\0\x7f", 2)), "\\u0000\\u007f");
  EXPECT_EQ(Escape("\xc2\x9b"), "\\u009b");      // A CSI of 8 bits.
  EXPECT_EQ(Escape("\xe2\x80\xae"), "\\u202e");  // From right to left, from here on.
  EXPECT_EQ(Escape("\xe2\x80\xa8\xe2\x81\xa6"), "\\u2028\\u2066");
  EXPECT_EQ(Escape("\xf3\xa0\x81\x81"), "\\udb40\\udc41");  // A tag, which nobody sees.
}

TEST(EscapeTest, ShowsBytesThatAreNoUtf8) {
  EXPECT_EQ(Escape("\xff"
                   "a"),
            "\\xffa");
  EXPECT_EQ(Escape("\xe2\x80"), "\\xe2\\x80");  // Cut.
  EXPECT_EQ(Escape("\xc0\x8a"), "\\xc0\\x8a");  // A line's end in two bytes too many.
  EXPECT_EQ(Escape("\xe0\x82\x9b"), "\\xe0\\x82\\x9b");
  EXPECT_EQ(Escape("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // Half of a pair.
  EXPECT_EQ(Escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(EscapeTest, JsonStaysTheSameJson) {
  const auto value = client::ParseJson("\"a\xe2\x80\xae\xc2\x85\xf3\xa0\x81\x81\"");
  ASSERT_TRUE(value.ok()) << value.status();
  const auto again = client::ParseJson(Escape(client::ToJson(*value)));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->string_value(), value->string_value());
}

TEST(DisplayWidthTest, CountsTheCellsOfATerminal) {
  EXPECT_EQ(DisplayWidth(""), 0u);
  EXPECT_EQ(DisplayWidth("größer"), 6u);
  EXPECT_EQ(DisplayWidth("日本"), 4u);
  EXPECT_EQ(DisplayWidth("🎉"), 2u);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1u);
}

TEST(TableTest, AlignsColumnsByWhatIsSeen) {
  Table table({"NAME", "STATE", "X"});
  table.Add({"日本", "ready", "1"});
  table.Add({"größer", "", ""});
  EXPECT_EQ(table.Format(),
            "NAME    STATE  X\n"
            "日本    ready  1\n"
            "größer\n");
}

TEST(TableTest, ACellCannotForgeALine) {
  Table table({"A", "B"});
  table.Add({"x\nadmin  yes", "\x1b[2K"});
  EXPECT_EQ(table.Format(),
            "A              B\n"
            "x\\nadmin  yes  \\u001b[2K\n");
}

TEST(TableTest, WithoutRowsHasItsHeadings) { EXPECT_EQ(Table({"A", "B"}).Format(), "A  B\n"); }

TEST(CellTest, IsFilledAndNeverCut) {
  EXPECT_EQ(Cell("ab", 4), "ab  ");
  EXPECT_EQ(Cell("abcde", 4), "abcde");
  EXPECT_EQ(Cell("\n", 4), "\\n  ");
}

}  // namespace
}  // namespace actioncluster::cli

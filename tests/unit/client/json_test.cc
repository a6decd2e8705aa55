#include "actioncluster/json.h"

#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster::client {
namespace {

using ::testing::HasSubstr;

// What is read is written like this.
std::string Again(absl::string_view text) {
  const absl::StatusOr<google::protobuf::Value> value = ParseJson(text);
  return value.ok() ? ToJson(*value) : std::string(value.status().message());
}

absl::StatusCode CodeOf(absl::string_view text) { return ParseJson(text).status().code(); }

std::string Nested(int levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(ClientJsonTest, EveryKindKeepsItsShape) {
  for (const char* text : {"null", "true", "false", "0", "-1", "3.25", "\"\"", "\"hi\"", "[]", "{}", "[[],{},null]",
                           R"({"a":[1,2,{"b":null}],"c":"d"})"}) {
    EXPECT_EQ(Again(text), text);
  }
}

TEST(ClientJsonTest, SpaceIsAllowedAndNotWritten) {
  EXPECT_EQ(Again(" \t\r\n{ \"b\" : [ 1 , 2 ] ,\n \"a\" : { } } "), R"({"a":{},"b":[1,2]})");
}

TEST(ClientJsonTest, IntegersUpTo2To53HaveNoPoint) {
  EXPECT_EQ(Again("9007199254740992"), "9007199254740992");
  EXPECT_EQ(Again("-9007199254740992"), "-9007199254740992");
  EXPECT_EQ(Again("1e15"), "1000000000000000");
  EXPECT_EQ(Again("-0"), "0");
}

TEST(ClientJsonTest, OtherNumbersReadBackAsThemselves) {
  for (const double number : {0.1, 1.0 / 3, 1e300, -2.5e-308, 5e-324, 1.7976931348623157e308, 9007199254740994.0}) {
    const absl::StatusOr<google::protobuf::Value> again = ParseJson(ToJson(ToValue(number)));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->number_value(), number);
  }
  EXPECT_EQ(ToJson(ToValue(0.1)), "0.1");
}

TEST(ClientJsonTest, WhatIsNoNumberInJsonIsWrittenAsNull) {
  EXPECT_EQ(ToJson(ToValue(std::numeric_limits<double>::quiet_NaN())), "null");
  EXPECT_EQ(ToJson(ToValue(std::numeric_limits<double>::infinity())), "null");
  EXPECT_EQ(ToJson(google::protobuf::Value()), "null");
}

TEST(ClientJsonTest, EscapesAreReadAndControlCharactersEscaped) {
  EXPECT_EQ(ParseJson(R"("\"\\\/\b\f\n\r\t\u00e4\u20AC\ud83d\udc4b")")->string_value(), "\"\\/\b\f\n\r\tä€👋");
  EXPECT_EQ(Again(R"("\u0000\u0001\u001f\n\"\\")"), R"("\u0000\u0001\u001f\n\"\\")");
  EXPECT_EQ(Again("\"</ä€👋\""), "\"</ä€👋\"");
}

TEST(ClientJsonTest, WhatIsNoJsonIsRefused) {
  for (const char* text : {"",
                           " ",
                           "nul",
                           "nulll",
                           "True",
                           "{a:1}",
                           "'a'",
                           "[1,]",
                           "[,1]",
                           "{\"a\"}",
                           "{\"a\":",
                           "{,}",
                           "{\"a\":1,}",
                           "[1 2]",
                           "[1",
                           "]",
                           "01",
                           "-",
                           "+1",
                           ".5",
                           "1.",
                           "1e",
                           "1e+",
                           "0x10",
                           "NaN",
                           "1e999",
                           "\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\n\"",
                           "1 2",
                           "[] []",
                           "\"\xff\"",
                           "\"\xed\xa0\x80\"",
                           "// comment\n1"}) {
    EXPECT_EQ(CodeOf(text), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(CodeOf(absl::string_view("1\0", 2)), absl::StatusCode::kInvalidArgument);
}

TEST(ClientJsonTest, ItSaysWhatIsWrongAndWhere) {
  EXPECT_THAT(Again("[1, 2"),
              HasSubstr("line 1, column 6: syntax error while parsing array - unexpected end of input"));
  EXPECT_THAT(Again("{\"a\":\n hi}"),
              HasSubstr("line 2, column 2: syntax error while parsing value - invalid literal"));
}

TEST(ClientJsonTest, WhatIsNestedDeeperThanNodesTakeIsRefused) {
  EXPECT_EQ(Again(Nested(33)), Nested(33));
  EXPECT_EQ(CodeOf(Nested(34)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(std::string(1'000'000, '[')), absl::StatusCode::kInvalidArgument);
}

TEST(ClientJsonTest, OfTwoFieldsWithOneNameTheLastCounts) { EXPECT_EQ(Again(R"({"a":1,"a":2})"), R"({"a":2})"); }

TEST(ClientJsonTest, ArgumentsAreAnArray) {
  EXPECT_EQ(ToJson(*ParseArgs(R"(["hi", 3])")), R"(["hi",3])");
  for (const char* text : {"{}", "1", "null", "\"hi\"", "[", ""}) {
    EXPECT_EQ(ParseArgs(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ClientJsonTest, ArgumentsAreMadeOfWhatIsGiven) {
  const std::string text = "text";
  EXPECT_EQ(ToJson(Args("hi", text, absl::string_view("view"), 3, int64_t{4}, 2.5, true, *ParseJson("[null]"))),
            R"(["hi","text","view",3,4,2.5,true,[null]])");
  EXPECT_EQ(ToJson(Args(size_t{1}, 2u, 3LL, 1.5f, char{4})), "[1,2,3,1.5,4]");
  EXPECT_EQ(ToJson(Args()), "[]");
}

}  // namespace
}  // namespace actioncluster::client

#include "backplane/redis/reply.h"

#include <string>

#include "absl/status/status.h"
#include "backplane/redis/reply_reader.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster::redis {
namespace {

using testing::HasSubstr;

Reply Read(absl::string_view wire) {
  ReplyReader reader;
  reader.Feed(wire);
  auto reply = reader.Next();
  EXPECT_TRUE(reply.ok() && reply->has_value());
  return **std::move(reply);
}

TEST(ReplyTest, StringsAreBulkOrSimple) {
  EXPECT_EQ(*Read("+OK\r\n").view().String(), "OK");
  EXPECT_EQ(*Read(absl::string_view("$3\r\na\0b\r\n", 9)).view().String(), std::string("a\0b", 3));
}

TEST(ReplyTest, NumbersAreNumbersOrStringsThatAre) {
  EXPECT_EQ(*Read(":-5\r\n").view().Integer(), -5);
  EXPECT_EQ(*Read("$19\r\n9223372036854775807\r\n").view().Integer(), 9223372036854775807);
  EXPECT_TRUE(absl::IsInternal(Read("$19\r\n9223372036854775808\r\n").view().Integer().status()));
  EXPECT_TRUE(absl::IsInternal(Read("$1\r\nx\r\n").view().Integer().status()));
}

TEST(ReplyTest, ElementsPastTheEndAndOfWhatIsNoArrayAreNil) {
  const Reply reply = Read("*2\r\n:1\r\n*1\r\n+x\r\n");
  EXPECT_EQ(reply.view().size(), 2u);
  EXPECT_EQ(*reply.view()[1][0].String(), "x");
  EXPECT_TRUE(reply.view()[2].is_nil());
  EXPECT_TRUE(reply.view()[0][7].is_nil());
  EXPECT_TRUE(reply.view()[9][9][9].is_nil());
  EXPECT_EQ(reply.view()[0].size(), 0u);
}

TEST(ReplyTest, NilIsNeitherStringNorNumber) {
  for (const char* wire : {"$-1\r\n", "*-1\r\n"}) {
    const Reply reply = Read(wire);
    EXPECT_TRUE(reply.view().is_nil());
    EXPECT_FALSE(reply.view().is_array());
    EXPECT_FALSE(reply.view().is_error());
    EXPECT_EQ(reply.view().error(), "");
    EXPECT_THAT(std::string(reply.view().String().status().message()), HasSubstr("nil"));
    EXPECT_TRUE(absl::IsInternal(reply.view().Integer().status()));
  }
}

TEST(ReplyTest, TheWrongTypeSaysWhatCameInstead) {
  EXPECT_THAT(std::string(Read(":1\r\n").view().String().status().message()), HasSubstr("a number"));
  EXPECT_THAT(std::string(Read("*1\r\n:1\r\n").view().Integer().status().message()), HasSubstr("an array of 1"));
  EXPECT_THAT(std::string(Read("$6\r\nsecret\r\n").view().Integer().status().message()),
              testing::AllOf(HasSubstr("a string of 6 bytes"), testing::Not(HasSubstr("secret"))));
}

TEST(ReplyTest, AnErrorIsItsText) {
  const Reply reply = Read("-NOSCRIPT No matching script\r\n");
  EXPECT_TRUE(reply.view().is_error());
  EXPECT_EQ(reply.view().error(), "NOSCRIPT No matching script");
  EXPECT_THAT(std::string(reply.view().String().status().message()), HasSubstr("NOSCRIPT"));
}

}  // namespace
}  // namespace actioncluster::redis

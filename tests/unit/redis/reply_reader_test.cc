#include "backplane/redis/reply_reader.h"

#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace actioncluster::redis {
namespace {

// One of each, nested, with line ends inside.
constexpr absl::string_view kReplies =
    "+OK\r\n:42\r\n$4\r\na\r\nb\r\n$-1\r\n*-1\r\n*0\r\n-ERR no\r\n*2\r\n*1\r\n$0\r\n\r\n:7\r\n";
constexpr size_t kReplyCount = 8;

std::string Show(ReplyView reply) {
  if (reply.is_nil()) return "nil";
  if (reply.is_error()) return absl::StrCat("!", reply.error());
  if (reply.is_array()) {
    std::string all = "[";
    for (size_t i = 0; i < reply.size(); ++i) absl::StrAppend(&all, Show(reply[i]), ";");
    return all + "]";
  }
  return std::string(reply.String().value_or(absl::StrCat(reply.Integer().value_or(-1))));
}

// Feeds the parts and returns what came; the last is "garbled" if the reader gave up.
std::vector<std::string> ReadAll(const std::vector<absl::string_view>& parts) {
  ReplyReader reader;
  std::vector<std::string> replies;
  for (const absl::string_view part : parts) {
    reader.Feed(part);
    while (true) {
      const auto reply = reader.Next();
      if (!reply.ok()) {
        EXPECT_TRUE(absl::IsInternal(reply.status()));
        EXPECT_FALSE(reader.Next().ok()) << "for good";
        replies.push_back("garbled");
        return replies;
      }
      if (!reply->has_value()) break;
      replies.push_back(Show((*reply)->view()));
    }
  }
  return replies;
}

TEST(ReplyReaderTest, BytesMayBeSplitAnywhere) {
  const std::vector<std::string> whole = ReadAll({kReplies});
  ASSERT_EQ(whole.size(), kReplyCount);
  for (size_t i = 0; i <= kReplies.size(); ++i) {
    for (size_t j = i; j <= kReplies.size(); ++j) {
      ASSERT_EQ(ReadAll({kReplies.substr(0, i), kReplies.substr(i, j - i), kReplies.substr(j)}), whole)
          << i << " " << j;
    }
  }
}

TEST(ReplyReaderTest, ByteByByteIsTheSame) {
  std::vector<absl::string_view> bytes;
  for (size_t i = 0; i < kReplies.size(); ++i) bytes.push_back(kReplies.substr(i, 1));
  EXPECT_EQ(ReadAll(bytes), ReadAll({kReplies}));
}

TEST(ReplyReaderTest, ManyAndLargeRepliesComeWhole) {
  const std::string large(3 << 20, 'x');
  std::string wire;
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&wire, ":", i, "\r\n");
  absl::StrAppend(&wire, "$", large.size(), "\r\n", large, "\r\n");
  const std::vector<std::string> replies = ReadAll({wire});
  ASSERT_EQ(replies.size(), 5001u);
  EXPECT_EQ(replies[4999], "4999");
  EXPECT_EQ(replies[5000], large);
}

TEST(ReplyReaderTest, WhatIsNotRedisIsAnError) {
  for (const absl::string_view wire :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "?\r\n", ":12x\r\n", ":99999999999999999999\r\n", "$x\r\n", "$-2\r\n",
        "*-2\r\n", "*2147483648\r\n", "*2147483647\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"}) {
    const std::vector<std::string> replies = ReadAll({wire});
    EXPECT_EQ(replies, std::vector<std::string>{"garbled"}) << wire;
  }
}

TEST(ReplyReaderTest, RandomDamageNeverCrashes) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string wire(kReplies);
    for (int damage = 0; damage < 3; ++damage) wire[random() % wire.size()] = "*$+-:0129\r\nx"[random() % 12];
    ReadAll({wire});
  }
}

}  // namespace
}  // namespace actioncluster::redis

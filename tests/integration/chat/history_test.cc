#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/chat/chat_node.h"

// What is said in rooms, and what of it is kept; on a single Redis and on a cluster of one.
namespace actioncluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class HistoryTest : public testing::TestWithParam<bool> {
 protected:
  uint64_t Say(const std::string& room, const std::string& body) { return a_.Say(room, body).value().offset; }
  static std::vector<std::string> Bodies(const RoomStore::History& history) {
    std::vector<std::string> bodies;
    for (const RoomPast& past : history.sayings) bodies.push_back(past.saying.content.body);
    return bodies;
  }
  // An entry that is no node's.
  void Forge(uint64_t offset, const std::string& sealed) {
    redis_.Command({"XADD", keys_.RoomHistory("lobby"), absl::StrCat(offset, "-0"), "m", sealed, "p", "0"});
  }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(GetParam());
  const Keys keys_{fakes::kNamespace};
  ChatNode a_{redis_, "aaaaaaaaaaaaaaaa"};
  ChatNode b_{redis_, "bbbbbbbbbbbbbbbb"};
};

INSTANTIATE_TEST_SUITE_P(Redis, HistoryTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Cluster" : "Single"; });

TEST_P(HistoryTest, WhatIsSaidIsHeardInOrderEverywhereAlsoWhereItWasSaid) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10'000)).ok());
  for (ChatNode* node : {&a_, &b_}) ASSERT_TRUE(node->Want("lobby").ok());
  constexpr int kSayings = 1000;
  std::vector<std::string> bodies;
  for (int i = 0; i < kSayings; ++i) bodies.push_back(absl::StrCat(i));
  const fakes::Waiter<absl::StatusOr<RoomSaid>> said = a_.StartSaying("lobby", bodies);
  uint64_t last = 0;
  for (int i = 0; i < kSayings; ++i) {
    const RoomSaid one = said.Next().value();
    EXPECT_EQ(one.receivers, 2);
    EXPECT_GT(one.offset, last);
    last = one.offset;
    for (ChatNode* node : {&a_, &b_}) {
      const ChatNode::Heard heard = node->Next();
      ASSERT_EQ(heard.what, "said");
      ASSERT_EQ(heard.body, bodies[i]);
      EXPECT_EQ(heard.room, "lobby");
      EXPECT_EQ(heard.from, "x");
      EXPECT_EQ(heard.offset, one.offset);
    }
  }
  const RoomStore::History history = b_.ReadHistory("lobby", 0, kSayings).value();
  EXPECT_EQ(Bodies(history), bodies);
  EXPECT_EQ(history.sayings.back().offset, last);
  EXPECT_EQ(history.sayings.back().saying.from, "x");
  EXPECT_GT(history.sayings.back().sent_at, absl::Now() - absl::Minutes(1));
}

TEST_P(HistoryTest, ARoomWithoutAHistoryKeepsNothing) {
  ASSERT_TRUE(a_.Create("lobby").ok());
  ASSERT_TRUE(b_.Want("lobby").ok());
  const RoomSaid said = a_.Say("lobby", "hello").value();
  EXPECT_EQ(said.offset, 0u);
  EXPECT_EQ(said.receivers, 1);
  const ChatNode::Heard heard = b_.Next();
  EXPECT_EQ(heard.body, "hello");
  EXPECT_EQ(heard.offset, 0u);
  EXPECT_THAT(a_.ReadHistory("lobby", 0)->sayings, IsEmpty());
  EXPECT_EQ(*redis_.Command({"EXISTS", keys_.RoomHistory("lobby")}).view().Integer(), 0);
}

TEST_P(HistoryTest, OffsetsGrowEvenWhereTheClockDoesNot) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  const uint64_t first = Say("lobby", "1");
  const uint64_t ahead = first + 3'600'000'000;
  redis_.Command({"HSET", keys_.RoomInfo("lobby"), "last", absl::StrCat(ahead)});
  EXPECT_EQ(Say("lobby", "2"), ahead + 1);
  EXPECT_EQ(Say("lobby", "3"), ahead + 2);
  const absl::StatusOr<RoomStore::Joined> joined = a_.Join("lobby", "x");
  EXPECT_EQ(joined->joined_at_us, static_cast<int64_t>(ahead + 2)) << "it has come after what was said";
  EXPECT_TRUE(a_.ReadHistory("lobby", joined->joined_at_us)->complete);
}

TEST_P(HistoryTest, WhoComesInHearsAllThatIsSaidFromThenOnWhateverTheClockDoes) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  const absl::StatusOr<RoomStore::Joined> joined = a_.Join("lobby", "x");
  const redis::Reply last = redis_.Command({"HGET", keys_.RoomInfo("lobby"), "last"});
  EXPECT_EQ(*last.view().Integer(), joined->joined_at_us) << "the next offset is later";
}

TEST_P(HistoryTest, WhatCameAfterAnOffsetIsRead) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  std::vector<uint64_t> offsets;
  for (const std::string body : {"1", "2", "3"}) offsets.push_back(Say("lobby", body));
  const RoomStore::History history = b_.ReadHistory("lobby", offsets[0]).value();
  EXPECT_THAT(Bodies(history), ElementsAre("2", "3"));
  EXPECT_TRUE(history.complete);
  EXPECT_FALSE(history.more);
  EXPECT_EQ(history.sayings[0].offset, offsets[1]);
  for (const uint64_t offset : {offsets[2], offsets[2] + 1, ~uint64_t{0}}) {
    const RoomStore::History none = b_.ReadHistory("lobby", offset).value();
    EXPECT_THAT(none.sayings, IsEmpty());
    EXPECT_TRUE(none.complete);
    EXPECT_FALSE(none.more);
  }
}

TEST_P(HistoryTest, AHistoryKeepsTheLastSoMany) {
  const absl::Time created = a_.Create("lobby", WithHistory(3)).value();
  const uint64_t before = static_cast<uint64_t>(absl::ToUnixMicros(created));
  EXPECT_TRUE(a_.ReadHistory("lobby", before)->complete);
  std::vector<uint64_t> offsets;
  for (int i = 0; i < 3; ++i) offsets.push_back(Say("lobby", absl::StrCat(i)));
  EXPECT_TRUE(a_.ReadHistory("lobby", before)->complete) << "nothing is dropped yet";
  EXPECT_FALSE(a_.ReadHistory("lobby", before - 1)->complete) << "from before the room was made";
  for (int i = 3; i < 5; ++i) offsets.push_back(Say("lobby", absl::StrCat(i)));
  EXPECT_THAT(Bodies(a_.ReadHistory("lobby", 0).value()), ElementsAre("2", "3", "4"));
  EXPECT_FALSE(a_.ReadHistory("lobby", before)->complete);
  EXPECT_FALSE(a_.ReadHistory("lobby", offsets[0])->complete);
  EXPECT_FALSE(a_.ReadHistory("lobby", offsets[1] - 1)->complete);
  EXPECT_TRUE(a_.ReadHistory("lobby", offsets[1])->complete) << "the last that is dropped was seen";
  EXPECT_TRUE(a_.ReadHistory("lobby", offsets[2])->complete);
  // More at once than it keeps.
  const fakes::Waiter<absl::StatusOr<RoomSaid>> said = a_.StartSaying("lobby", {"5", "6", "7", "8", "9", "10", "11"});
  for (int i = 0; i < 7; ++i) offsets.push_back(said.Next().value().offset);
  EXPECT_THAT(Bodies(a_.ReadHistory("lobby", 0).value()), ElementsAre("9", "10", "11"));
  EXPECT_FALSE(a_.ReadHistory("lobby", offsets[7])->complete);
  EXPECT_TRUE(a_.ReadHistory("lobby", offsets[8])->complete);
}

TEST_P(HistoryTest, AHistoryForgetsWithTime) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(100, absl::Milliseconds(100))).ok());
  const uint64_t first = Say("lobby", "1");
  const uint64_t second = Say("lobby", "2");
  const absl::Time give_up = MonotonicNow() + fakes::kPatience;
  while (!a_.ReadHistory("lobby", 0)->sayings.empty()) ASSERT_LT(MonotonicNow(), give_up);
  EXPECT_EQ(*redis_.Command({"XLEN", keys_.RoomHistory("lobby")}).view().Integer(), 0);
  EXPECT_FALSE(a_.ReadHistory("lobby", first)->complete);
  EXPECT_TRUE(a_.ReadHistory("lobby", second)->complete);
  const uint64_t third = Say("lobby", "3");
  EXPECT_GT(third, second);
  EXPECT_FALSE(a_.ReadHistory("lobby", first)->complete);
  EXPECT_TRUE(a_.ReadHistory("lobby", second)->complete);
}

TEST_P(HistoryTest, SayingSomethingForgetsWhatIsTooOld) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(100, absl::Minutes(1))).ok());
  Forge(static_cast<uint64_t>(absl::ToUnixMicros(absl::Now() - absl::Minutes(2))), "old");
  Say("lobby", "1");
  EXPECT_EQ(*redis_.Command({"XLEN", keys_.RoomHistory("lobby")}).view().Integer(), 1);
}

TEST_P(HistoryTest, ARoomThatIsMadeAgainIsNotTakenForTheOneBefore) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  const uint64_t before = Say("lobby", "1");
  ASSERT_TRUE(a_.Destroy("lobby").ok());
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  EXPECT_FALSE(a_.ReadHistory("lobby", before)->complete);
  const uint64_t after = Say("lobby", "2");
  EXPECT_GT(after, before);
  const RoomStore::History history = a_.ReadHistory("lobby", before).value();
  EXPECT_FALSE(history.complete);
  EXPECT_THAT(Bodies(history), ElementsAre("2"));
}

TEST_P(HistoryTest, ALongHistoryComesInPagesByNumberAndBySize) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(1000)).ok());
  std::vector<std::string> bodies;
  for (int i = 0; i < 40; ++i) bodies.push_back(absl::StrCat(i));
  for (const std::string& body : bodies) Say("lobby", body);
  const RoomStore::History page = a_.ReadHistory("lobby", 0, 17).value();
  EXPECT_THAT(page.sayings, SizeIs(17));
  EXPECT_TRUE(page.more);
  const RoomStore::History rest = a_.ReadHistory("lobby", page.sayings.back().offset, 23).value();
  EXPECT_THAT(rest.sayings, SizeIs(23));
  EXPECT_FALSE(rest.more);
  EXPECT_TRUE(rest.complete);
  EXPECT_EQ(rest.sayings.front().saying.content.body, "17");

  const std::string large(700'000, 'x');
  uint64_t offset = rest.sayings.back().offset;
  for (int i = 0; i < 3; ++i) Say("lobby", large);
  for (int i = 0; i < 3; ++i) {
    const RoomStore::History one = a_.ReadHistory("lobby", offset).value();
    ASSERT_THAT(one.sayings, SizeIs(1)) << i;
    EXPECT_EQ(one.more, i < 2);
    offset = one.sayings.back().offset;
  }
}

TEST_P(HistoryTest, ForgedEntriesAreLeftOut) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(1000)).ok());
  ASSERT_TRUE(a_.Create("other", WithHistory(1000)).ok());
  Say("other", "in the other room");
  const redis::Reply others = redis_.Command({"XRANGE", keys_.RoomHistory("other"), "-", "+"});
  const std::string moved(*others.view()[0][1][1].String());
  const uint64_t first = Say("lobby", "1");
  Forge(first + 1, "garbage");
  Forge(first + 2, moved);
  Forge(first + 3, "");
  redis_.Command({"XADD", keys_.RoomHistory("lobby"), absl::StrCat(first + 4, "-7"), "q", "x"});
  for (uint64_t i = 5; i < 100; ++i) Forge(first + i, "garbage");
  redis_.Command({"HSET", keys_.RoomInfo("lobby"), "last", absl::StrCat(first + 100)});
  const uint64_t second = Say("lobby", "2");
  for (const int limit : {1, 3, 1000}) {
    const RoomStore::History history = b_.ReadHistory("lobby", first, limit).value();
    EXPECT_THAT(Bodies(history), ElementsAre("2")) << limit;
    EXPECT_EQ(history.sayings[0].offset, second);
    EXPECT_TRUE(history.complete);
    EXPECT_FALSE(history.more);
  }
  EXPECT_THAT(Bodies(b_.ReadHistory("lobby", 0, 1).value()), ElementsAre("1"));
}

TEST_P(HistoryTest, WhatIsTooLargeIsRefusedAlone) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  const fakes::Waiter<absl::StatusOr<RoomSaid>> said =
      a_.StartSaying("lobby", {"1", std::string(kMaxSealedBytes, 'x'), "2"});
  int ok = 0;
  for (int i = 0; i < 3; ++i) {
    const absl::StatusOr<RoomSaid> one = said.Next();
    ok += one.ok() ? 1 : 0;
    EXPECT_TRUE(one.ok() || ReasonOf(one.status()) == v1::ERROR_REASON_LIMIT_EXCEEDED) << one.status();
  }
  EXPECT_EQ(ok, 2);
  EXPECT_THAT(Bodies(a_.ReadHistory("lobby", 0).value()), ElementsAre("1", "2"));
  EXPECT_EQ(ReasonOf(a_.Say("lobby", std::string(kMaxSealedBytes, 'x')).status()), v1::ERROR_REASON_LIMIT_EXCEEDED);
}

TEST_P(HistoryTest, ManySayingsTakeFewScripts) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  const auto scripts = [&] {
    const redis::Reply reply = redis_.Command({"INFO", "commandstats"});
    const std::string text(*reply.view().String());
    const size_t at = text.find("cmdstat_evalsha:calls=");
    return at == std::string::npos ? 0 : std::stoll(text.substr(at + 22));
  };
  const long long before = scripts();
  const fakes::Waiter<absl::StatusOr<RoomSaid>> said = a_.StartSaying("lobby", std::vector<std::string>(1000, "x"));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(said.Next().ok());
  EXPECT_EQ(scripts() - before, 5) << "the first, and three full batches, and the rest";
}

}  // namespace
}  // namespace actioncluster

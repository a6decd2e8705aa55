#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/chat/chat_node.h"

// Rooms and who is in them, as Redis keeps them; on a single Redis and on a cluster of one.
namespace actioncluster {
namespace {

using internal::v1::RoomChange;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class RoomsTest : public testing::TestWithParam<bool> {
 protected:
  int64_t KeyCount() { return *redis_.Command({"DBSIZE"}).view().Integer(); }
  int64_t Number(const std::vector<std::string>& command) { return *redis_.Command(command).view().Integer(); }
  static std::vector<std::string> NamesOf(const RoomStore::RoomPage& page) {
    std::vector<std::string> names;
    for (const RoomView& room : page.rooms) names.push_back(room.room);
    return names;
  }
  std::vector<std::pair<std::string, int64_t>> Counts(const std::string& room) {
    return a_.Read(room).value().members_by_boot;
  }

  fakes::RedisServer& redis_ = fakes::EmptyRedis(GetParam());
  const Keys keys_{fakes::kNamespace};
  ChatNode a_{redis_, "aaaaaaaaaaaaaaaa"};
  ChatNode b_{redis_, "bbbbbbbbbbbbbbbb"};
};

INSTANTIATE_TEST_SUITE_P(Redis, RoomsTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Cluster" : "Single"; });

TEST_P(RoomsTest, ARoomIsMadeOnceAndIsAsItWasMade) {
  internal::v1::RoomRecord record = WithHistory(7, absl::Minutes(1));
  record.add_required_hooks("join");
  const absl::Time before = absl::Now() - absl::Seconds(1);
  const absl::StatusOr<absl::Time> created = a_.Create("lobby", record);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_GT(*created, before);
  EXPECT_EQ(ReasonOf(b_.Create("lobby").status()), v1::ERROR_REASON_ROOM_EXISTS);
  const absl::StatusOr<RoomView> view = b_.Read("lobby");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->room, "lobby");
  EXPECT_EQ(view->created_at, *created);
  EXPECT_EQ(view->record.SerializeAsString(), record.SerializeAsString());
  EXPECT_THAT(view->members_by_boot, IsEmpty());
}

TEST_P(RoomsTest, OfARoomThatIsNotThereNothingIsSaid) {
  EXPECT_EQ(ReasonOf(a_.Read("lobby").status()), v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a_.Destroy("lobby").status()), v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a_.Join("lobby", "x").status()), v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a_.Say("lobby", "hello").status()), v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a_.ReadHistory("lobby", 0).status()), v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_EQ(a_.Leave("lobby", {"x"}), 0);
  EXPECT_THAT(a_.Members("lobby"), IsEmpty());
  EXPECT_EQ(KeyCount(), 0);
}

TEST_P(RoomsTest, OfADestroyedRoomNothingIsLeft) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  ASSERT_TRUE(a_.Join("lobby", "x").ok());
  ASSERT_TRUE(b_.Join("lobby", "y").ok());
  ASSERT_TRUE(a_.Say("lobby", "hello").ok());
  EXPECT_EQ(b_.Destroy("lobby").value(), 2);
  EXPECT_EQ(ReasonOf(b_.Destroy("lobby").status()), v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_EQ(ReasonOf(a_.Say("lobby", "hello").status()), v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_THAT(NamesOf(b_.List()), IsEmpty());
  EXPECT_EQ(KeyCount(), 0);

  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  EXPECT_THAT(a_.Members("lobby"), IsEmpty());
  EXPECT_THAT(NamesOf(a_.List()), ElementsAre("lobby"));
}

TEST_P(RoomsTest, ARoomThatIsMadeHasNothingOfWhatIsLeftUnderItsName) {
  redis_.Command({"HSET", keys_.RoomMembers("lobby"), "ghost", absl::StrCat(a_.boot(), "x")});
  redis_.Command({"HSET", keys_.RoomBoots("lobby"), a_.boot(), "1"});
  redis_.Command({"XADD", keys_.RoomHistory("lobby"), "1-0", "m", "x", "p", "0"});
  ASSERT_TRUE(a_.Create("lobby", WithHistory(10)).ok());
  EXPECT_THAT(a_.Members("lobby"), IsEmpty());
  EXPECT_THAT(a_.Read("lobby")->members_by_boot, IsEmpty());
  EXPECT_EQ(*redis_.Command({"XLEN", keys_.RoomHistory("lobby")}).view().Integer(), 0);
}

TEST_P(RoomsTest, RoomsAreListedByNameInPages) {
  for (const std::string room : {"b", "a", "ab", "b/2", "b/1", "c", "b0"}) ASSERT_TRUE(a_.Create(room).ok());
  ASSERT_TRUE(a_.Join("b", "x").ok());
  const RoomStore::RoomPage all = b_.List();
  EXPECT_THAT(NamesOf(all), ElementsAre("a", "ab", "b", "b/1", "b/2", "b0", "c"));
  EXPECT_FALSE(all.more);
  EXPECT_EQ(all.last, "c");
  EXPECT_THAT(all.rooms[2].members_by_boot, ElementsAre(Pair(a_.boot(), 1)));
  EXPECT_THAT(NamesOf(b_.List("b/")), ElementsAre("b/1", "b/2"));
  EXPECT_THAT(NamesOf(b_.List("b", "b/1")), ElementsAre("b/2", "b0"));
  EXPECT_THAT(NamesOf(b_.List("x")), IsEmpty());

  std::vector<std::string> paged;
  RoomStore::RoomPage page;
  do {
    page = b_.List("", page.last, 3);
    for (const std::string& name : NamesOf(page)) paged.push_back(name);
  } while (page.more);
  EXPECT_EQ(paged, NamesOf(all));
}

TEST_P(RoomsTest, ANameThatIsLeftOfARoomIsFoundOutAndTakenOff) {
  for (const std::string room : {"a", "b", "c"}) ASSERT_TRUE(a_.Create(room).ok());
  redis_.Command({"DEL", keys_.RoomInfo("b")});
  const RoomStore::RoomPage page = a_.List("", "", 2);
  EXPECT_THAT(NamesOf(page), ElementsAre("a"));
  EXPECT_TRUE(page.more);
  EXPECT_EQ(page.last, "b");
  EXPECT_THAT(NamesOf(a_.List("", "b")), ElementsAre("c"));
  EXPECT_EQ(Number({"ZCARD", keys_.RoomNames()}), 2);
  EXPECT_EQ(Number({"HLEN", keys_.RoomStamps()}), 2);
}

TEST_P(RoomsTest, ANameThatWasPutThereAnewIsNotTakenOff) {
  ASSERT_TRUE(a_.Create("lobby").ok());
  const auto stamp = [&] {
    const redis::Reply reply = redis_.Command({"HGET", keys_.RoomStamps(), "lobby"});
    return std::string(*reply.view().String());
  };
  const auto unlist = [&](const std::string& seen) {
    return Number(
        {"EVAL", std::string(scripts::kRoomsUnlist.body), "2", keys_.RoomNames(), keys_.RoomStamps(), "lobby", seen});
  };
  // The last of what Create does.
  (void)a_.List();
  const std::string before = stamp();
  EXPECT_FALSE(a_.Create("lobby").ok());
  (void)a_.List();
  EXPECT_EQ(unlist(before), 0);
  EXPECT_EQ(unlist(""), 0);
  EXPECT_THAT(NamesOf(a_.List()), ElementsAre("lobby"));
  EXPECT_EQ(unlist(stamp()), 1);
}

TEST_P(RoomsTest, ANameThatIsPutThereAnewIsStampedLaterWhateverTheClockDoes) {
  const int64_t ahead = absl::ToUnixMicros(absl::Now() + absl::Hours(1));
  redis_.Command({"HSET", keys_.RoomStamps(), "lobby", absl::StrCat(ahead)});
  ASSERT_TRUE(a_.Create("lobby").ok());
  EXPECT_GT(Number({"HGET", keys_.RoomStamps(), "lobby"}), ahead);
}

TEST_P(RoomsTest, MembersComeWithAllThatIsKnownOfThem) {
  ASSERT_TRUE(a_.Create("lobby", WithHistory(3)).ok());
  internal::v1::RoomMemberRecord member = a_.Member("x");
  (*member.mutable_attributes())["name"] = std::string("a\0b", 3);
  const RoomStore::Joined joined = a_.Ask<RoomStore::Joined>([&](RoomStore& store, auto done) {
                                       store.Join("lobby", member, std::move(done));
                                     }).value();
  EXPECT_EQ(joined.record.history_messages(), 3u);
  EXPECT_GT(absl::FromUnixMicros(joined.joined_at_us), absl::Now() - absl::Minutes(1));
  const std::vector<internal::v1::RoomMemberRecord> members = b_.Members("lobby");
  ASSERT_THAT(members, SizeIs(1));
  member.set_joined_at_us(joined.joined_at_us);
  EXPECT_EQ(members[0].SerializeAsString(), member.SerializeAsString());
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(a_.boot(), 1)));
  EXPECT_EQ(a_.Leave("lobby", {"x"}), 1);
  EXPECT_THAT(a_.Members("lobby"), IsEmpty());
  EXPECT_THAT(Counts("lobby"), IsEmpty());
}

TEST_P(RoomsTest, AMemberIsThereOnceAndMoves) {
  ASSERT_TRUE(a_.Create("lobby").ok());
  const int64_t joined_at = a_.Join("lobby", "x")->joined_at_us;
  EXPECT_GT(a_.Join("lobby", "x")->joined_at_us, joined_at) << "it came in anew";
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(a_.boot(), 1)));
  ASSERT_TRUE(a_.Join("lobby", "y").ok());
  EXPECT_EQ(b_.Join("lobby", "x", joined_at)->joined_at_us, joined_at) << "it came back";
  EXPECT_THAT(Counts("lobby"), UnorderedElementsAre(Pair(a_.boot(), 1), Pair(b_.boot(), 1)));
  const std::vector<internal::v1::RoomMemberRecord> members = a_.Members("lobby");
  ASSERT_THAT(members, SizeIs(2));
  const internal::v1::RoomMemberRecord& moved = members[members[0].connection_id() == "x" ? 0 : 1];
  EXPECT_EQ(moved.boot_id(), b_.boot());
  EXPECT_EQ(moved.joined_at_us(), joined_at);
  EXPECT_EQ(b_.Join("lobby", "y")->record.history_messages(), 0u);
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(b_.boot(), 2)));
}

TEST_P(RoomsTest, WhoWasInARoomDoesNotComeBackToOneThatWasMadeAnewUnderItsName) {
  ASSERT_TRUE(a_.Create("lobby").ok());
  const int64_t joined_at = a_.Join("lobby", "x")->joined_at_us;
  ASSERT_TRUE(a_.Destroy("lobby").ok());
  const absl::StatusOr<absl::Time> created = a_.Create("lobby");
  ASSERT_TRUE(created.ok());
  EXPECT_EQ(ReasonOf(b_.Join("lobby", "x", joined_at).status()), v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_EQ(ReasonOf(b_.Join("lobby", "x", absl::ToUnixMicros(*created) - 1).status()),
            v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_THAT(a_.Members("lobby"), IsEmpty());
  EXPECT_THAT(a_.Read("lobby")->members_by_boot, IsEmpty());
  EXPECT_EQ(b_.Join("lobby", "x", absl::ToUnixMicros(*created))->joined_at_us, absl::ToUnixMicros(*created));
}

TEST_P(RoomsTest, OnlyTheBootThatHoldsAMemberTakesItOut) {
  ASSERT_TRUE(a_.Create("lobby").ok());
  for (const std::string id : {"x", "y", "z"}) ASSERT_TRUE(a_.Join("lobby", id).ok());
  ASSERT_TRUE(b_.Join("lobby", "y").ok());
  EXPECT_EQ(a_.Leave("lobby", {"y"}), 0);
  EXPECT_EQ(a_.Leave("lobby", {"x", "y", "z", "nobody"}), 2);
  EXPECT_EQ(a_.Leave("lobby", {"x", "y", "z"}), 0);
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(b_.boot(), 1)));
  EXPECT_EQ(b_.Leave("lobby", {}), 0);
  EXPECT_EQ(b_.Leave("lobby", {"y"}), 1);
  EXPECT_THAT(Counts("lobby"), IsEmpty());
}

TEST_P(RoomsTest, ManyMembersComeInPagesAndLeaveTogether) {
  constexpr size_t kMany = 700;
  ASSERT_TRUE(a_.Create("lobby").ok());
  const fakes::Waiter<absl::StatusOr<RoomStore::Joined>> joined;
  std::vector<std::string> ids;
  for (size_t i = 0; i < kMany; ++i) ids.push_back(absl::StrCat("x", i));
  (void)a_.Ask<RoomStore::Joined>([&](RoomStore& store, auto done) {
    for (const std::string& id : ids) store.Join("lobby", a_.Member(id), joined.Callback());
    store.Join("lobby", a_.Member("last"), std::move(done));
  });
  std::set<std::string> seen;
  for (const internal::v1::RoomMemberRecord& member : b_.Members("lobby")) seen.insert(member.connection_id());
  EXPECT_THAT(seen, SizeIs(kMany + 1));
  EXPECT_LT(b_.Ask<RoomStore::MemberPage>([](RoomStore& store, auto done) {
                store.Members("lobby", 0, std::move(done));
              })->members.size(),
            kMany);
  EXPECT_EQ(a_.Leave("lobby", ids), static_cast<int64_t>(kMany));
  EXPECT_THAT(b_.Members("lobby"), SizeIs(1));
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(a_.boot(), 1)));
}

TEST_P(RoomsTest, AnyTextNamesARoomAndAConnection) {
  const std::string odd = "a{b}c%\r\n\u00e4";
  ASSERT_TRUE(a_.Create(odd).ok());
  ASSERT_TRUE(a_.Create("a").ok());
  ASSERT_TRUE(a_.Join(odd, odd).ok());
  EXPECT_THAT(NamesOf(b_.List()), ElementsAre("a", odd));
  EXPECT_EQ(b_.Members(odd).at(0).connection_id(), odd);
  EXPECT_THAT(b_.Members("a"), IsEmpty());
  EXPECT_EQ(a_.Leave(odd, {odd}), 1);
}

TEST_P(RoomsTest, GarbageInRedisHarmsOnlyWhatItIsIn) {
  for (const std::string room : {"good", "bad", "worse"}) ASSERT_TRUE(a_.Create(room).ok());
  ASSERT_TRUE(a_.Join("good", "x").ok());
  redis_.Command({"HSET", keys_.RoomMembers("good"), "short", "s", "other", "aaaaaaaaaaaaaaaa", "garbled",
                  "aaaaaaaaaaaaaaaa\xff\xff"});
  redis_.Command({"HSET", keys_.RoomInfo("bad"), "record", "\xff"});
  redis_.Command({"HSET", keys_.RoomBoots("worse"), a_.boot(), "many"});
  EXPECT_THAT(a_.Members("good"), SizeIs(1));
  EXPECT_EQ(a_.Read("bad").status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(a_.Read("worse").status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(NamesOf(a_.List()), ElementsAre("good"));
  EXPECT_EQ(Number({"ZCARD", keys_.RoomNames()}), 3) << "they are there still";
  redis_.Command({"DEL", keys_.RoomInfo("bad")});
  redis_.Command({"SET", keys_.RoomInfo("bad"), "garbage"});
  EXPECT_FALSE(a_.Join("bad", "x").ok());
  EXPECT_FALSE(a_.Read("bad").ok());
}

}  // namespace
}  // namespace actioncluster

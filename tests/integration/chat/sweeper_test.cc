#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/chat/ghost_sweeper.h"
#include "backplane/domain/clock.h"
#include "backplane/membership/membership.h"
#include "backplane/presence/presence.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/chat/chat_node.h"

// What nodes that are gone leave behind, and who frees it.
namespace actioncluster {
namespace {

using internal::v1::RoomChange;
using internal::v1::RoomMemberRecord;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

constexpr absl::Duration kWindow = absl::Minutes(2);

// A node of the cluster, with connections and rooms; its sweeper runs from Sweep on.
class SweepingNode {
 public:
  explicit SweepingNode(const fakes::RedisServer& redis) {
    thread_.Run([&] { parts_ = std::make_unique<Parts>(thread_.loop(), redis.endpoint(), keys_); });
  }
  ~SweepingNode() { Die(); }

  void Join() {
    const fakes::Waiter<absl::Status> joined;
    thread_.Run([&] { parts_->membership.Join(joined.Callback()); });
    CHECK_EQ(joined.Next(), absl::OkStatus());
    // Redis may be new to all: nothing can be said to be gone until then.
    const fakes::Waiter<absl::Status> refreshed;
    do {
      thread_.Run([&] { parts_->membership.Refresh(refreshed.Callback()); });
    } while (!refreshed.Next().ok());
  }
  void Leave() {
    const fakes::Waiter<absl::Status> left;
    thread_.Run([&] { parts_->membership.Leave(left.Callback()); });
    CHECK_EQ(left.Next(), absl::OkStatus());
  }
  // Without a word to anybody.
  void Die() {
    thread_.Run([this] { parts_.reset(); });
  }
  std::string boot() {
    return thread_.Run([this] { return parts_->membership.self().boot; });
  }

  // The connection lives here.
  ConnectionClaim Claim(const std::string& id) {
    const fakes::Waiter<absl::StatusOr<Presence::Claimed>> claimed;
    thread_.Run([&] {
      parts_->presence.Claim(id, parts_->membership.self(), "token of " + id, "token of " + id, claimed.Callback());
    });
    return claimed.Next().value().claim;
  }
  void Enter(const std::string& room, const std::string& id, const std::string& boot) {
    RoomMemberRecord member;
    member.set_connection_id(id);
    member.set_boot_id(boot);
    const fakes::Waiter<absl::StatusOr<RoomStore::Joined>> joined;
    thread_.Run([&] { parts_->rooms.Join(room, member, joined.Callback()); });
    CHECK_EQ(joined.Next().status(), absl::OkStatus());
  }
  void Enter(const std::string& room, const std::string& id) { Enter(room, id, boot()); }

  void StartSweeping() {
    thread_.Run([this] {
      parts_->sweeper.emplace(thread_.loop(), parts_->membership, parts_->presence, parts_->rooms, kWindow);
    });
  }
  void SweepNow() {
    const fakes::Waiter<bool> swept;
    thread_.Run([&] { parts_->sweeper->SweepNow([swept] { swept.Add(true); }); });
    swept.Next();
  }

 private:
  struct Parts {
    Parts(Loop& loop, const redis::Endpoint& endpoint, const Keys& keys)
        : client(loop, Link(endpoint), scripts::All()),
          bus(loop, client, Link(endpoint), keys, Sealer::Create(ChatNode::kToken, "test").value()),
          presence(client, keys),
          membership(loop, client, bus, keys,
                     {.name_prefix = "node-", .succeeds_boot = "", .lease = absl::Seconds(3), .self = {}}),
          rooms(loop, client, bus, keys) {}
    static redis::LinkOptions Link(const redis::Endpoint& endpoint) {
      redis::LinkOptions options;
      options.endpoint = endpoint;
      return options;
    }

    redis::Client client;
    Bus bus;
    Presence presence;
    Membership membership;
    RoomStore rooms;
    std::optional<GhostSweeper> sweeper;
  };

  const Keys keys_{fakes::kNamespace};
  fakes::LoopThread thread_;
  std::unique_ptr<Parts> parts_;
};

class SweeperTest : public testing::Test {
 protected:
  SweeperTest() {
    for (const std::string room : {"empty", "lobby", "other"}) EXPECT_TRUE(watcher_.Create(room).ok());
    EXPECT_TRUE(watcher_.Want("lobby").ok());
    dying_->Join();
    living_.Join();
  }

  bool IsHeld(const std::string& id) {
    return *redis_.Command({"HEXISTS", keys_.Connection(id), "record"}).view().Integer() == 1;
  }
  int64_t MillisLeft(const std::string& id) { return *redis_.Command({"PTTL", keys_.Connection(id)}).view().Integer(); }
  std::vector<std::string> HoldingBoots() {
    const redis::Reply reply = redis_.Command({"ZRANGE", keys_.HoldingBoots(), "0", "-1"});
    std::vector<std::string> boots;
    for (size_t i = 0; i < reply.view().size(); ++i) boots.emplace_back(*reply.view()[i].String());
    return boots;
  }
  std::vector<std::pair<std::string, int64_t>> Counts(const std::string& room) {
    return watcher_.Read(room).value().members_by_boot;
  }
  // Only who lives holds anything.
  void AwaitFreed() {
    const absl::Time give_up = MonotonicNow() + fakes::kPatience;
    while (HoldingBoots() != std::vector<std::string>{living_.boot()}) ASSERT_LT(MonotonicNow(), give_up);
  }
  // Each has connections, and members in rooms.
  void Fill(int connections) {
    for (int i = 0; i < connections; ++i) {
      const std::string id = absl::StrCat("x", i);
      dying_->Claim(id);
      dying_->Enter(i % 10 == 0 ? "other" : "lobby", id);
    }
    living_.Claim("y");
    living_.Enter("lobby", "y");
    // Moved.
    living_.Claim("x1");
    living_.Enter("lobby", "x1");
  }
  // So many, of the dying one.
  void ExpectLost(size_t count, const std::string& boot) {
    size_t lost = 0;
    while (lost < count) {
      const RoomChange change =
          watcher_.NextThat([](const ChatNode::Heard& heard) { return heard.change.kind() == RoomChange::KIND_LOST; })
              .change;
      for (const RoomMemberRecord& member : change.members()) {
        EXPECT_EQ(member.boot_id(), boot);
        EXPECT_NE(member.connection_id(), "x1");
      }
      lost += static_cast<size_t>(change.members_size());
    }
    EXPECT_EQ(lost, count);
  }

  fakes::RedisServer redis_;
  const Keys keys_{fakes::kNamespace};
  ChatNode watcher_{redis_, "wwwwwwwwwwwwwwww"};
  std::unique_ptr<SweepingNode> dying_ = std::make_unique<SweepingNode>(redis_);
  SweepingNode living_{redis_};
};

TEST_F(SweeperTest, WhatADeadNodeLeftIsFreedByItselfAndNothingOfALiveOne) {
  Fill(250);
  const std::string boot = dying_->boot();
  living_.StartSweeping();
  living_.SweepNow();
  EXPECT_THAT(HoldingBoots(), SizeIs(2)) << "both live";
  EXPECT_THAT(Counts("other"), ElementsAre(Pair(boot, 25)));
  dying_->Die();
  AwaitFreed();
  ExpectLost(224, boot);
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(living_.boot(), 2)));
  EXPECT_THAT(Counts("other"), IsEmpty());
  EXPECT_THAT(watcher_.Members("lobby"), SizeIs(2));
  EXPECT_FALSE(IsHeld("x0"));
  EXPECT_FALSE(IsHeld("x249"));
  EXPECT_GT(MillisLeft("x249"), 60'000) << "its client may come back";
  for (const std::string id : {"x1", "y"}) {
    EXPECT_TRUE(IsHeld(id)) << id;
    EXPECT_EQ(MillisLeft(id), -1) << id;
  }
}

TEST_F(SweeperTest, WhatANodeLeftThatWentInGoodOrderIsFreedToo) {
  Fill(3);
  living_.StartSweeping();
  dying_->Leave();
  AwaitFreed();
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(living_.boot(), 2)));
  EXPECT_FALSE(IsHeld("x2"));
}

TEST_F(SweeperTest, WhatWasLeftBeforeThisNodeCameIsFoundToo) {
  Fill(3);
  dying_->Leave();
  EXPECT_THAT(HoldingBoots(), SizeIs(2)) << "nobody sweeps";
  living_.StartSweeping();
  living_.SweepNow();
  EXPECT_THAT(HoldingBoots(), ElementsAre(living_.boot()));
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(living_.boot(), 2)));
}

TEST_F(SweeperTest, MembersThatCameInTooLateAreFound) {
  Fill(3);
  const std::string boot = dying_->boot();
  dying_->Leave();
  living_.StartSweeping();
  living_.SweepNow();
  // What a node that had hung had still to say when it was gone already.
  living_.Enter("lobby", "late", boot);
  living_.SweepNow();
  EXPECT_THAT(Counts("lobby"), SizeIs(2)) << "nobody holds anything who is gone";
  redis_.Command({"ZADD", keys_.HoldingBoots(), "1", "0123456789abcdef"});
  living_.SweepNow();
  living_.SweepNow();
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(living_.boot(), 2)));
}

TEST_F(SweeperTest, WithoutAVerdictOnWhoIsGoneNothingIsTouched) {
  Fill(3);
  dying_->Leave();
  SweepingNode stranger(redis_);
  stranger.StartSweeping();
  stranger.SweepNow();
  EXPECT_THAT(HoldingBoots(), SizeIs(2)) << "it has not joined";
  EXPECT_THAT(Counts("lobby"), SizeIs(2));
  EXPECT_TRUE(IsHeld("x2"));
}

TEST_F(SweeperTest, WhatCouldNotBeFreedIsTriedAgain) {
  Fill(30);
  dying_->Leave();
  redis_.Command({"RENAME", keys_.RoomMembers("other"), keys_.RoomMembers("aside")});
  redis_.Command({"SET", keys_.RoomMembers("other"), "garbage"});
  living_.StartSweeping();
  living_.SweepNow();
  EXPECT_THAT(HoldingBoots(), SizeIs(2)) << "or it would not be found again";
  redis_.Command({"RENAME", keys_.RoomMembers("aside"), keys_.RoomMembers("other")});
  living_.SweepNow();
  EXPECT_THAT(HoldingBoots(), ElementsAre(living_.boot()));
  EXPECT_THAT(Counts("lobby"), ElementsAre(Pair(living_.boot(), 2)));
  EXPECT_THAT(Counts("other"), IsEmpty());
}

}  // namespace
}  // namespace actioncluster

#include "backplane/membership/membership.h"

#include <memory>
#include <string>
#include <vector>

#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/redis_proxy.h"
#include "tests/integration/membership/member.h"

namespace actioncluster {
namespace {

using fakes::Waiter;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class MembershipTest : public testing::Test {
 protected:
  fakes::RedisServer redis_;
};

TEST_F(MembershipTest, ClaimsTheLowestFreeNameAndOneThatWasLeftIsFreeAgain) {
  Member a(redis_), b(redis_), c(redis_), d(redis_);
  a.JoinWell();
  b.JoinWell();
  c.JoinWell();
  EXPECT_EQ(a.self().id, "node-1");
  EXPECT_EQ(b.self().id, "node-2");
  EXPECT_EQ(c.self().id, "node-3");
  EXPECT_EQ(b.Leave(), absl::OkStatus());
  EXPECT_FALSE(b.Serving());
  d.JoinWell();
  EXPECT_EQ(d.self().id, "node-2");
  EXPECT_NE(d.self().boot, b.self().boot);
}

TEST_F(MembershipTest, EachHearsWhoJoinsAndWhoLeaves) {
  Member a(redis_), b(redis_);
  a.JoinWell();
  a.AwaitEvent("joined node-1");
  b.JoinWell();
  a.AwaitEvent("joined node-2");
  EXPECT_THAT(a.Known(), ElementsAre("node-1", "node-2"));
  EXPECT_THAT(b.Known(), ElementsAre("node-1", "node-2"));
  EXPECT_EQ(b.Leave(), absl::OkStatus());
  b.AwaitServing(false);
  a.AwaitEvent("left node-2");
  EXPECT_THAT(a.Known(), ElementsAre("node-1"));
  EXPECT_THAT(a.Listed(), ElementsAre("node-1"));
}

TEST_F(MembershipTest, ListsTheCompleteRecords) {
  Member a(redis_, {.lease = absl::Seconds(1)});
  a.JoinWell();
  ASSERT_EQ(a.SetMethods({"b", "a"}), absl::OkStatus());
  const std::vector<Membership::Snapshot> nodes = a.Snapshots();
  ASSERT_EQ(nodes.size(), 1u);
  const internal::v1::NodeRecord& record = nodes[0].record;
  EXPECT_EQ(record.id(), "node-1");
  EXPECT_EQ(record.boot_id(), a.self().boot);
  EXPECT_EQ(record.host(), "here");
  EXPECT_EQ(record.pid(), 7);
  EXPECT_EQ(record.lease_ms(), 1000);
  EXPECT_THAT(record.methods(), ElementsAre("a", "b"));
  EXPECT_GE(nodes[0].last_seen, absl::FromUnixMicros(record.started_at_us()) - absl::Milliseconds(1));
  while (a.Snapshots()[0].stats.calls_running() != 3) {
  }
}

TEST_F(MembershipTest, OthersSeeMethodsAndDrainingAndWhoAsksRedisSeesThemAtOnce) {
  Member a(redis_), b(redis_);
  a.JoinWell();
  b.JoinWell();
  ASSERT_EQ(b.SetMethods({"m"}), absl::OkStatus());
  EXPECT_EQ(a.Refresh(), absl::OkStatus());
  EXPECT_THAT(a.Offering("m"), ElementsAre("node-2"));
  ASSERT_EQ(b.SetDraining(true), absl::OkStatus());
  a.AwaitEvent("draining node-2");
  EXPECT_THAT(a.Offering("m"), IsEmpty());
  ASSERT_EQ(b.SetDraining(false), absl::OkStatus());
  ASSERT_EQ(b.SetMethods({}), absl::OkStatus());
  EXPECT_EQ(a.Refresh(), absl::OkStatus());
  EXPECT_THAT(a.Offering("m"), IsEmpty());
}

TEST_F(MembershipTest, ManyChangesAreFewWritesAndEachIsAnswered) {
  Member a(redis_);
  a.JoinWell();
  const int64_t before = redis_.Command({"HGET", a.keys().MembershipState(), "generation"}).view().Integer().value();
  const Waiter<absl::Status> done;
  for (int i = 0; i < 200; ++i) a.SetMethodsLater({"m" + std::to_string(i)}, done);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(done.Next(), absl::OkStatus());
  EXPECT_THAT(a.Offering("m199"), ElementsAre("node-1"));
  const int64_t after = redis_.Command({"HGET", a.keys().MembershipState(), "generation"}).view().Integer().value();
  EXPECT_LE(after - before, 200);
}

TEST_F(MembershipTest, WhatIsOfferedBeforeJoiningIsThereWithTheJoin) {
  Member a(redis_);
  const Waiter<absl::Status> done;
  a.SetMethodsLater({"early"}, done);
  a.JoinWell();
  EXPECT_EQ(done.Next(), absl::OkStatus());
  EXPECT_THAT(a.Snapshots()[0].record.methods(), ElementsAre("early"));
}

TEST_F(MembershipTest, ABootThatIsSucceededIsGoneAtOnce) {
  Member a(redis_), b(redis_);
  a.JoinWell();
  b.JoinWell();
  a.AwaitEvent("joined node-2");
  b.Destroy();
  Member successor(redis_, {.succeeds_boot = a.Snapshots()[1].record.boot_id()});
  successor.JoinWell();
  EXPECT_EQ(successor.self().id, "node-2");
  EXPECT_THAT(successor.Listed(), ElementsAre("node-1", "node-2"));
  a.AwaitEvent("lost node-2");
  a.AwaitEvent("joined node-2");
}

TEST_F(MembershipTest, AnotherServerTokenIsRefusedInOneClearLine) {
  Member a(redis_), stranger(redis_, {.token = "the token of another cluster"});
  a.JoinWell();
  const absl::Status refused = stranger.Join();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another server token"));
  EXPECT_THAT(std::string(refused.message()), testing::Not(HasSubstr("\n")));
  EXPECT_FALSE(stranger.Serving());
  EXPECT_THAT(a.Listed(), ElementsAre("node-1"));
  EXPECT_EQ(stranger.Leave(), absl::OkStatus());
}

TEST_F(MembershipTest, AnotherServerTokenMayBeginWhenNobodyIsThere) {
  Member a(redis_), stranger(redis_, {.token = "the token of another cluster"});
  a.JoinWell();
  ASSERT_EQ(a.Leave(), absl::OkStatus());
  stranger.JoinWell();
  EXPECT_EQ(stranger.self().id, "node-1");
}

TEST_F(MembershipTest, ANodeToWhichRedisDoesNotConfirmThatItIsDeafLeavesSoonAllTheSame) {
  fakes::RedisProxy proxy(redis_.unix_path());
  Member a(redis_);
  Member b(redis_, {.subscriber = proxy.endpoint()});
  a.JoinWell();
  b.JoinWell();
  proxy.SetMode(fakes::RedisProxy::Mode::kSilent);
  const absl::Time begun = MonotonicNow();
  EXPECT_EQ(b.Leave(), absl::OkStatus());
  EXPECT_LT(MonotonicNow() - begun, absl::Seconds(2));
  EXPECT_THAT(a.Listed(), ElementsAre("node-1"));
}

TEST_F(MembershipTest, LeavingWhileJoiningEndsBoth) {
  Member a(redis_), b(redis_);
  const Waiter<absl::Status> joined;
  a.JoinLater(joined);
  EXPECT_EQ(a.Leave(), absl::OkStatus());
  const absl::Status status = joined.Next();
  EXPECT_TRUE(status.ok() || ReasonOf(status) == v1::ERROR_REASON_BACKPLANE_UNAVAILABLE) << status;
  b.JoinWell();
  EXPECT_THAT(b.Listed(), ElementsAre("node-1"));
}

TEST_F(MembershipTest, ManyNodesEndWithTheSameDirectory) {
  std::vector<std::unique_ptr<Member>> nodes;
  const Waiter<absl::Status> joined;
  for (int i = 0; i < 8; ++i) {
    nodes.push_back(std::make_unique<Member>(redis_));
    nodes.back()->JoinLater(joined);
  }
  for (int i = 0; i < 8; ++i) EXPECT_EQ(joined.Next(), absl::OkStatus());
  const Waiter<absl::Status> written;
  for (int round = 0; round < 20; ++round) {
    for (const auto& node : nodes) node->SetMethodsLater({"m" + std::to_string(round)}, written);
  }
  for (int i = 0; i < 160; ++i) EXPECT_EQ(written.Next(), absl::OkStatus());
  for (const auto& node : nodes) {
    EXPECT_EQ(node->Refresh(), absl::OkStatus());
    EXPECT_THAT(node->Offering("m19"), testing::SizeIs(8));
    EXPECT_THAT(node->Offering("m18"), IsEmpty());
  }
}

TEST_F(MembershipTest, WhatWaitsWhenItIsDestroyedIsAnswered) {
  const Waiter<absl::Status> done;
  {
    Member a(redis_);
    redis_.Pause();
    a.JoinLater(done);
    a.SetMethodsLater({"m"}, done);
    a.Destroy();
    redis_.Resume();
  }
  EXPECT_EQ(ReasonOf(done.Next()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(done.Next()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

}  // namespace
}  // namespace actioncluster

#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "backplane/domain/error.h"
#include "backplane/membership/membership.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/membership/member.h"

namespace actioncluster {
namespace {

using fakes::Waiter;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::Duration kShort = absl::Seconds(1);

bool Unavailable(const absl::Status& status) { return ReasonOf(status) == v1::ERROR_REASON_BACKPLANE_UNAVAILABLE; }

class MembershipFaultsTest : public testing::Test {
 protected:
  fakes::RedisServer redis_{{.password = "", .args = {"--appendonly", "yes", "--appendfsync", "always"}}};
};

TEST_F(MembershipFaultsTest, AKilledNodeIsGoneWithinItsLeaseAndTheOthersHearIt) {
  const absl::Duration lease = absl::Seconds(2);
  Member a(redis_, {.lease = lease}), b(redis_, {.lease = lease}), c(redis_, {.lease = lease});
  a.JoinWell();
  b.JoinWell();
  c.JoinWell();
  const absl::Time killed = absl::Now();
  c.Destroy();
  a.AwaitEvent("lost node-3");
  b.AwaitEvent("lost node-3");
  EXPECT_LT(absl::Now() - killed, lease + absl::Milliseconds(500));
  EXPECT_THAT(a.Listed(), ElementsAre("node-1", "node-2"));
  Member d(redis_, {.lease = lease});
  d.JoinWell();
  EXPECT_EQ(d.self().id, "node-3");
}

TEST_F(MembershipFaultsTest, OneWhoseEntryWasRemovedRejoinsUnderTheSameNameWithAllThatItOffered) {
  Member a(redis_, {.lease = kShort}), b(redis_, {.lease = kShort});
  a.JoinWell();
  b.JoinWell();
  ASSERT_EQ(a.SetMethods({"m"}), absl::OkStatus());
  ASSERT_EQ(a.SetDraining(true), absl::OkStatus());
  ASSERT_EQ(a.SetDraining(false), absl::OkStatus());
  const NodeRef before = a.self();
  redis_.Command({"ZREM", a.keys().MembershipLeases(), before.boot});
  a.AwaitServing(false);
  a.AwaitServing(true);
  EXPECT_EQ(a.self().id, before.id);
  EXPECT_NE(a.self().boot, before.boot);
  b.AwaitRefreshed();
  EXPECT_THAT(b.Offering("m"), ElementsAre("node-1"));
  EXPECT_THAT(b.Listed(), ElementsAre("node-1", "node-2"));
}

TEST_F(MembershipFaultsTest, WhenRedisLosesAllItsDataAllRejoinAndFindEachOther) {
  Member a(redis_, {.lease = kShort}), b(redis_, {.lease = kShort});
  a.JoinWell();
  b.JoinWell();
  ASSERT_EQ(b.SetMethods({"m"}), absl::OkStatus());
  redis_.Command({"FLUSHALL"});
  a.AwaitServing(false);
  b.AwaitServing(false);
  a.AwaitServing(true);
  b.AwaitServing(true);
  a.AwaitRefreshed();
  b.AwaitRefreshed();
  EXPECT_THAT(a.Listed(), ElementsAre("node-1", "node-2"));
  EXPECT_THAT(a.Offering("m"), ElementsAre(b.self().id));
  EXPECT_THAT(b.Offering("m"), ElementsAre(b.self().id));
}

TEST_F(MembershipFaultsTest, NothingIsSaidNotToExistRightAfterRedisLostItsData) {
  Member a(redis_), b(redis_);
  a.JoinWell();
  b.JoinWell();
  EXPECT_EQ(a.Refresh(), absl::OkStatus());
  redis_.Command({"FLUSHALL"});
  EXPECT_TRUE(Unavailable(a.Refresh()));
}

TEST_F(MembershipFaultsTest, AfterAnOutageLongerThanTheLeaseNobodyIsReclaimedAndTheSameBootsGoOn) {
  const absl::Duration lease = absl::Seconds(3);
  Member a(redis_, {.lease = lease}), b(redis_, {.lease = lease});
  a.JoinWell();
  b.JoinWell();
  const NodeRef a_before = a.self();
  const NodeRef b_before = b.self();
  redis_.Kill();
  a.AwaitServing(false);
  b.AwaitServing(false);
  EXPECT_FALSE(a.Serving());
  EXPECT_TRUE(Unavailable(a.Refresh()));
  EXPECT_TRUE(Unavailable(a.SetMethods({"m"})));
  absl::SleepFor(kShort);  // As long as Redis is away: longer than every lease.
  redis_.Start();
  a.AwaitServing(true);
  b.AwaitServing(true);
  EXPECT_TRUE(Unavailable(a.Refresh()));
  a.AwaitRefreshed();
  b.AwaitRefreshed();
  EXPECT_EQ(a.self(), a_before);
  EXPECT_EQ(b.self(), b_before);
  EXPECT_THAT(a.Known(), ElementsAre("node-1", "node-2"));
  EXPECT_THAT(b.Known(), ElementsAre("node-1", "node-2"));
  // What could not be written during the outage was still wanted.
  EXPECT_THAT(b.Offering("m"), ElementsAre("node-1"));
}

TEST_F(MembershipFaultsTest, OneThatDiedInTheOutageIsReclaimedAfterTheGrace) {
  Member a(redis_, {.lease = kShort}), b(redis_, {.lease = kShort});
  a.JoinWell();
  b.JoinWell();
  redis_.Kill();
  b.Destroy();
  a.AwaitServing(false);
  absl::SleepFor(kShort);  // As long as Redis is away: longer than every lease.
  redis_.Start();
  a.AwaitServing(true);
  EXPECT_THAT(a.Listed(), ElementsAre("node-1", "node-2"));
  a.AwaitEvent("lost node-2");
  EXPECT_THAT(a.Listed(), ElementsAre("node-1"));
}

TEST_F(MembershipFaultsTest, JoinsWhenRedisComes) {
  redis_.Kill();
  Member a(redis_);
  const Waiter<absl::Status> joined;
  a.JoinLater(joined);
  EXPECT_TRUE(Unavailable(a.Refresh()));
  redis_.Start();
  EXPECT_EQ(joined.Next(), absl::OkStatus());
  a.AwaitServing(true);
  // Redis may have come back empty, and others be about to rejoin.
  EXPECT_TRUE(Unavailable(a.Refresh()));
}

TEST_F(MembershipFaultsTest, AShortLossOfTheConnectionKeepsTheBootAndItsService) {
  Member a(redis_);
  a.JoinWell();
  const NodeRef before = a.self();
  redis_.Command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  while (!a.SetMethods({"m"}).ok()) {
  }
  EXPECT_EQ(a.self(), before);
  EXPECT_TRUE(a.Serving());
  EXPECT_EQ(a.serving().size(), 0u);
}

TEST_F(MembershipFaultsTest, AnnouncementsThatAreLostWithASubscriberAreReadWhenItIsBack) {
  Member a(redis_, {.lease = absl::Seconds(60)}), b(redis_, {.lease = absl::Seconds(60)});
  a.JoinWell();
  b.JoinWell();
  a.AwaitEvent("joined node-2");
  const std::string boot = b.self().boot;
  b.Destroy();
  // A change that nobody announces. The next renewal is far away: it is the subscriber's return that makes it look.
  redis_.Command({"ZREM", a.keys().MembershipLeases(), boot});
  redis_.Command({"HINCRBY", a.keys().MembershipState(), "generation", "1"});
  redis_.Command({"CLIENT", "KILL", "TYPE", "pubsub"});
  a.AwaitEvent("lost node-2");
  EXPECT_THAT(a.Known(), ElementsAre("node-1"));
}

TEST_F(MembershipFaultsTest, OnePausedPastItsLeaseDoesNotServeByTheClockAndRejoinsWhenItWasReclaimed) {
  Member a(redis_, {.lease = kShort}), b(redis_, {.lease = kShort});
  a.JoinWell();
  b.JoinWell();
  const NodeRef before = a.self();
  a.Pause(2 * kShort);
  b.AwaitEvent("lost node-1");
  a.AwaitServing(false);
  a.AwaitServing(true);
  EXPECT_NE(a.self().boot, before.boot);
  EXPECT_EQ(a.self().id, before.id);
}

TEST_F(MembershipFaultsTest, OneAlonePausedPastItsLeaseGoesOnUnderTheSameBoot) {
  Member a(redis_, {.lease = kShort});
  a.JoinWell();
  const NodeRef before = a.self();
  a.Pause(2 * kShort);
  a.AwaitServing(false);
  a.AwaitServing(true);
  EXPECT_EQ(a.self(), before);
}

TEST_F(MembershipFaultsTest, ARedisThatHangsEndsServiceWithTheLeaseAndItComesBack) {
  Member a(redis_, {.lease = kShort});
  a.JoinWell();
  const NodeRef before = a.self();
  redis_.Pause();
  a.AwaitServing(false);
  redis_.Resume();
  a.AwaitServing(true);
  EXPECT_EQ(a.self(), before);
}

TEST_F(MembershipFaultsTest, GarbageInRedisIsAnErrorAndGoneWhenTheGarbageIs) {
  Member a(redis_, {.lease = kShort});
  a.JoinWell();
  redis_.Command({"SET", a.keys().MembershipState(), "garbage"});
  redis_.Command({"HSET", a.keys().MembershipRecords(), "0123456789abcdef", "\xff\xff"});
  redis_.Command({"ZADD", a.keys().MembershipLeases(), "1e300", "0123456789abcdef"});
  EXPECT_FALSE(a.Refresh().ok());
  EXPECT_FALSE(a.SetMethods({"m"}).ok());
  a.AwaitServing(false);
  redis_.Command({"DEL", a.keys().MembershipState()});
  a.AwaitServing(true);
  a.AwaitRefreshed();
  EXPECT_THAT(a.Offering("m"), ElementsAre("node-1"));
  EXPECT_THAT(a.Known(), ElementsAre("node-1"));
}

}  // namespace
}  // namespace actioncluster

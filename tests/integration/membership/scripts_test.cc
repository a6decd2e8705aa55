#include "backplane/scripts/scripts.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "backplane/domain/clock.h"
#include "backplane/membership/membership_store.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {
namespace {

using fakes::Waiter;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// The membership scripts, on a single Redis and on a cluster of one process.
class MembershipScriptsTest : public testing::TestWithParam<bool> {
 protected:
  MembershipScriptsTest() {
    redis::LinkOptions link;
    link.endpoint = redis_.endpoint();
    thread_.Run([&] {
      client_ = std::make_unique<redis::Client>(thread_.loop(), link, scripts::All());
      client_->OnState(state_.Callback());
      store_ = std::make_unique<MembershipStore>(*client_, keys_, kLease);
    });
    while (!state_.Next().ok()) {
    }
  }
  ~MembershipScriptsTest() override {
    thread_.Run([&] {
      store_.reset();
      client_.reset();
    });
  }

  template <class T, class Call>
  absl::StatusOr<T> Await(Call call) {
    const Waiter<absl::StatusOr<T>> done;
    thread_.Run([&] { call(*store_, done.Callback()); });
    return done.Next();
  }

  absl::StatusOr<MembershipStore::Joined> Join(const std::string& boot, const std::string& preferred = "",
                                               const std::string& succeeds = "", const std::string& token = "token") {
    MembershipStore::JoinRequest request{.fingerprint = token,
                                         .name_prefix = "n-",
                                         .preferred_name = preferred,
                                         .succeeds_boot = succeeds,
                                         .record = internal::v1::NodeRecord()};
    request.record.set_boot_id(boot);
    request.record.set_host("here");
    return Await<MembershipStore::Joined>([&](MembershipStore& store, auto done) { store.Join(request, done); });
  }
  std::string NameOf(const std::string& boot) { return Join(boot)->record.id(); }

  absl::StatusOr<std::optional<MembershipStore::Renewal>> Renew(const std::string& boot) {
    return Await<std::optional<MembershipStore::Renewal>>([&](MembershipStore& store, auto done) {
      store.Renew(boot, internal::v1::NodeStats(), MonotonicNow() + fakes::kPatience, done);
    });
  }
  std::optional<int64_t> Update(const internal::v1::NodeRecord& record) {
    return Await<std::optional<int64_t>>([&](MembershipStore& store, auto done) { store.Update(record, done); })
        .value();
  }
  std::optional<MembershipStore::Departed> Leave(const std::string& boot) {
    return Await<std::optional<MembershipStore::Departed>>(
               [&](MembershipStore& store, auto done) { store.Leave(boot, done); })
        .value();
  }
  MembershipStore::Contents Read() {
    return Await<MembershipStore::Contents>([](MembershipStore& store, auto done) { store.Read(done); }).value();
  }
  MembershipStore::State State() {
    return Await<MembershipStore::State>([](MembershipStore& store, auto done) { store.ReadState(done); }).value();
  }
  // As if the lease of the boot had ended long ago.
  void RunOut(const std::string& boot) { redis_.Command({"ZADD", keys_.MembershipLeases(), "1000", boot}); }
  // As if nobody had renewed for longer than a lease.
  void Outage() {
    const int64_t ms = absl::ToUnixMillis(Read().now - 2 * kLease);
    redis_.Command({"HSET", keys_.MembershipState(), "touched_ms", std::to_string(ms)});
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const MembershipStore::Node& node : Read().nodes) names.push_back(node.record.id());
    std::sort(names.begin(), names.end());
    return names;
  }

  static constexpr absl::Duration kLease = absl::Seconds(60);  // Time passes by RunOut and Outage.
  fakes::RedisServer redis_{{.cluster = GetParam(), .password = "", .args = {}}};
  const Keys keys_{fakes::kNamespace};
  const Waiter<absl::Status> state_;
  fakes::LoopThread thread_;
  std::unique_ptr<redis::Client> client_;
  std::unique_ptr<MembershipStore> store_;
};

TEST_P(MembershipScriptsTest, AJoinCompletesTheRecord) {
  const absl::StatusOr<MembershipStore::Joined> joined = Join("b1");
  ASSERT_EQ(joined.status(), absl::OkStatus());
  EXPECT_EQ(joined->record.id(), "n-1");
  EXPECT_EQ(joined->record.boot_id(), "b1");
  EXPECT_EQ(joined->record.host(), "here");
  const MembershipStore::Contents contents = Read();
  ASSERT_THAT(contents.nodes, SizeIs(1));
  EXPECT_EQ(contents.nodes[0].record.SerializeAsString(), joined->record.SerializeAsString());
  EXPECT_LT(contents.now - absl::FromUnixMicros(joined->record.started_at_us()), fakes::kPatience);
  EXPECT_GE(contents.now, absl::FromUnixMicros(joined->record.started_at_us()));
  EXPECT_GT(contents.nodes[0].lease_ends, contents.now);
  EXPECT_EQ(contents.state.generation, joined->generation);
}

TEST_P(MembershipScriptsTest, EveryChangeCountsOnce) {
  const int64_t first = Join("b1")->generation;
  const MembershipStore::Joined second = *Join("b2");
  EXPECT_EQ(second.generation, first + 1);
  EXPECT_EQ(Renew("b1").value()->generation, first + 1);
  EXPECT_EQ(Update(second.record), first + 2);
  EXPECT_EQ(Leave("b1")->generation, first + 3);
  EXPECT_EQ(State().generation, first + 3);
}

TEST_P(MembershipScriptsTest, AFullRedisStillRenewsUpdatesAndLetsGo) {
  const MembershipStore::Joined joined = *Join("b1");
  redis_.Command({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(Renew("b1").value()->generation, joined.generation);
  EXPECT_EQ(Update(joined.record), joined.generation + 1);
  EXPECT_EQ(Leave("b1")->generation, joined.generation + 2);
}

TEST_P(MembershipScriptsTest, OneThatGotNoAnswerMayJoinAgainUnderItsName) {
  const MembershipStore::Joined first = *Join("b1");
  const MembershipStore::Joined again = *Join("b1");
  EXPECT_EQ(again.record.id(), first.record.id());
  EXPECT_EQ(again.record.boot_id(), first.record.boot_id());
  EXPECT_GT(again.generation, first.generation);
}

TEST_P(MembershipScriptsTest, NamesAreTheLowestFreeOrThePreferredIfThatIsFree) {
  EXPECT_EQ(NameOf("b1"), "n-1");
  EXPECT_EQ(NameOf("b2"), "n-2");
  EXPECT_EQ(NameOf("b3"), "n-3");
  ASSERT_TRUE(Leave("b1").has_value());
  ASSERT_TRUE(Leave("b2").has_value());
  EXPECT_EQ(Join("b4", "n-2")->record.id(), "n-2");
  EXPECT_EQ(Join("b5", "n-3")->record.id(), "n-1");
  EXPECT_THAT(Names(), ElementsAre("n-1", "n-2", "n-3"));
}

TEST_P(MembershipScriptsTest, NothingIsLeftOfOneThatIsGone) {
  Join("b1").IgnoreError();
  EXPECT_TRUE(Renew("b1")->has_value());
  ASSERT_TRUE(Leave("b1").has_value());
  for (const std::string& key :
       {keys_.MembershipLeases(), keys_.MembershipRecords(), keys_.MembershipStats(), keys_.MembershipNames()}) {
    EXPECT_EQ(redis_.Command({"EXISTS", key}).view().Integer().value(), 0) << key;
  }
}

TEST_P(MembershipScriptsTest, TheSucceededIsRemovedAndItsNameIsFree) {
  Join("b1").IgnoreError();
  const MembershipStore::Joined joined = *Join("b2", "", "b1");
  EXPECT_EQ(joined.record.id(), "n-1");
  ASSERT_THAT(joined.gone, SizeIs(1));
  EXPECT_EQ(joined.gone[0].node.boot_id(), "b1");
  EXPECT_EQ(joined.gone[0].node.id(), "n-1");
  EXPECT_EQ(joined.gone[0].generation, joined.generation - 1);
}

TEST_P(MembershipScriptsTest, AnotherTokenIsRefusedWhileAnybodyIsThereAndTakesNothing) {
  Join("b1").IgnoreError();
  EXPECT_EQ(Join("b2", "", "", "other").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Names(), ElementsAre("n-1"));
  RunOut("b1");
  EXPECT_EQ(Join("b2", "", "", "other")->record.id(), "n-1");
}

TEST_P(MembershipScriptsTest, ARenewalReclaimsOthersAndSaysWhenTheNextIsDue) {
  Join("b1").IgnoreError();
  EXPECT_EQ(Renew("b1").value()->earliest_other, absl::InfiniteDuration());
  Join("b2").IgnoreError();
  Join("b3").IgnoreError();
  RunOut("b2");
  const MembershipStore::Renewal renewal = *Renew("b1").value();
  ASSERT_THAT(renewal.gone, SizeIs(1));
  EXPECT_EQ(renewal.gone[0].node.boot_id(), "b2");
  EXPECT_EQ(renewal.gone[0].generation, renewal.generation);
  EXPECT_GT(renewal.earliest_other, absl::ZeroDuration());
  EXPECT_LE(renewal.earliest_other, kLease);
  EXPECT_THAT(Names(), ElementsAre("n-1", "n-3"));
}

TEST_P(MembershipScriptsTest, OneThatRanOutRenewsAsLongAsNobodyReclaimedIt) {
  Join("b1").IgnoreError();
  RunOut("b1");
  EXPECT_TRUE(Renew("b1")->has_value());
  Join("b2").IgnoreError();
  RunOut("b1");
  EXPECT_TRUE(Renew("b2")->has_value());
  EXPECT_FALSE(Renew("b1")->has_value());
  EXPECT_EQ(Update([] {
              internal::v1::NodeRecord record;
              record.set_boot_id("b1");
              return record;
            }()),
            std::nullopt);
  EXPECT_EQ(Leave("b1"), std::nullopt);
}

TEST_P(MembershipScriptsTest, AfterAnOutageNobodyIsReclaimedForOneLease) {
  Join("b1").IgnoreError();
  Join("b2").IgnoreError();
  RunOut("b1");
  RunOut("b2");
  Outage();
  EXPECT_GT(Read().state.grace_until, Read().now);
  const MembershipStore::Renewal renewal = *Renew("b1").value();
  EXPECT_THAT(renewal.gone, IsEmpty());
  EXPECT_GT(renewal.earliest_other, kLease - fakes::kPatience);
  EXPECT_GT(State().grace_until, Read().now);
  EXPECT_THAT(Join("b3")->gone, IsEmpty());
  EXPECT_THAT(Names(), ElementsAre("n-1", "n-2", "n-3"));
  redis_.Command({"HSET", keys_.MembershipState(), "grace_until_ms", "1000"});
  EXPECT_THAT(Renew("b1").value()->gone, SizeIs(1));
}

TEST_P(MembershipScriptsTest, InTheGraceOneMayStillLeaveOrBeSucceeded) {
  Join("b1").IgnoreError();
  Join("b2").IgnoreError();
  Outage();
  EXPECT_TRUE(Leave("b1").has_value());
  EXPECT_THAT(Join("b3", "", "b2")->gone, SizeIs(1));
  EXPECT_THAT(Names(), ElementsAre("n-1"));
}

TEST_P(MembershipScriptsTest, ThereIsNoGraceForNobody) {
  Join("b1").IgnoreError();
  Leave("b1");
  Outage();
  Join("b2").IgnoreError();
  EXPECT_LT(State().grace_until, Read().now);
  Outage();
  Join("b3", "", "b2").IgnoreError();
  EXPECT_LT(State().grace_until, Read().now);
}

TEST_P(MembershipScriptsTest, TheGenerationGrowsThoughRedisLosesItsData) {
  const int64_t before = Join("b1")->generation;
  redis_.Command({"FLUSHALL"});
  EXPECT_EQ(State().generation, 0);
  EXPECT_THAT(Read().nodes, IsEmpty());
  EXPECT_GT(Join("b1")->generation, before);
}

TEST_P(MembershipScriptsTest, ScriptsThatRedisForgotAreLoadedAgain) {
  redis_.Command({"SCRIPT", "FLUSH"});
  EXPECT_EQ(NameOf("b1"), "n-1");
}

INSTANTIATE_TEST_SUITE_P(Redis, MembershipScriptsTest, testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "Cluster" : "Single"; });

}  // namespace
}  // namespace actioncluster

#include "backplane/presence/presence.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/scripts/scripts.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fakes/loop_thread.h"
#include "tests/fakes/redis_server.h"
#include "tests/fakes/waiter.h"

namespace actioncluster {
namespace {

using fakes::Waiter;
using internal::v1::ConnectionRecord;
using internal::v1::ConnectionState;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr absl::Duration kWindow = absl::Minutes(2);

ConnectionState StateIn(const std::string& room) {
  ConnectionState state;
  (*state.mutable_rooms())[room] = 7;
  return state;
}

// On a single Redis, and on a cluster of one process.
class PresenceTest : public testing::TestWithParam<bool> {
 protected:
  PresenceTest() {
    redis::LinkOptions link;
    link.endpoint = redis_.endpoint();
    thread_.Run([&] {
      client_ = std::make_unique<redis::Client>(thread_.loop(), link, scripts::All());
      client_->OnState(state_.Callback());
      presence_ = std::make_unique<Presence>(*client_, keys_);
    });
    while (!state_.Next().ok()) {
    }
  }
  ~PresenceTest() override {
    thread_.Run([&] {
      presence_.reset();
      client_.reset();
    });
  }

  template <class T, class Start>
  absl::StatusOr<T> Ask(Start start) {
    const Waiter<absl::StatusOr<T>> done;
    thread_.Run([&] { start(*presence_, done.Callback()); });
    return done.Next();
  }

  absl::StatusOr<std::optional<ConnectionRecord>> Lookup(const std::string& connection) {
    return Ask<std::optional<ConnectionRecord>>(
        [&](Presence& presence, auto done) { presence.Lookup(connection, std::move(done)); });
  }
  absl::StatusOr<Presence::Claimed> TryClaim(const std::string& connection, const NodeRef& holder,
                                             const std::string& shown, const std::string& fresh) {
    return Ask<Presence::Claimed>(
        [&](Presence& presence, auto done) { presence.Claim(connection, holder, shown, fresh, std::move(done)); });
  }
  // By a client that has the token already, or gets it.
  Presence::Claimed Claim(const std::string& connection, const NodeRef& holder, const std::string& token = "token") {
    return TryClaim(connection, holder, token, token).value();
  }
  v1::ErrorReason ReasonOfClaim(const std::string& connection, const NodeRef& holder, const std::string& shown) {
    return ReasonOf(TryClaim(connection, holder, shown, "fresh").status());
  }
  bool Store(const std::string& connection, const ConnectionClaim& claim, const ConnectionState& state) {
    return Ask<bool>([&](Presence& presence, auto done) { presence.Store(connection, claim, state, std::move(done)); })
        .value();
  }
  bool Release(const std::string& connection, const ConnectionClaim& claim, absl::Duration window = kWindow) {
    return Ask<bool>(
               [&](Presence& presence, auto done) { presence.Release(connection, claim, window, std::move(done)); })
        .value();
  }
  std::vector<std::string> HoldingBoots() {
    return Ask<std::vector<std::string>>([](Presence& presence, auto done) { presence.HoldingBoots(std::move(done)); })
        .value();
  }
  int64_t ReleaseLeftBehind(const std::string& boot, int limit, absl::Duration window = kWindow) {
    return Ask<int64_t>(
               [&](Presence& presence, auto done) { presence.ReleaseLeftBehind(boot, window, limit, std::move(done)); })
        .value();
  }

  std::vector<std::string> Held(const std::string& boot) {
    // What this node has sent before has been done then.
    EXPECT_TRUE(Lookup("").ok());
    const redis::Reply reply = redis_.Command({"SMEMBERS", keys_.HeldConnections(boot)});
    std::vector<std::string> held;
    for (size_t i = 0; i < reply.view().size(); ++i) held.emplace_back(*reply.view()[i].String());
    return held;
  }
  int64_t MillisLeft(const std::string& connection) {
    return *redis_.Command({"PTTL", keys_.Connection(connection)}).view().Integer();
  }
  std::string Field(const std::string& connection, const std::string& field) {
    return std::string(*redis_.Command({"HGET", keys_.Connection(connection), field}).view().String());
  }

  const NodeRef a_{"node-1", "aaaaaaaaaaaaaaaa"};
  const NodeRef b_{"node-2", "bbbbbbbbbbbbbbbb"};
  fakes::RedisServer& redis_ = fakes::EmptyRedis(GetParam());
  const Keys keys_{fakes::kNamespace};
  const Waiter<absl::Status> state_;
  fakes::LoopThread thread_;
  std::unique_ptr<redis::Client> client_;
  std::unique_ptr<Presence> presence_;
};

INSTANTIATE_TEST_SUITE_P(Redis, PresenceTest, testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "Cluster" : "Single"; });

TEST_P(PresenceTest, ANewConnectionIsFoundWhereItIs) {
  EXPECT_EQ(Lookup("x").value(), std::nullopt);
  const Presence::Claimed claimed = TryClaim("x", a_, "", "token").value();
  EXPECT_EQ(claimed.claim.boot, a_.boot);
  EXPECT_EQ(claimed.former_boot, "");
  EXPECT_FALSE(claimed.state.has_value());
  const std::optional<ConnectionRecord> record = Lookup("x").value();
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->node_id(), "node-1");
  EXPECT_EQ(record->boot_id(), a_.boot);
  EXPECT_EQ(record->epoch(), claimed.claim.epoch);
  EXPECT_THAT(Held(a_.boot), ElementsAre("x"));
  EXPECT_THAT(HoldingBoots(), ElementsAre(a_.boot));
}

TEST_P(PresenceTest, WhoShowsTheTokenTakesTheConnectionOverWithItsState) {
  const Presence::Claimed first = Claim("x", a_);
  ASSERT_TRUE(Store("x", first.claim, StateIn("lobby")));
  const Presence::Claimed second = TryClaim("x", b_, "token", "another").value();
  EXPECT_GT(second.claim.epoch, first.claim.epoch);
  EXPECT_EQ(second.former_boot, a_.boot);
  ASSERT_TRUE(second.state.has_value());
  EXPECT_EQ(second.state->SerializeAsString(), StateIn("lobby").SerializeAsString());
  EXPECT_EQ(Lookup("x").value()->boot_id(), b_.boot);
  EXPECT_EQ(Claim("x", a_).former_boot, b_.boot) << "the token stays what it was";
}

TEST_P(PresenceTest, NobodyElseGetsAnIdThatIsTaken) {
  const Presence::Claimed first = TryClaim("x", a_, "", "token").value();
  for (const std::string shown : {"", "guessed", "fresh"}) {
    EXPECT_EQ(ReasonOfClaim("x", b_, shown), v1::ERROR_REASON_CONNECTION_EXISTS) << shown;
    EXPECT_EQ(ReasonOfClaim("x", a_, shown), v1::ERROR_REASON_CONNECTION_EXISTS) << shown;
  }
  EXPECT_EQ(Lookup("x").value()->epoch(), first.claim.epoch);
  EXPECT_THAT(Held(b_.boot), IsEmpty());
  EXPECT_THAT(Held(a_.boot), ElementsAre("x"));
  ASSERT_TRUE(Release("x", first.claim));
  EXPECT_EQ(ReasonOfClaim("x", b_, ""), v1::ERROR_REASON_CONNECTION_EXISTS) << "it waits for its client";
  EXPECT_EQ(ReasonOfClaim("x", a_, ""), v1::ERROR_REASON_CONNECTION_EXISTS);
  EXPECT_THAT(Held(a_.boot), IsEmpty());
}

TEST_P(PresenceTest, AReleasedConnectionIsKeptForItsClient) {
  const Presence::Claimed first = Claim("x", a_);
  ASSERT_TRUE(Store("x", first.claim, StateIn("lobby")));
  ASSERT_TRUE(Release("x", first.claim));
  EXPECT_EQ(Lookup("x").value(), std::nullopt);
  EXPECT_THAT(Held(a_.boot), IsEmpty());
  EXPECT_GT(MillisLeft("x"), 60'000);
  EXPECT_LE(MillisLeft("x"), 120'000);

  const Presence::Claimed second = Claim("x", b_);
  EXPECT_EQ(second.former_boot, "");
  ASSERT_TRUE(second.state.has_value());
  EXPECT_EQ(second.state->rooms_size(), 1);
  EXPECT_GT(second.claim.epoch, first.claim.epoch);
  EXPECT_EQ(MillisLeft("x"), -1) << "it does not expire while it is held";
}

TEST_P(PresenceTest, ATokenForAnIdThatNobodyHasIsANewConnections) {
  const Presence::Claimed claimed = TryClaim("x", a_, "from long ago", "fresh").value();
  EXPECT_FALSE(claimed.state.has_value());
  EXPECT_EQ(ReasonOfClaim("x", b_, "from long ago"), v1::ERROR_REASON_CONNECTION_EXISTS);
  EXPECT_TRUE(TryClaim("x", b_, "fresh", "").value().state.has_value());
}

TEST_P(PresenceTest, OfAConnectionThatIsOverNothingIsKept) {
  const Presence::Claimed first = Claim("x", a_);
  ASSERT_TRUE(Store("x", first.claim, StateIn("lobby")));
  ASSERT_TRUE(Release("x", first.claim, absl::ZeroDuration()));
  EXPECT_EQ(*redis_.Command({"EXISTS", keys_.Connection("x")}).view().Integer(), 0);
  const Presence::Claimed second = Claim("x", b_);
  EXPECT_FALSE(second.state.has_value());
  EXPECT_GT(second.claim.epoch, first.claim.epoch);
}

TEST_P(PresenceTest, AWindowEnds) {
  ASSERT_TRUE(Release("x", Claim("x", a_).claim, absl::Microseconds(1)));
  const absl::Time give_up = MonotonicNow() + fakes::kPatience;
  while (*redis_.Command({"EXISTS", keys_.Connection("x")}).view().Integer() != 0) {
    ASSERT_LT(MonotonicNow(), give_up);
  }
  EXPECT_FALSE(TryClaim("x", b_, "", "other").value().state.has_value());
}

TEST_P(PresenceTest, AStaleClaimChangesNothing) {
  const Presence::Claimed first = Claim("x", a_);
  const Presence::Claimed second = Claim("x", a_);
  ASSERT_TRUE(Store("x", second.claim, StateIn("lobby")));
  for (const ConnectionClaim& stale : {first.claim, ConnectionClaim{b_.boot, second.claim.epoch}}) {
    EXPECT_FALSE(Store("x", stale, StateIn("elsewhere")));
    EXPECT_FALSE(Release("x", stale));
    EXPECT_FALSE(Release("x", stale, absl::ZeroDuration()));
  }
  EXPECT_EQ(Lookup("x").value()->epoch(), second.claim.epoch);
  EXPECT_THAT(Held(a_.boot), ElementsAre("x"));
  EXPECT_EQ(MillisLeft("x"), -1);
  EXPECT_EQ(Claim("x", b_).state->rooms().count("lobby"), 1u);

  EXPECT_FALSE(Release("x", second.claim)) << "it was resumed elsewhere";
  EXPECT_THAT(Held(a_.boot), IsEmpty());
  EXPECT_THAT(Held(b_.boot), ElementsAre("x"));
}

TEST_P(PresenceTest, ALaterClaimHasALaterEpochWhateverTheClockDoes) {
  const int64_t ahead = Claim("c", a_).claim.epoch + 3'600'000'000;
  redis_.Command({"HSET", keys_.Connection("c"), "epoch", absl::StrCat(ahead)});
  EXPECT_EQ(Claim("c", b_).claim.epoch, ahead + 1);
}

TEST_P(PresenceTest, AClaimThatNobodyKnowsIsReleasedByItsBootAlone) {
  Claim("c", a_);
  EXPECT_FALSE(Release("c", {.boot = b_.boot, .epoch = 0}));
  EXPECT_TRUE(Lookup("c")->has_value());
  EXPECT_TRUE(Release("c", {.boot = a_.boot, .epoch = 0}));
  EXPECT_FALSE(Lookup("c")->has_value());
  EXPECT_THAT(Held(a_.boot), IsEmpty());
  EXPECT_GT(MillisLeft("c"), 0) << "it is kept for its client";
  EXPECT_FALSE(Release("c", {.boot = a_.boot, .epoch = 0}));
  EXPECT_TRUE(Claim("c", a_).state.has_value());
  EXPECT_TRUE(Release("c", {.boot = a_.boot, .epoch = 0}, absl::ZeroDuration()));
  EXPECT_FALSE(Claim("c", b_, "another token").state.has_value());
}

TEST_P(PresenceTest, AReleasedClaimIsStale) {
  const Presence::Claimed claimed = Claim("x", a_);
  ASSERT_TRUE(Release("x", claimed.claim));
  EXPECT_FALSE(Release("x", claimed.claim, absl::ZeroDuration()));
  EXPECT_FALSE(Store("x", claimed.claim, StateIn("lobby")));
  EXPECT_EQ(Claim("x", b_).state->rooms_size(), 0);
}

TEST_P(PresenceTest, AReleaseThatIsUnderWayDoesNotTakeTheNoteOfTheNextClaim) {
  const Presence::Claimed first = Claim("x", a_);
  const Waiter<absl::StatusOr<bool>> released;
  const Waiter<absl::StatusOr<Presence::Claimed>> claimed;
  thread_.Run([&] {
    presence_->Release("x", first.claim, kWindow, released.Callback());
    presence_->Claim("x", a_, "token", "", claimed.Callback());
  });
  EXPECT_TRUE(released.Next().value());
  EXPECT_TRUE(claimed.Next().ok());
  EXPECT_THAT(Held(a_.boot), ElementsAre("x"));
}

TEST_P(PresenceTest, WhatABootLeftBehindIsReleasedBitByBit) {
  for (int i = 0; i < 5; ++i) {
    const Presence::Claimed claimed = Claim(absl::StrCat("x", i), a_);
    ASSERT_TRUE(Store(absl::StrCat("x", i), claimed.claim, StateIn("lobby")));
  }
  Claim("x4", b_);
  Claim("y", b_);
  EXPECT_THAT(HoldingBoots(), UnorderedElementsAre(a_.boot, b_.boot));
  EXPECT_EQ(ReleaseLeftBehind(a_.boot, 2), 3);
  EXPECT_EQ(Held(a_.boot).size(), 3u);
  EXPECT_EQ(ReleaseLeftBehind(a_.boot, 2), 1);
  EXPECT_THAT(HoldingBoots(), UnorderedElementsAre(a_.boot, b_.boot));
  EXPECT_EQ(ReleaseLeftBehind(a_.boot, 2), 0);
  EXPECT_EQ(ReleaseLeftBehind(a_.boot, 2), 0) << "another node may do it too";
  EXPECT_THAT(HoldingBoots(), ElementsAre(b_.boot));
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Lookup(absl::StrCat("x", i)).value(), std::nullopt) << i;
    EXPECT_GT(MillisLeft(absl::StrCat("x", i)), 60'000) << i;
  }
  EXPECT_EQ(Claim("x0", b_).state->rooms_size(), 1);
  EXPECT_EQ(Lookup("x4").value()->boot_id(), b_.boot) << "it lives elsewhere";
  EXPECT_EQ(MillisLeft("x4"), -1);
  EXPECT_EQ(Lookup("y").value()->boot_id(), b_.boot);
}

TEST_P(PresenceTest, RedisKeepsNoToken) {
  Claim("x", a_, "a secret");
  EXPECT_EQ(Field("x", "token").size(), 32u);
  for (const std::string field : {"token", "record", "boot", "epoch"}) {
    EXPECT_EQ(Field("x", field).find("secret"), std::string::npos) << field;
  }
}

TEST_P(PresenceTest, WhatCannotBeNotedIsNotHeld) {
  redis_.Command({"SET", keys_.HeldConnections(a_.boot), "garbage"});
  EXPECT_EQ(ReasonOf(TryClaim("x", a_, "", "token").status()), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(Lookup("x").value(), std::nullopt);
  const Presence::Claimed resumed = Claim("x", b_);
  ASSERT_TRUE(Release("x", resumed.claim));
  EXPECT_FALSE(TryClaim("x", a_, "token", "").ok());
  EXPECT_EQ(Lookup("x").value(), std::nullopt);
  EXPECT_TRUE(Claim("x", b_).state.has_value()) << "it may be resumed still";
}

TEST_P(PresenceTest, AnyBytesAreAConnection) {
  const std::string odd = std::string("a{b}c%\0\r\n", 9);
  const Presence::Claimed claimed = Claim(odd, a_);
  EXPECT_EQ(Lookup(odd).value()->epoch(), claimed.claim.epoch);
  EXPECT_EQ(Lookup("a").value(), std::nullopt);
  EXPECT_EQ(ReleaseLeftBehind(a_.boot, 10), 0);
  EXPECT_EQ(Lookup(odd).value(), std::nullopt);
}

TEST_P(PresenceTest, GarbageInRedisIsAnError) {
  redis_.Command({"HSET", keys_.Connection("x"), "record", "\xff"});
  EXPECT_FALSE(Lookup("x").ok());
  redis_.Command({"DEL", keys_.Connection("x")});
  redis_.Command({"SET", keys_.Connection("x"), "garbage"});
  EXPECT_FALSE(Lookup("x").ok());
  EXPECT_FALSE(TryClaim("x", a_, "", "token").ok());
}

}  // namespace
}  // namespace actioncluster

#include "backplane/rpc/pending_calls.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

const NodeRef kA{"node-a", "boot-a"};
const NodeRef kB{"node-b", "boot-b"};
const NodeRef kC{"node-c", "boot-c"};
const NodeRef kSelf{"node-self", "boot-self"};
const absl::Time kStart = absl::FromUnixSeconds(1000);
const absl::Time kDue = kStart + absl::Seconds(5);

Outcome Result(const std::string& body) {
  return {.kind = Outcome::Kind::kResult, .result = {Content::Kind::kBytes, body}, .error = {}};
}
Outcome Error(absl::Status error) { return {.kind = Outcome::Kind::kError, .result = {}, .error = std::move(error)}; }
Outcome Declined(absl::Status error) {
  return {.kind = Outcome::Kind::kDeclined, .result = {}, .error = std::move(error)};
}
absl::Status Overloaded() { return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "overloaded"); }
absl::Status Draining() { return BackplaneUnavailable("draining"); }
absl::Status NotOffered() { return MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, "not offered"); }

class PendingCallsTest : public ::testing::Test {
 protected:
  void OpenFirst(CallId id, std::vector<NodeRef> nodes, std::deque<NodeRef> fallbacks = {},
                 absl::Time deadline = kDue) {
    calls_.Open(id, "m", deadline, PendingCalls::First{[this, id](absl::StatusOr<CallResult> result) {
                  EXPECT_FALSE(ends_.contains(id)) << "ended twice";
                  ends_.emplace(id, std::move(result));
                }});
    Expect(id, std::move(nodes), std::move(fallbacks));
  }
  void OpenEvery(CallId id, std::vector<NodeRef> nodes) {
    auto on_share = [this](const std::string& node, const absl::StatusOr<Content>& result) {
      shares_.push_back(node + ": " + (result.ok() ? result->body : std::string(result.status().message())));
    };
    auto done = [this, id](const absl::Status& status) {
      EXPECT_FALSE(ends_.contains(id)) << "ended twice";
      if (status.ok()) {
        ends_.emplace(id, CallResult{});
      } else {
        ends_.emplace(id, status);
      }
    };
    calls_.Open(id, "m", kDue, PendingCalls::Every{on_share, done});
    Expect(id, std::move(nodes), {});
  }
  void Expect(CallId id, std::vector<NodeRef> nodes, std::deque<NodeRef> fallbacks) {
    auto ask = [this](const NodeRef& node) { asked_.push_back(node.id); };
    EXPECT_TRUE(calls_.Expect(id, std::move(nodes), std::move(fallbacks), kSelf.boot, ask, kStart));
  }
  bool Ended(CallId id) const { return ends_.contains(id); }
  absl::Status End(CallId id) const {
    return ends_.contains(id) ? ends_.at(id).status() : absl::InternalError("waits");
  }

  PendingCalls calls_;
  std::map<CallId, absl::StatusOr<CallResult>> ends_;
  std::vector<std::string> shares_;
  std::vector<std::string> asked_;
};

TEST_F(PendingCallsTest, FirstResultEndsTheCallWithTheNodeThatGaveIt) {
  OpenFirst(1, {kA, kB});
  EXPECT_TRUE(calls_.Accept(1, kB.boot, Result("b")));
  ASSERT_TRUE(ends_.at(1).ok());
  EXPECT_EQ(ends_.at(1)->node_id, "node-b");
  EXPECT_EQ(ends_.at(1)->result.body, "b");
}

TEST_F(PendingCallsTest, NodeThatIsForgottenEndsItsSharesWithWhyAndAsksNoFallback) {
  OpenFirst(1, {kA}, {kB});
  OpenEvery(2, {kA, kC});
  calls_.Forgotten(kA.boot, BackplaneUnavailable("Redis was away"));
  EXPECT_EQ(ReasonOf(End(1)), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(MetadataOf(End(1)).at("node_id"), kA.id);
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_THAT(shares_, ElementsAre("node-a: Redis was away"));
  EXPECT_FALSE(Ended(2));
}

TEST_F(PendingCallsTest, HandlersErrorEndsTheCallAndNamesItsNode) {
  OpenFirst(1, {kA, kB});
  EXPECT_TRUE(calls_.Accept(1, kA.boot, Error(MakeError(v1::ERROR_REASON_HANDLER_FAILED, "no"))));
  EXPECT_EQ(ReasonOf(End(1)), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_EQ(MetadataOf(End(1))["node_id"], "node-a");
}

TEST_F(PendingCallsTest, ErrorWithAReasonOfOursArrivesAsItIsAndNamesItsNode) {
  OpenFirst(1, {kA});
  EXPECT_TRUE(calls_.Accept(1, kA.boot, Error(MakeError(v1::ERROR_REASON_ROOM_NOT_FOUND, "no room", {{"room", "r"}}))));
  EXPECT_TRUE(absl::IsNotFound(End(1)));
  EXPECT_EQ(End(1).message(), "no room");
  EXPECT_EQ(ReasonOf(End(1)), v1::ERROR_REASON_ROOM_NOT_FOUND);
  EXPECT_THAT(MetadataOf(End(1)), ElementsAre(Pair("node_id", "node-a"), Pair("room", "r")));
  // That of a third node, which the one that was asked passes on.
  OpenFirst(2, {kA});
  const absl::Status passed_on = MakeError(v1::ERROR_REASON_HANDLER_FAILED, "no", {{"node_id", "node-c"}});
  EXPECT_TRUE(calls_.Accept(2, kA.boot, Error(passed_on)));
  EXPECT_EQ(End(2), passed_on);
}

TEST_F(PendingCallsTest, HoldersWordThatTheConnectionIsGoneIsTheAnswerAtOnce) {
  OpenFirst(1, {kA});
  EXPECT_TRUE(calls_.Accept(1, kA.boot, Declined(MakeError(v1::ERROR_REASON_CONNECTION_NOT_FOUND, "gone"))));
  EXPECT_EQ(ReasonOf(End(1)), v1::ERROR_REASON_CONNECTION_NOT_FOUND);
  EXPECT_EQ(MetadataOf(End(1))["node_id"], "node-a");
}

// It had less time for those that it asked in turn.
TEST_F(PendingCallsTest, TimeoutOfANodesOwnMethodIsItsAnswer) {
  calls_.Open(1, "node.connection.apply", kDue,
              PendingCalls::First{[this](absl::StatusOr<CallResult> result) { ends_.emplace(1, std::move(result)); }});
  Expect(1, {kA}, {});
  const absl::Status hook = MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "the hook is late", {{"hook", "join"}});
  EXPECT_TRUE(calls_.Accept(1, kA.boot, Error(hook)));
  EXPECT_EQ(End(1).message(), "the hook is late");
  EXPECT_EQ(MetadataOf(End(1))["hook"], "join");
}

TEST_F(PendingCallsTest, LateDuplicateAndForgedRepliesAreRefused) {
  OpenFirst(1, {kA, kB});
  OpenEvery(2, {kA, kB});
  EXPECT_FALSE(calls_.Accept(3, kA.boot, Result("unknown call")));
  EXPECT_FALSE(calls_.Accept(1, kC.boot, Result("not asked")));
  EXPECT_FALSE(calls_.Accept(1, kA.id, Result("a name is no boot")));
  EXPECT_TRUE(calls_.Accept(2, kA.boot, Result("a")));
  EXPECT_FALSE(calls_.Accept(2, kA.boot, Result("again")));
  calls_.Expire(kDue);
  EXPECT_FALSE(calls_.Accept(1, kA.boot, Result("late")));
  EXPECT_FALSE(calls_.Accept(2, kB.boot, Result("late")));
  EXPECT_THAT(shares_, ElementsAre("node-a: a"));
  EXPECT_EQ(MetadataOf(End(1))["missing_nodes"], "node-a,node-b");
  EXPECT_EQ(MetadataOf(End(2))["missing_nodes"], "node-b");
  EXPECT_EQ(MetadataOf(End(1)).count("node_id"), 0u);
  EXPECT_EQ(MetadataOf(End(2))["node_id"], "node-b");
}

TEST_F(PendingCallsTest, CallsThatBeganLaterAreNotCountedWithTheEarlier) {
  OpenFirst(1, {kA});
  OpenFirst(2, {kA});
  OpenFirst(3, {kA});
  EXPECT_EQ(calls_.CountUpTo(0), 0u);
  EXPECT_EQ(calls_.CountUpTo(2), 2u);
  EXPECT_TRUE(calls_.Accept(1, kA.boot, Result("a")));
  EXPECT_EQ(calls_.CountUpTo(2), 1u);
}

TEST_F(PendingCallsTest, SecondAnswerAfterADeclineIsRefused) {
  OpenFirst(1, {kA, kB});
  EXPECT_TRUE(calls_.Accept(1, kA.boot, Declined(Draining())));
  EXPECT_FALSE(calls_.Accept(1, kA.boot, Result("after all")));
  EXPECT_FALSE(Ended(1));
}

TEST_F(PendingCallsTest, WeightiestReasonWinsInWhateverOrderTheSharesEnd) {
  // From light to weighty; ends the share of the node with it.
  const std::vector<std::pair<v1::ErrorReason, std::string>> reasons = {
      {v1::ERROR_REASON_METHOD_NOT_FOUND, "not offered"},
      {v1::ERROR_REASON_BACKPLANE_UNAVAILABLE, "cannot be reached"},
      {v1::ERROR_REASON_BACKPLANE_UNAVAILABLE, "draining"},
      {v1::ERROR_REASON_LIMIT_EXCEEDED, "overloaded"},
      {v1::ERROR_REASON_HANDLER_FAILED, "was lost"}};
  CallId id = 0;
  for (size_t most = 0; most < reasons.size(); ++most) {
    std::vector<size_t> order(most + 1);
    for (size_t i = 0; i <= most; ++i) order[i] = i;
    do {
      OpenFirst(++id, {{"0", "0"}, {"1", "1"}, {"2", "2"}, {"3", "3"}, {"4", "4"}});
      // The shares beyond the weightiest end as lightly as can be.
      for (size_t i = most + 1; i < reasons.size(); ++i) calls_.Accept(id, std::to_string(i), Declined(NotOffered()));
      for (const size_t reason : order) {
        const std::string boot = std::to_string(reason);
        if (reason == 0) calls_.Accept(id, boot, Declined(NotOffered()));
        if (reason == 1) calls_.Unreachable(id, boot);
        if (reason == 2) calls_.Accept(id, boot, Declined(Draining()));
        if (reason == 3) calls_.Accept(id, boot, Declined(Overloaded()));
        if (reason == 4) {
          calls_.Delivered(id, {boot});
          calls_.Lost(boot);
        }
      }
      ASSERT_TRUE(Ended(id));
      EXPECT_EQ(ReasonOf(End(id)), reasons[most].first);
      EXPECT_THAT(std::string(End(id).message()), ::testing::HasSubstr(reasons[most].second));
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_F(PendingCallsTest, DeclineThatGivesNoReasonStillEndsTheCallWithAnError) {
  OpenFirst(1, {kA});
  EXPECT_TRUE(calls_.Accept(1, kA.boot, Declined(absl::OkStatus())));
  EXPECT_TRUE(absl::IsUnavailable(End(1)));
}

TEST_F(PendingCallsTest, FallbacksAreAskedOneByOneWhileNobodyMayHaveRunTheCall) {
  OpenFirst(1, {kA}, {kB, kC});
  calls_.Accept(1, kA.boot, Declined(Overloaded()));
  EXPECT_THAT(asked_, ElementsAre("node-b"));
  EXPECT_FALSE(calls_.Accept(1, kA.boot, Result("a")));
  EXPECT_FALSE(calls_.Accept(1, kC.boot, Result("not asked yet")));
  calls_.Unreachable(1, kB.boot);
  EXPECT_THAT(asked_, ElementsAre("node-b", "node-c"));
  calls_.Accept(1, kC.boot, Declined(NotOffered()));
  EXPECT_EQ(ReasonOf(End(1)), v1::ERROR_REASON_LIMIT_EXCEEDED);
  EXPECT_EQ(MetadataOf(End(1))["node_id"], "node-a");
}

TEST_F(PendingCallsTest, NoFallbackIsAskedOnceANodeMayHaveRunTheCall) {
  OpenFirst(1, {kA}, {kB});
  calls_.Delivered(1, {kA.boot});
  calls_.Lost(kA.boot);
  OpenFirst(2, {kA}, {kB});
  calls_.Unsent(2, {kA.boot}, BackplaneUnavailable("broken"));
  OpenFirst(3, {kA}, {kB});
  calls_.BusBroken(BackplaneUnavailable("broken"));
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_EQ(ReasonOf(End(1)), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_EQ(ReasonOf(End(2)), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(End(3)), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
}

TEST_F(PendingCallsTest, LateWordOfThePublishToOneNodeDoesNotTouchTheFallback) {
  OpenFirst(1, {kA}, {kB});
  calls_.Accept(1, kA.boot, Declined(Draining()));
  calls_.Unsent(1, {kA.boot}, BackplaneUnavailable("broken"));
  calls_.Unreachable(1, kA.boot);
  EXPECT_FALSE(Ended(1));
  EXPECT_TRUE(calls_.Accept(1, kB.boot, Result("b")));
}

TEST_F(PendingCallsTest, WhenAllHaveDeclinedWhoeverAskedMayKnowOthers) {
  OpenFirst(1, {kA}, {kB});
  std::vector<absl::Status> told;
  calls_.OnDeclined(1, [&](const absl::Status& why) { told.push_back(why); });
  calls_.Accept(1, kA.boot, Declined(NotOffered()));
  EXPECT_THAT(told, IsEmpty()) << "there is a fallback";
  calls_.Unreachable(1, kB.boot);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(ReasonOf(told[0]), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
  EXPECT_FALSE(Ended(1));
  Expect(1, {kC}, {});
  calls_.Accept(1, kC.boot, Declined(Draining()), calls_.RoundOf(1));
  EXPECT_EQ(told.size(), 2u);
  Expect(1, {kA}, {});
  EXPECT_EQ(calls_.RoundOf(1), 3u);
  EXPECT_THAT(calls_.AwaitedOf(kA.boot), ElementsAre(Pair(1, 3)));
  EXPECT_FALSE(calls_.Accept(1, kA.boot, Declined(NotOffered()))) << "it has said so again, of the first round";
  EXPECT_TRUE(calls_.Accept(1, kA.boot, Result("a"), 3));
  EXPECT_TRUE(End(1).ok());
}

TEST_F(PendingCallsTest, NobodyElseIsAskedOnceANodeMayHaveRunTheCallOrAllAreBusy) {
  const auto never = [](const absl::Status& why) { ADD_FAILURE() << why; };
  OpenFirst(1, {kA});
  calls_.OnDeclined(1, never);
  calls_.Delivered(1, {kA.boot});
  calls_.Lost(kA.boot);
  EXPECT_EQ(ReasonOf(End(1)), v1::ERROR_REASON_HANDLER_FAILED);
  OpenFirst(2, {kA, kB});
  calls_.OnDeclined(2, never);
  calls_.Accept(2, kA.boot, Declined(NotOffered()));
  calls_.Accept(2, kB.boot, Declined(Overloaded()));
  EXPECT_EQ(ReasonOf(End(2)), v1::ERROR_REASON_LIMIT_EXCEEDED);
}

TEST_F(PendingCallsTest, ACallThatAllHaveDeclinedStillExpires) {
  OpenFirst(1, {kA});
  calls_.OnDeclined(1, [](const absl::Status&) {});
  calls_.Accept(1, kA.boot, Declined(NotOffered()));
  EXPECT_FALSE(Ended(1));
  calls_.Expire(kDue);
  EXPECT_EQ(ReasonOf(End(1)), v1::ERROR_REASON_RPC_TIMEOUT);
}

TEST_F(PendingCallsTest, EveryReplyIsReportedAndTheLastEndsTheCall) {
  OpenEvery(1, {kA, kB, kC});
  calls_.Accept(1, kB.boot, Result("b"));
  calls_.Accept(1, kC.boot, Declined(Overloaded()));
  EXPECT_FALSE(Ended(1));
  calls_.Accept(1, kA.boot, Error(absl::UnknownError("broke")));
  EXPECT_TRUE(End(1).ok());
  EXPECT_THAT(shares_, ElementsAre("node-b: b", "node-c: overloaded", "node-a: broke"));
}

TEST_F(PendingCallsTest, NodesWordThatTheTimeIsOverLeavesItMissing) {
  OpenEvery(1, {kA});
  EXPECT_TRUE(calls_.Accept(1, kA.boot, Error(MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "time is over"))));
  EXPECT_FALSE(Ended(1));
  calls_.Expire(kDue);
  EXPECT_EQ(ReasonOf(End(1)), v1::ERROR_REASON_RPC_TIMEOUT);
  EXPECT_EQ(MetadataOf(End(1))["missing_nodes"], "node-a");
}

TEST_F(PendingCallsTest, ExpireEndsWhatIsDueAndGivesTheNextDeadline) {
  EXPECT_EQ(calls_.Expire(kStart), absl::InfiniteFuture());
  OpenFirst(1, {kA}, {}, kDue);
  OpenFirst(2, {kA}, {}, kDue + absl::Seconds(1));
  EXPECT_EQ(calls_.Expire(kStart), kDue);
  EXPECT_FALSE(Ended(1));
  EXPECT_EQ(calls_.Expire(kDue), kDue + absl::Seconds(1));
  EXPECT_TRUE(Ended(1));
  EXPECT_FALSE(Ended(2));
  calls_.Accept(2, kA.boot, Result("a"));
  EXPECT_EQ(calls_.Expire(kDue), absl::InfiniteFuture());
}

TEST_F(PendingCallsTest, CallThatWaitsForItsAddresseesExpiresAndIsCancelledToo) {
  for (const CallId id : {1, 2}) {
    calls_.Open(id, "m", kDue, PendingCalls::First{[this, id](absl::StatusOr<CallResult> result) {
                  ends_.emplace(id, std::move(result));
                }});
  }
  calls_.BusBroken(BackplaneUnavailable("broken"));
  EXPECT_THAT(calls_.Cancel(1).nodes, IsEmpty());
  calls_.Expire(kDue);
  EXPECT_TRUE(absl::IsCancelled(End(1)));
  EXPECT_EQ(ReasonOf(End(2)), v1::ERROR_REASON_RPC_TIMEOUT);
  EXPECT_FALSE(calls_.Expect(
      1, {kA}, {}, kSelf.boot, [](const NodeRef&) {}, kStart));
}

TEST_F(PendingCallsTest, CancelNamesThoseThatStillWork) {
  OpenEvery(1, {kA, kB, kSelf});
  calls_.Accept(1, kA.boot, Result("a"));
  const PendingCalls::Abandoned abandoned = calls_.Cancel(1);
  EXPECT_EQ(abandoned.method, "m");
  EXPECT_THAT(abandoned.nodes, ElementsAre(kB, kSelf));
  EXPECT_TRUE(absl::IsCancelled(End(1)));
  EXPECT_THAT(calls_.Cancel(1).nodes, IsEmpty());
}

TEST_F(PendingCallsTest, WhatThisNodeRunsItselfOutlivesTheBus) {
  OpenFirst(1, {kA, kSelf});
  calls_.BusBroken(BackplaneUnavailable("broken"));
  EXPECT_FALSE(Ended(1));
  EXPECT_TRUE(calls_.Accept(1, kSelf.boot, Result("self")));
  EXPECT_TRUE(End(1).ok());
}

TEST_F(PendingCallsTest, WithdrawalEndsOnlyAShareThatMayNeverHaveBeenHeard) {
  const auto offers_nothing = [](absl::string_view) { return false; };
  OpenFirst(1, {kA});
  calls_.Delivered(1, {kA.boot});
  calls_.Withdrawn(kA.boot, offers_nothing);
  EXPECT_FALSE(Ended(1)) << "it has the call, and will answer";

  OpenFirst(2, {kA});
  calls_.Withdrawn(kA.boot, offers_nothing);
  EXPECT_FALSE(Ended(2)) << "PUBLISH has not returned";
  calls_.Doubtful(2, {kA.boot});
  EXPECT_EQ(ReasonOf(End(2)), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);

  OpenFirst(3, {kA});
  calls_.Doubtful(3, {kA.boot});
  calls_.Withdrawn(kA.boot, [](absl::string_view method) { return method == "m"; });
  EXPECT_FALSE(Ended(3)) << "it still offers this method";
  calls_.Withdrawn(kA.boot, offers_nothing);
  EXPECT_TRUE(Ended(3));
}

TEST_F(PendingCallsTest, ProbesConcernOtherNodesThatAreAwaitedForLong) {
  OpenFirst(1, {kA, kSelf});
  OpenEvery(2, {kA, kB});
  calls_.Accept(2, kB.boot, Result("b"));
  EXPECT_THAT(calls_.AwaitedSince(kStart), IsEmpty());
  EXPECT_THAT(calls_.AwaitedSince(kStart + absl::Milliseconds(1)), ElementsAre("boot-a"));
}

TEST_F(PendingCallsTest, OfANodeThoseCallsAreAwaitedThatItHasStillToAnswer) {
  OpenFirst(1, {kA, kSelf});
  OpenEvery(2, {kA, kB});
  OpenEvery(3, {kA, kB});
  OpenFirst(4, {kB});
  calls_.Open(5, "m", kDue, PendingCalls::Sent{[](const absl::StatusOr<CallResult>&) {}});
  Expect(5, {kA}, {});
  EXPECT_THAT(calls_.AwaitedOf(kA.boot), ElementsAre(Pair(1, 1), Pair(2, 1), Pair(3, 1)));
  calls_.Accept(2, kA.boot, Result("a"));
  calls_.Accept(3, kB.boot, Result("b"));
  EXPECT_THAT(calls_.AwaitedOf(kA.boot), ElementsAre(Pair(1, 1), Pair(3, 1)));
  EXPECT_THAT(calls_.AwaitedOf(kSelf.boot), IsEmpty());
}

TEST_F(PendingCallsTest, WhetherALostNodeMayHaveRunTheCallIsNotSaidBeforePublishReturns) {
  OpenFirst(1, {kA}, {kB});
  calls_.Lost(kA.boot);
  EXPECT_FALSE(Ended(1));
  calls_.Unreachable(1, kA.boot);  // PUBLISH gave it to nobody: the call goes on to the fallback.
  EXPECT_THAT(asked_, ElementsAre("node-b"));
  EXPECT_TRUE(calls_.Accept(1, kB.boot, Result("b")));
  EXPECT_TRUE(End(1).ok());

  OpenFirst(2, {kA}, {kB});
  calls_.Lost(kA.boot);
  calls_.Delivered(2, {kA.boot});
  EXPECT_EQ(ReasonOf(End(2)), v1::ERROR_REASON_HANDLER_FAILED);

  OpenFirst(3, {kA}, {kB});
  calls_.Lost(kA.boot);
  calls_.Doubtful(3, {kA.boot});
  EXPECT_EQ(ReasonOf(End(3)), v1::ERROR_REASON_HANDLER_FAILED);

  OpenFirst(4, {kA}, {kB});
  calls_.Lost(kA.boot);
  calls_.Unsent(4, {kA.boot}, BackplaneUnavailable("broken"));
  EXPECT_EQ(ReasonOf(End(4)), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);

  OpenFirst(5, {kSelf}, {kB});  // What runs here needs no PUBLISH.
  calls_.Lost(kSelf.boot);
  EXPECT_EQ(ReasonOf(End(5)), v1::ERROR_REASON_HANDLER_FAILED);
  EXPECT_THAT(asked_, ElementsAre("node-b"));
}

TEST_F(PendingCallsTest, SinksMayCallAnyOperation) {
  OpenFirst(1, {kA});
  auto on_share = [this](const std::string&, const absl::StatusOr<Content>&) {
    calls_.EndAll(BackplaneUnavailable("stopping"));
  };
  int ends = 0;
  calls_.Open(2, "m", kDue, PendingCalls::Every{on_share, [&](const absl::Status& status) {
                                                  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BACKPLANE_UNAVAILABLE);
                                                  ++ends;
                                                  OpenFirst(3, {kB});
                                                }});
  Expect(2, {kA, kB}, {});
  for (const CallId id : {CallId{1}, CallId{2}}) calls_.Delivered(id, {kA.boot});
  calls_.Lost(kA.boot);
  EXPECT_EQ(ends, 1);
  EXPECT_TRUE(Ended(1));
  EXPECT_FALSE(Ended(3));
  calls_.EndAll(BackplaneUnavailable("stopping"));
  EXPECT_EQ(calls_.size(), 0u);
}

}  // namespace
}  // namespace actioncluster

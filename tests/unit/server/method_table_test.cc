#include "server/methods/method_table.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace actioncluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const NodeRef kCaller{"node-a", "boot-a"};
const NodeRef kOther{"node-b", "boot-b"};
const absl::Time kStart = absl::FromUnixSeconds(1000);
const absl::Duration kTimeout = absl::Seconds(5);

// Writes down what it is sent.
class FakeApplication : public Application {
 public:
  bool SendCall(const std::string& call_id, IncomingCall call) override {
    if (full) return false;
    ids.push_back(call_id);
    calls.push_back(std::move(call));
    return true;
  }
  void SendCancel(const std::string& call_id) override { cancelled.push_back(call_id); }
  void SendDraining(const std::vector<std::string>& alternatives) override { drains.push_back(alternatives); }
  void Close(const absl::Status& why) override { closed.push_back(why); }

  bool full = false;
  std::vector<std::string> ids;
  std::vector<IncomingCall> calls;
  std::vector<std::string> cancelled;
  std::vector<std::vector<std::string>> drains;
  std::vector<absl::Status> closed;
};

Outcome Result(const std::string& body) {
  return {.kind = Outcome::Kind::kResult, .result = {Content::Kind::kBytes, body}, .error = {}};
}

class MethodTableTest : public ::testing::Test {
 protected:
  struct App {
    MethodTable::AppId id;
    std::shared_ptr<FakeApplication> stream;
  };

  App Attach(std::set<std::string> methods, size_t max_in_flight = 64,
             absl::Duration heartbeat_timeout = absl::InfiniteDuration()) {
    auto stream = std::make_shared<FakeApplication>();
    const MethodTable::AppId id = table_.Attach(stream, kStart);
    table_.Register(id, std::move(methods), max_in_flight, heartbeat_timeout);
    return {id, stream};
  }

  // Runs a call; its outcome is found under `id`, of this caller.
  void Run(uint64_t id, const std::string& method = "m", const NodeRef& caller = kCaller,
           absl::Duration timeout = kTimeout) {
    table_.Run(
        {.caller = caller,
         .id = id,
         .method = method,
         .arguments = {},
         .connection_id = {},
         .deadline = kStart + timeout,
         .notification = false},
        [this, id](Outcome outcome) {
          ends_.emplace_back(id, outcome);
          if (on_end_) on_end_(id);
        },
        kStart);
  }

  // The outcomes in the order that they came, as text: `1: result`, `2: declined LIMIT_EXCEEDED`.
  std::vector<std::string> Ends() const {
    std::vector<std::string> text;
    for (const auto& [id, outcome] : ends_) {
      const std::string reason = ReasonName(ReasonOf(outcome.error));
      text.push_back(absl::StrCat(id, ": ",
                                  outcome.kind == Outcome::Kind::kResult     ? outcome.result.body
                                  : outcome.kind == Outcome::Kind::kDeclined ? "declined " + reason
                                                                             : "error " + reason));
    }
    return text;
  }

  MethodTable table_;
  std::vector<std::pair<uint64_t, Outcome>> ends_;
  std::function<void(uint64_t)> on_end_;
};

TEST_F(MethodTableTest, AReplyEndsItsCallAndFreesItsPlace) {
  const App app = Attach({"m"}, 1);
  Run(1);
  EXPECT_EQ(table_.running(), 1u);
  ASSERT_THAT(app.stream->ids, SizeIs(1));
  EXPECT_EQ(app.stream->calls[0].method, "m");
  EXPECT_TRUE(table_.Reply(app.id, app.stream->ids[0], Result("done")));
  EXPECT_THAT(Ends(), ElementsAre("1: done"));
  EXPECT_EQ(table_.running(), 0u);
  Run(2);
  EXPECT_THAT(app.stream->ids, SizeIs(2));
}

TEST_F(MethodTableTest, RepliesEndTheirOwnCallsInAnyOrder) {
  const App app = Attach({"m"});
  for (const uint64_t id : {1, 2, 3}) Run(id);
  const std::vector<std::string> ids = app.stream->ids;
  EXPECT_TRUE(table_.Reply(app.id, ids[2], Result("c")));
  EXPECT_TRUE(table_.Reply(app.id, ids[0], Result("a")));
  EXPECT_TRUE(table_.Reply(app.id, ids[1], Result("b")));
  EXPECT_THAT(Ends(), ElementsAre("3: c", "1: a", "2: b"));
}

TEST_F(MethodTableTest, SecondReplyToACallIsIgnored) {
  const App app = Attach({"m"});
  Run(1);
  EXPECT_TRUE(table_.Reply(app.id, app.stream->ids[0], Result("first")));
  EXPECT_FALSE(table_.Reply(app.id, app.stream->ids[0], Result("second")));
  EXPECT_THAT(Ends(), ElementsAre("1: first"));
}

TEST_F(MethodTableTest, RepliesToCallsThatNeverWereAreIgnored) {
  const App app = Attach({"m"});
  Run(1);
  for (const char* id : {"", "0", "99", "-1", "x", "18446744073709551616"}) {
    EXPECT_FALSE(table_.Reply(app.id, id, Result("?"))) << id;
  }
  EXPECT_FALSE(table_.Reply(app.id + 7, app.stream->ids[0], Result("?")));
  EXPECT_THAT(Ends(), IsEmpty());
}

TEST_F(MethodTableTest, AnApplicationCannotAnswerForAnother) {
  const App right = Attach({"m"});
  const App wrong = Attach({"other"});
  Run(1);
  EXPECT_FALSE(table_.Reply(wrong.id, right.stream->ids[0], Result("forged")));
  EXPECT_TRUE(table_.Reply(right.id, right.stream->ids[0], Result("mine")));
  EXPECT_THAT(Ends(), ElementsAre("1: mine"));
}

TEST_F(MethodTableTest, AtTheDeadlineTheCallEndsAndTheApplicationIsTold) {
  const App app = Attach({"m"});
  Run(1, "m", kCaller, absl::Seconds(1));
  Run(2, "m", kCaller, absl::Seconds(2));
  EXPECT_EQ(table_.next_due(), kStart + absl::Seconds(1));
  EXPECT_EQ(table_.Expire(kStart + absl::Seconds(1) - absl::Nanoseconds(1)), kStart + absl::Seconds(1));
  EXPECT_THAT(Ends(), IsEmpty());
  EXPECT_EQ(table_.Expire(kStart + absl::Seconds(1)), kStart + absl::Seconds(2));
  EXPECT_THAT(Ends(), ElementsAre("1: error RPC_TIMEOUT"));
  EXPECT_THAT(app.stream->cancelled, ElementsAre(app.stream->ids[0]));
  EXPECT_FALSE(table_.Reply(app.id, app.stream->ids[0], Result("late")));
  EXPECT_EQ(table_.running(), 1u);
}

TEST_F(MethodTableTest, ACallThatComesAfterItsDeadlineIsNotRun) {
  const App app = Attach({"m"});
  Run(1, "m", kCaller, absl::ZeroDuration());
  EXPECT_THAT(Ends(), ElementsAre("1: error RPC_TIMEOUT"));
  EXPECT_THAT(app.stream->ids, IsEmpty());
}

TEST_F(MethodTableTest, CancelEndsTheCallAndTellsTheApplication) {
  const App app = Attach({"m"});
  Run(1);
  table_.Cancel(kOther, 1);
  table_.Cancel(kCaller, 2);
  EXPECT_THAT(Ends(), IsEmpty());
  table_.Cancel(kCaller, 1);
  table_.Cancel(kCaller, 1);
  ASSERT_THAT(ends_, SizeIs(1));
  EXPECT_EQ(ends_[0].second.error.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(app.stream->cancelled, ElementsAre(app.stream->ids[0]));
  EXPECT_FALSE(table_.Reply(app.id, app.stream->ids[0], Result("late")));
}

TEST_F(MethodTableTest, CancelAfterTheReplyTellsNobody) {
  const App app = Attach({"m"});
  Run(1);
  table_.Reply(app.id, app.stream->ids[0], Result("done"));
  table_.Cancel(kCaller, 1);
  EXPECT_THAT(app.stream->cancelled, IsEmpty());
  EXPECT_THAT(Ends(), ElementsAre("1: done"));
}

TEST_F(MethodTableTest, LosingACallerEndsItsCallsAndNoOthers) {
  const App app = Attach({"m"});
  const NodeRef next_boot{kCaller.id, "boot-z"};
  Run(1, "m", kCaller);
  Run(2, "m", next_boot);
  Run(3, "m", kCaller);
  table_.CallerLost(kCaller);
  EXPECT_THAT(app.stream->cancelled, ElementsAre(app.stream->ids[0], app.stream->ids[2]));
  EXPECT_EQ(table_.running(), 1u);
  table_.Reply(app.id, app.stream->ids[1], Result("alive"));
  EXPECT_EQ(Ends().back(), "2: alive");
}

TEST_F(MethodTableTest, DetachFailsItsCallsAndWithdrawsItsMethods) {
  const App gone = Attach({"m", "n"});
  const App stays = Attach({"n"});
  Run(1, "m");
  table_.Detach(gone.id);
  EXPECT_THAT(Ends(), ElementsAre("1: error HANDLER_FAILED"));
  EXPECT_THAT(table_.Methods(), ElementsAre("n"));
  EXPECT_EQ(table_.applications(), 1u);
  Run(2, "m");
  EXPECT_EQ(Ends().back(), "2: declined METHOD_NOT_FOUND");
  table_.Detach(gone.id);
  table_.Heard(gone.id, kStart);
  table_.Register(gone.id, {"ghost"}, 1, absl::Seconds(1));
  EXPECT_THAT(table_.Methods(), ElementsAre("n"));
}

TEST_F(MethodTableTest, SilenceDetachesAndClosesTheApplication) {
  const App silent = Attach({"m"}, 64, absl::Seconds(2));
  const App talks = Attach({"n"}, 64, absl::Seconds(2));
  Run(1, "m", kCaller, absl::Hours(1));
  table_.Heard(talks.id, kStart + absl::Seconds(1));
  EXPECT_EQ(table_.next_due(), kStart + absl::Seconds(2));
  EXPECT_EQ(table_.Expire(kStart + absl::Seconds(2)), kStart + absl::Seconds(3));
  EXPECT_THAT(Ends(), ElementsAre("1: error HANDLER_FAILED"));
  ASSERT_THAT(silent.stream->closed, SizeIs(1));
  EXPECT_EQ(silent.stream->closed[0].code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(talks.stream->closed, IsEmpty());
  EXPECT_THAT(table_.Methods(), ElementsAre("n"));
}

TEST_F(MethodTableTest, AfterAPauseOfTheNodeAllAreTakenToLive) {
  const App app = Attach({"m"}, 64, absl::Seconds(2));
  table_.HeardAll(kStart + absl::Seconds(100));
  EXPECT_EQ(table_.Expire(kStart + absl::Seconds(101)), kStart + absl::Seconds(102));
  EXPECT_THAT(app.stream->closed, IsEmpty());
}

TEST_F(MethodTableTest, OneThatIsGoneRegistersNothing) {
  const App app = Attach({"m"});
  table_.Detach(app.id);
  EXPECT_FALSE(table_.Register(app.id, {"n"}, 64, absl::InfiniteDuration()));
  EXPECT_THAT(table_.Methods(), IsEmpty());
}

TEST_F(MethodTableTest, WithoutHeartbeatTimeoutSilenceIsFineForEver) {
  const App app = Attach({"m"});
  EXPECT_EQ(table_.Expire(kStart + absl::Hours(10'000)), absl::InfiniteFuture());
  EXPECT_THAT(app.stream->closed, IsEmpty());
}

TEST_F(MethodTableTest, AnEndThatTakesAwayAnotherSilentApplicationIsFine) {
  const App first = Attach({"m"}, 64, absl::Seconds(2));
  const App second = Attach({"n"}, 64, absl::Seconds(2));
  on_end_ = [&](uint64_t) { table_.Detach(second.id); };
  Run(1, "m", kCaller, absl::Hours(1));
  table_.Expire(kStart + absl::Seconds(2));
  EXPECT_THAT(first.stream->closed, SizeIs(1));
  EXPECT_EQ(table_.applications(), 0u);
}

TEST_F(MethodTableTest, TheLeastBusyReplicaGetsTheCall) {
  const App a = Attach({"m"});
  const App b = Attach({"m"});
  for (const uint64_t id : {1, 2, 3, 4}) Run(id);
  EXPECT_THAT(a.stream->ids, SizeIs(2));
  EXPECT_THAT(b.stream->ids, SizeIs(2));
  table_.Reply(b.id, b.stream->ids[0], Result(""));
  table_.Reply(b.id, b.stream->ids[1], Result(""));
  Run(5);
  Run(6);
  EXPECT_THAT(a.stream->ids, SizeIs(2));
  EXPECT_THAT(b.stream->ids, SizeIs(4));
}

TEST_F(MethodTableTest, IdleReplicasTakeTurns) {
  const App a = Attach({"m"});
  const App b = Attach({"m"});
  for (uint64_t id = 1; id <= 6; ++id) {
    Run(id);
    const App& ran = !table_.Reply(a.id, absl::StrCat(id), Result("")) ? b : a;
    if (&ran == &b) table_.Reply(b.id, absl::StrCat(id), Result(""));
  }
  EXPECT_THAT(a.stream->ids, SizeIs(3));
  EXPECT_THAT(b.stream->ids, SizeIs(3));
}

TEST_F(MethodTableTest, PastTheLimitOfAllReplicasCallsAreDeclined) {
  const App a = Attach({"m"}, 1);
  const App b = Attach({"m"}, 1);
  for (const uint64_t id : {1, 2, 3}) Run(id);
  EXPECT_THAT(Ends(), ElementsAre("3: declined LIMIT_EXCEEDED"));
  EXPECT_EQ(MetadataOf(ends_[0].second.error).at("limit"), "max_in_flight");
  table_.Expire(kStart + kTimeout);  // What timed out has given its place back.
  table_.Run(
      {.caller = kCaller,
       .id = 9,
       .method = "m",
       .arguments = {},
       .connection_id = {},
       .deadline = kStart + 2 * kTimeout,
       .notification = false},
      [](const Outcome&) {}, kStart + kTimeout);
  EXPECT_EQ(table_.running(), 1u);
}

TEST_F(MethodTableTest, AnApplicationThatDoesNotReadDeclinesFurtherCallsAndKeepsItsOwn) {
  const App app = Attach({"m"}, 2);
  Run(1);
  app.stream->full = true;
  Run(2);
  Run(3);
  EXPECT_THAT(Ends(), ElementsAre("2: declined LIMIT_EXCEEDED", "3: declined LIMIT_EXCEEDED"));
  EXPECT_EQ(MetadataOf(ends_[0].second.error).at("limit"), "outbox");
  EXPECT_EQ(table_.running(), 1u);
  app.stream->full = false;
  Run(2);  // It was not run, so its id is free, and so is its place.
  EXPECT_EQ(table_.running(), 2u);
}

TEST_F(MethodTableTest, WhatNobodyOffersIsDeclined) {
  Attach({"m"});
  Run(1, "unknown");
  EXPECT_THAT(Ends(), ElementsAre("1: declined METHOD_NOT_FOUND"));
}

TEST_F(MethodTableTest, ACallIdThatIsUsedTwiceIsRefusedWhileTheFirstRuns) {
  const App app = Attach({"m"});
  Run(1);
  Run(1);
  ASSERT_THAT(ends_, SizeIs(1));
  EXPECT_EQ(ends_[0].second.error.code(), absl::StatusCode::kInternal);
  Run(1, "m", kOther);  // Another caller's ids are its own.
  EXPECT_EQ(table_.running(), 2u);
  table_.Reply(app.id, app.stream->ids[0], Result("done"));
  Run(1);
  EXPECT_EQ(table_.running(), 2u);
}

TEST_F(MethodTableTest, RegisterReplacesTheListAndLeavesRunningCallsAlone) {
  const App app = Attach({"m", "n"});
  Run(1, "m");
  table_.Register(app.id, {"n", "o"}, 64, absl::InfiniteDuration());
  EXPECT_THAT(table_.Methods(), ElementsAre("n", "o"));
  Run(2, "m");
  EXPECT_THAT(Ends(), ElementsAre("2: declined METHOD_NOT_FOUND"));
  EXPECT_TRUE(table_.Reply(app.id, app.stream->ids[0], Result("still")));
}

TEST_F(MethodTableTest, WhileDrainingCallsAreDeclinedAndRunningOnesEndNormally) {
  const App app = Attach({"m"});
  Run(1);
  table_.Drain({"host:1"});
  EXPECT_THAT(app.stream->drains, ElementsAre(ElementsAre("host:1")));
  EXPECT_EQ(table_.staying(), 0U);
  Run(2);
  EXPECT_THAT(Ends(), ElementsAre("2: declined BACKPLANE_UNAVAILABLE"));
  EXPECT_TRUE(table_.Reply(app.id, app.stream->ids[0], Result("done")));
  EXPECT_EQ(Ends().back(), "1: done");
  EXPECT_THAT(Attach({"late"}).stream->drains, ElementsAre(ElementsAre("host:1")));
}

TEST_F(MethodTableTest, WhileDrainingThoseThatStayAreCalledUntilTheyWithdrawOrAllIsDeclined) {
  const App leaving = Attach({"m"});
  const App staying = Attach({"m"});
  table_.Register(staying.id, {"m", "n"}, 64, absl::InfiniteDuration(), /*stays=*/true);
  table_.Drain({"host:1"});
  EXPECT_EQ(table_.staying(), 1U);
  for (uint64_t id = 1; id <= 3; ++id) Run(id);
  EXPECT_THAT(leaving.stream->ids, IsEmpty());
  EXPECT_EQ(staying.stream->ids.size(), 3U);
  table_.Register(staying.id, {"n"}, 64, absl::InfiniteDuration(), /*stays=*/true);
  Run(4);
  EXPECT_THAT(Ends(), ElementsAre("4: declined BACKPLANE_UNAVAILABLE"));
  Run(5, "n");
  EXPECT_EQ(staying.stream->ids.size(), 4U);
  table_.Decline();
  Run(6, "n");
  EXPECT_EQ(Ends().back(), "6: declined BACKPLANE_UNAVAILABLE");
  EXPECT_TRUE(table_.Reply(staying.id, staying.stream->ids[0], Result("done")));
  EXPECT_EQ(Ends().back(), "1: done");
  table_.Register(staying.id, {}, 64, absl::InfiniteDuration(), /*stays=*/true);
  EXPECT_EQ(table_.staying(), 0U);
}

TEST_F(MethodTableTest, CloseAllEndsEveryStreamAndEveryCall) {
  const App a = Attach({"m"});
  const App b = Attach({"n"});
  Run(1, "m");
  Run(2, "n");
  table_.CloseAll(BackplaneUnavailable("stopping"));
  EXPECT_THAT(Ends(), ElementsAre("1: error HANDLER_FAILED", "2: error HANDLER_FAILED"));
  EXPECT_THAT(a.stream->closed, SizeIs(1));
  EXPECT_THAT(b.stream->closed, SizeIs(1));
  EXPECT_EQ(table_.applications(), 0u);
  EXPECT_THAT(table_.Methods(), IsEmpty());
  EXPECT_EQ(table_.next_due(), absl::InfiniteFuture());
}

TEST_F(MethodTableTest, AnEndMayBeginTheNextCall) {
  const App app = Attach({"m"}, 1);
  on_end_ = [this](uint64_t id) {
    if (id < 3) Run(id + 1);
  };
  Run(1);
  table_.Reply(app.id, app.stream->ids[0], Result("a"));
  table_.Expire(kStart + kTimeout);
  EXPECT_THAT(Ends(), ElementsAre("1: a", "2: error RPC_TIMEOUT", "3: error RPC_TIMEOUT"));
}

}  // namespace
}  // namespace actioncluster

// What the supervisor does about workers that die, or are silent, when nobody ordered anything.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/time/time.h"
#include "server/supervisor/supervisor_core.h"
#include "tests/unit/server/supervisor_core_fixture.h"

namespace actioncluster {
namespace {

using enum SupervisorAction::Kind;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SupervisorDeathsTest : public SupervisorCoreFixture {};

TEST_F(SupervisorDeathsTest, AWorkerThatDiesIsStartedAgainAtOnceAndTheOthersGoOn) {
  Serve();
  EXPECT_THAT(Killed(1), ElementsAre(Logs("n-1 was killed by signal 9"), Do(kStartWorker, 1)));
  EXPECT_FALSE(core_.settled());
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1)));
  EXPECT_TRUE(core_.settled());
  EXPECT_EQ(core_.workers()[0].restarts, 1);
  EXPECT_EQ(core_.next_deadline(), absl::InfiniteFuture());
}

TEST_F(SupervisorDeathsTest, TwoThatDieAtOnceAreBothStartedAtOnce) {
  Serve();
  EXPECT_THAT(Killed(2), ElementsAre(Logs("n-2"), Do(kStartWorker, 2)));
  EXPECT_THAT(Killed(1), ElementsAre(Logs("n-1"), Do(kStartWorker, 1)));
  EXPECT_THAT(Ready(2), ElementsAre(Listens(2)));
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1)));
}

TEST_F(SupervisorDeathsTest, PausesBetweenDeathsDoubleUpToALimit) {
  Serve();
  Killed(1);
  absl::Duration expected = absl::Milliseconds(100);
  for (int deaths = 2; deaths <= 12; ++deaths) {
    Ready(1);
    EXPECT_THAT(Killed(1), ElementsAre(Logs("n-1")));
    EXPECT_EQ(core_.next_deadline(), now_ + expected) << deaths;
    EXPECT_THAT(core_.Tick(core_.next_deadline() - absl::Nanoseconds(1)), IsEmpty());
    EXPECT_THAT(TickAtDeadline(), ElementsAre(Do(kStartWorker, 1)));
    expected = std::min(expected * 2, SupervisorCore::kMaxPause);
  }
}

TEST_F(SupervisorDeathsTest, PausesAreAsLongAsChanceHasItWithinAQuarter) {
  for (const auto& [random, expected] : {std::pair(0.0, 75), std::pair(1.0, 125)}) {
    SupervisorOptions options = Options(1, /*embedded_redis=*/false);
    options.random = [random] { return random; };
    SupervisorCore core(options);
    core.Start(now_);
    for (int deaths = 1; deaths <= 2; ++deaths) {
      core.WorkerReady(1, "n-1", "a", now_);
      core.WorkerEnded(1, "exited with status 1", /*clean=*/false, now_);
    }
    EXPECT_EQ(core.next_deadline(), now_ + absl::Milliseconds(expected));
  }
}

TEST_F(SupervisorDeathsTest, WhoServedForLongIsStartedAtOnceAgain) {
  Serve();
  for (int deaths = 1; deaths <= 4; ++deaths) {
    Killed(1);
    TickAtDeadline();
    Ready(1);
  }
  now_ += SupervisorCore::kSteady;
  EXPECT_THAT(Killed(1), ElementsAre(Logs("n-1"), Do(kStartWorker, 1)));
}

TEST_F(SupervisorDeathsTest, ADeathBeforeItIsReadyIsToldWithTheReason) {
  Serve();
  Killed(1);
  EXPECT_THAT(core_.WorkerFailed(1, "no luck", now_), IsEmpty());
  EXPECT_THAT(core_.WorkerEnded(1, "exited with status 1", /*clean=*/false, now_),
              ElementsAre(Logs("n-1 exited with status 1 before it was ready (no luck)")));
}

TEST_F(SupervisorDeathsTest, AStartThatTakesTooLongIsKilledAndTriedAgain) {
  Serve();
  Killed(1);
  EXPECT_EQ(core_.next_deadline(), now_ + SupervisorCore::kStartLimit);
  EXPECT_THAT(TickAtDeadline(), ElementsAre(Logs("n-1 was not ready in time: killed"), Do(kKillWorker, 1)));
  EXPECT_EQ(core_.next_deadline(), absl::InfiniteFuture());
  Killed(1);
  EXPECT_THAT(TickAtDeadline(), ElementsAre(Do(kStartWorker, 1)));
}

TEST_F(SupervisorDeathsTest, OneThatLoopsIsTriedNowAndThenWhileTheOthersServe) {
  Serve();
  Loop(1);
  EXPECT_THAT(last_of_loop_,
              ElementsAre(Logs("n-1"), Logs("crash loop: n-1 died 5 times within 30s before it served")));
  EXPECT_TRUE(core_.workers()[0].looping);
  for (int more = 1; more <= 10; ++more) {
    EXPECT_EQ(core_.next_deadline(), now_ + SupervisorCore::kLoopPause);
    EXPECT_THAT(TickAtDeadline(), ElementsAre(Do(kStartWorker, 1)));
    EXPECT_THAT(Killed(1), ElementsAre(Logs("n-1")));
  }
  TickAtDeadline();
  Ready(1);
  EXPECT_FALSE(core_.workers()[0].looping);
  EXPECT_THAT(Killed(2), ElementsAre(Logs("n-2"), Do(kStartWorker, 2)));
}

TEST_F(SupervisorDeathsTest, WhenAllLoopItGivesUpAndSaysWhereToLook) {
  Serve();
  Loop(1);
  Loop(2);
  EXPECT_THAT(last_of_loop_, Contains(Do(kStopRedis)));
  core_.RedisEnded("exited with status 0", now_);
  EXPECT_TRUE(core_.done());
  EXPECT_EQ(core_.result().message(), "n-2 died 5 times within 30s before it served; see the nodes' logs in /d");
}

TEST_F(SupervisorDeathsTest, DeathsBeforeReadyThatAreFarApartAreNoLoop) {
  Serve();
  Killed(1);
  for (int deaths = 1; deaths <= 12; ++deaths) {
    now_ += absl::Seconds(8);
    EXPECT_THAT(Killed(1), ElementsAre(Logs("n-1")));
    TickAtDeadline();
  }
  EXPECT_FALSE(core_.workers()[0].looping);
}

TEST_F(SupervisorDeathsTest, WhoEndsInGoodOrderWasToldToAndStaysAway) {
  Serve();
  EXPECT_THAT(Exited(1), ElementsAre(Logs("told to stop: n-1")));
  EXPECT_EQ(core_.next_deadline(), absl::InfiniteFuture());
  EXPECT_TRUE(core_.settled());
  EXPECT_THAT(core_.Tick(now_ + absl::Hours(1)), IsEmpty());
}

TEST_F(SupervisorDeathsTest, AWorkerThatFallsSilentIsKilledAfterASecondThought) {
  Serve();
  EXPECT_EQ(core_.next_deadline(), absl::InfiniteFuture());  // Who never said anything need not.
  core_.WorkerAlive(1, now_);
  EXPECT_EQ(core_.next_deadline(), now_ + SupervisorCore::kSilence);
  EXPECT_THAT(TickAtDeadline(), IsEmpty());
  core_.WorkerAlive(1, now_);  // It was we who stood still.
  EXPECT_EQ(core_.next_deadline(), now_ + SupervisorCore::kSilence);
  EXPECT_THAT(TickAtDeadline(), IsEmpty());
  EXPECT_EQ(core_.next_deadline(), now_ + SupervisorCore::kLastWord);
  EXPECT_THAT(TickAtDeadline(), ElementsAre(Logs("n-1 does not answer: killed"), Do(kKillWorker, 1)));
  EXPECT_THAT(Killed(1), ElementsAre(Logs("n-1"), Do(kStartWorker, 1)));
}

TEST_F(SupervisorDeathsTest, AWorkerThatFallsSilentAsSoonAsItIsReadyIsKilledToo) {
  Serve();
  Killed(1);
  core_.WorkerAlive(1, now_);
  Ready(1);
  EXPECT_EQ(core_.next_deadline(), now_ + SupervisorCore::kSilence);
}

TEST_F(SupervisorDeathsTest, WhetherAnyWorkerAnswersIsKnown) {
  Serve();
  const absl::Duration limit = absl::Seconds(10);
  EXPECT_TRUE(core_.AnyAnswers(limit, now_));
  core_.WorkerAlive(1, now_);
  EXPECT_FALSE(core_.AnyAnswers(limit, now_ + absl::Seconds(11)));  // The other does not count: it never said anything.
  core_.WorkerAlive(2, now_ + absl::Seconds(5));
  EXPECT_TRUE(core_.AnyAnswers(limit, now_ + absl::Seconds(15)));
  EXPECT_FALSE(core_.AnyAnswers(limit, now_ + absl::Seconds(16)));
  core_.Stop(now_);
  Exited(1);
  Exited(2);
  EXPECT_TRUE(core_.AnyAnswers(limit, now_ + absl::Seconds(16)));  // Nobody is expected to.
}

TEST_F(SupervisorDeathsTest, NoWorkerIsStartedWhileRedisIsAway) {
  Serve();
  core_.RedisEnded("exited with status 1", now_);
  EXPECT_THAT(Killed(1), ElementsAre(Logs("n-1")));
  EXPECT_EQ(core_.next_deadline(), now_ + SupervisorCore::kStartLimit);  // Redis's.
  EXPECT_THAT(core_.RedisReady(now_), ElementsAre(Logs("ready again"), Do(kStartWorker, 1)));
}

TEST_F(SupervisorDeathsTest, AWorkerThatDiesWhileOthersStillStartComesBackToo) {
  core_.Start(now_);
  core_.RedisReady(now_);
  Ready(1);
  EXPECT_THAT(Killed(1), ElementsAre(Logs("n-1"), Do(kStartWorker, 1)));
  EXPECT_THAT(Ready(2), ElementsAre(Listens(2)));
  EXPECT_EQ(core_.state(), SupervisorCore::State::kStarting);
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), Says("2 nodes are ready on 127.0.0.1:7400 (data in /d)")));
  EXPECT_EQ(core_.state(), SupervisorCore::State::kServing);
}

}  // namespace
}  // namespace actioncluster

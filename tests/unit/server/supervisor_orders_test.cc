// What the supervisor does when it is told to, and how that goes together with what happens meanwhile.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/time/time.h"
#include "server/supervisor/supervisor_core.h"
#include "tests/unit/server/supervisor_core_fixture.h"

namespace actioncluster {
namespace {

using enum SupervisorAction::Kind;
using State = SupervisorCore::State;
using testing::ElementsAre;
using testing::IsEmpty;

class SupervisorOrdersTest : public SupervisorCoreFixture {
 protected:
  static auto Restarts() { return Says("restarts 2 nodes, one after the other"); }
  static auto HasRestarted() { return Says("has restarted 2 nodes"); }
};

TEST_F(SupervisorOrdersTest, ARollingRestartTakesOneAfterTheOtherEachWhenAllServe) {
  Serve();
  EXPECT_THAT(core_.Restart(now_), ElementsAre(Restarts(), Do(kStopWorker, 1)));
  EXPECT_EQ(core_.state(), State::kRestarting);
  EXPECT_THAT(Exited(1), ElementsAre(Do(kStartWorker, 1)));
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), Do(kStopWorker, 2)));
  EXPECT_THAT(Exited(2), ElementsAre(Do(kStartWorker, 2)));
  EXPECT_TRUE(core_.workers()[0].restarts == 0 && core_.workers()[1].restarts == 0);
  EXPECT_THAT(Ready(2), ElementsAre(Listens(2), HasRestarted()));
  EXPECT_EQ(core_.state(), State::kServing);
  EXPECT_TRUE(core_.settled());
  EXPECT_FALSE(core_.outdated());
}

TEST_F(SupervisorOrdersTest, AWorkerThatDoesNotDrainInTimeIsKilledAndTheRestartGoesOn) {
  Serve();
  core_.Restart(now_);
  EXPECT_EQ(core_.next_deadline(), now_ + absl::Seconds(15));
  EXPECT_THAT(TickAtDeadline(), ElementsAre(Logs("n-1 did not drain in time"), Do(kKillWorker, 1)));
  EXPECT_THAT(Killed(1), ElementsAre(Do(kStartWorker, 1)));
}

TEST_F(SupervisorOrdersTest, ADeathDuringARollingRestartHoldsItUpAndCountsAsDone) {
  Serve();
  core_.Restart(now_);
  EXPECT_THAT(Killed(2), ElementsAre(Logs("n-2"), Do(kStartWorker, 2)));
  EXPECT_THAT(Exited(1), ElementsAre(Do(kStartWorker, 1)));
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1)));
  EXPECT_THAT(Ready(2), ElementsAre(Listens(2), HasRestarted()));
}

TEST_F(SupervisorOrdersTest, ASuccessorThatDiesBeforeItIsReadyIsTriedAgainAndTheRestartWaits) {
  Serve();
  core_.Restart(now_);
  Exited(1);
  EXPECT_THAT(Killed(1), ElementsAre(Logs("before it was ready"), Do(kStartWorker, 1)));
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), Do(kStopWorker, 2)));
}

TEST_F(SupervisorOrdersTest, ARollingRestartWhoseSuccessorLoopsIsGivenUpAndTheOldOnesGoOn) {
  Serve();
  core_.Restart(now_);
  Exited(1);
  SupervisorCore::Actions last;
  for (int deaths = 1; deaths <= SupervisorCore::kManyDeaths; ++deaths) {
    last = Killed(1);
    if (deaths < SupervisorCore::kManyDeaths && core_.next_deadline() < now_ + absl::Seconds(10)) TickAtDeadline();
  }
  EXPECT_THAT(last, ElementsAre(Logs("n-1"), Logs("crash loop"), Logs("rolling restart given up")));
  EXPECT_EQ(core_.state(), State::kServing);
  EXPECT_TRUE(core_.outdated());
  // Another order is another chance.
  EXPECT_THAT(core_.Restart(now_), ElementsAre(Restarts(), Do(kStartWorker, 1)));
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), Do(kStopWorker, 2)));
}

TEST_F(SupervisorOrdersTest, ARollingRestartWaitsForRedis) {
  Serve();
  core_.Restart(now_);
  core_.RedisEnded("was killed by signal 9 (Killed)", now_);
  EXPECT_THAT(Exited(1), IsEmpty());
  EXPECT_THAT(core_.RedisReady(now_), ElementsAre(Logs("ready again"), Do(kStartWorker, 1)));
  core_.RedisEnded("was killed by signal 9 (Killed)", now_);
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1)));
  TickAtDeadline();
  EXPECT_THAT(core_.RedisReady(now_), ElementsAre(Logs("ready again"), Do(kStopWorker, 2)));
}

TEST_F(SupervisorOrdersTest, ASecondRestartReplacesAlsoThoseThatTheFirstHadStarted) {
  Serve();
  core_.Restart(now_);
  Exited(1);
  Ready(1);
  EXPECT_THAT(core_.Restart(now_), ElementsAre(Restarts()));
  EXPECT_THAT(Exited(2), ElementsAre(Do(kStartWorker, 2)));
  EXPECT_THAT(Ready(2), ElementsAre(Listens(2), Do(kStopWorker, 1)));
  Exited(1);
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), HasRestarted()));
}

TEST_F(SupervisorOrdersTest, ARestartDuringTheStartComesWhenAllAreReady) {
  core_.Start(now_);
  core_.RedisReady(now_);
  EXPECT_THAT(core_.Restart(now_), ElementsAre(Restarts()));
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), Do(kStartWorker, 2)));
  EXPECT_THAT(Ready(2),
              ElementsAre(Listens(2), Says("2 nodes are ready on 127.0.0.1:7400 (data in /d)"), Do(kStopWorker, 1)));
}

TEST_F(SupervisorOrdersTest, ARestartBringsBackWhoWasToldToGo) {
  Serve();
  Exited(1);
  EXPECT_THAT(core_.Restart(now_), ElementsAre(Restarts(), Do(kStartWorker, 1)));
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), Do(kStopWorker, 2)));
}

TEST_F(SupervisorOrdersTest, StopDuringARollingRestartStopsAllAndStartsNobody) {
  Serve();
  core_.Restart(now_);
  EXPECT_THAT(core_.Stop(now_), ElementsAre(Do(kStopWorker, 2)));  // The first drains already.
  EXPECT_THAT(Exited(1), IsEmpty());
  EXPECT_THAT(Exited(2), ElementsAre(Do(kStopRedis)));
  core_.RedisEnded("exited with status 0", now_);
  EXPECT_TRUE(core_.done());
  EXPECT_TRUE(core_.result().ok());
}

TEST_F(SupervisorOrdersTest, ADeathDuringTheDrainStartsNobody) {
  Serve();
  core_.Stop(now_);
  EXPECT_THAT(Killed(1), IsEmpty());
  EXPECT_THAT(Killed(2), ElementsAre(Do(kStopRedis)));
  core_.RedisEnded("exited with status 0", now_);
  EXPECT_TRUE(core_.result().ok());
}

TEST_F(SupervisorOrdersTest, StoppingIsNotTakenBack) {
  Serve();
  core_.Stop(now_);
  EXPECT_THAT(core_.Restart(now_), IsEmpty());
  EXPECT_THAT(core_.Reload(3, absl::Seconds(1), now_), IsEmpty());
  EXPECT_THAT(core_.Scale(3, now_), IsEmpty());
  EXPECT_THAT(core_.Suspend(now_), IsEmpty());
  EXPECT_EQ(core_.state(), State::kStopping);
}

TEST_F(SupervisorOrdersTest, StopNowKillsTheNodesAndLetsRedisGoInGoodOrder) {
  Serve();
  EXPECT_THAT(core_.StopNow(now_), ElementsAre(Do(kKillWorker, 1), Do(kKillWorker, 2)));
  Killed(1);
  EXPECT_THAT(Killed(2), ElementsAre(Do(kStopRedis)));
  EXPECT_THAT(core_.StopNow(now_), IsEmpty());
  core_.RedisEnded("exited with status 0", now_);
  EXPECT_TRUE(core_.result().ok());
}

TEST_F(SupervisorOrdersTest, StopNowDuringADrainKillsWhoIsLeft) {
  Serve();
  core_.Stop(now_);
  Exited(1);
  EXPECT_THAT(core_.StopNow(now_), ElementsAre(Do(kKillWorker, 2)));
}

TEST_F(SupervisorOrdersTest, OneMoreIsStartedAndOneFewerIsTheLast) {
  Serve();
  EXPECT_THAT(core_.Scale(3, now_), ElementsAre(Says("has 3 nodes from now on"), Do(kStartWorker, 3)));
  EXPECT_THAT(Ready(3), ElementsAre(Listens(3)));
  EXPECT_THAT(core_.Scale(2, now_), ElementsAre(Says("has 2 nodes from now on"), Do(kStopWorker, 3)));
  EXPECT_FALSE(core_.settled());
  EXPECT_THAT(Exited(3), IsEmpty());
  EXPECT_TRUE(core_.settled());
  EXPECT_THAT(core_.Scale(0, now_), IsEmpty());
  EXPECT_EQ(core_.wanted(), 2);
}

TEST_F(SupervisorOrdersTest, SeveralMoreComeOneAfterTheOther) {
  Serve();
  EXPECT_THAT(core_.Scale(4, now_), ElementsAre(Says("has 4 nodes from now on"), Do(kStartWorker, 3)));
  EXPECT_THAT(Ready(3), ElementsAre(Listens(3), Do(kStartWorker, 4)));
}

TEST_F(SupervisorOrdersTest, ASlotThatIsWantedAgainWhileItDrainsIsStartedWhenItHasEnded) {
  Serve();
  core_.Scale(1, now_);
  EXPECT_THAT(core_.Scale(2, now_), ElementsAre(Says("has 2 nodes from now on")));
  EXPECT_THAT(Exited(2), ElementsAre(Do(kStartWorker, 2)));
}

TEST_F(SupervisorOrdersTest, FewerNodesDuringARollingRestartAreRestartedNoMore) {
  Serve();
  core_.Restart(now_);
  EXPECT_THAT(core_.Scale(1, now_), ElementsAre(Says("has 1 node from now on"), Do(kStopWorker, 2)));
  Exited(1);
  EXPECT_THAT(Exited(2), IsEmpty());
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), Says("has restarted 1 node")));
}

TEST_F(SupervisorOrdersTest, ASuspendedSupervisorHasRedisOnlyAndStartsNobody) {
  Serve();
  EXPECT_THAT(core_.Suspend(now_),
              ElementsAre(Says("stops all nodes, and waits"), Do(kStopWorker, 2), Do(kStopWorker, 1)));
  EXPECT_THAT(core_.Suspend(now_), IsEmpty());
  Exited(1);
  EXPECT_THAT(Killed(2), IsEmpty());
  EXPECT_FALSE(core_.done());
  EXPECT_TRUE(core_.settled());
  EXPECT_EQ(core_.state(), State::kSuspended);
  EXPECT_THAT(core_.Restart(now_), ElementsAre(Logs("no restart")));
  EXPECT_THAT(core_.RedisEnded("exited with status 1", now_), ElementsAre(Logs("died"), Do(kStartRedis)));
  EXPECT_THAT(core_.RedisReady(now_), ElementsAre(Logs("ready again")));
}

TEST_F(SupervisorOrdersTest, AnOrderForNodesBringsThemBackAfterASuspension) {
  Serve();
  core_.Suspend(now_);
  Exited(1);
  Exited(2);
  EXPECT_THAT(core_.Scale(2, now_), ElementsAre(Says("has 2 nodes from now on"), Do(kStartWorker, 1)));
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), Do(kStartWorker, 2)));
}

TEST_F(SupervisorOrdersTest, SuspensionDuringARollingRestartEndsIt) {
  Serve();
  core_.Restart(now_);
  EXPECT_THAT(core_.Suspend(now_), ElementsAre(Says("stops all nodes, and waits"), Do(kStopWorker, 2)));
  Exited(1);
  EXPECT_THAT(Exited(2), IsEmpty());
  EXPECT_EQ(core_.state(), State::kSuspended);
}

TEST_F(SupervisorOrdersTest, AReloadRestartsWithItsNumberOfNodesAndItsDrainTimeout) {
  Serve();
  EXPECT_THAT(core_.Reload(3, absl::Seconds(60), now_),
              ElementsAre(Says("restarts 3 nodes, one after the other"), Do(kStartWorker, 3)));
  EXPECT_THAT(Ready(3), ElementsAre(Listens(3), Do(kStopWorker, 1)));
  EXPECT_EQ(core_.next_deadline(), now_ + absl::Seconds(65));
}

TEST_F(SupervisorOrdersTest, AReloadAfterASuspensionStartsTheNodesOnce) {
  Serve();
  core_.Suspend(now_);
  Exited(1);
  Exited(2);
  EXPECT_THAT(core_.Reload(2, absl::Seconds(10), now_), ElementsAre(Restarts(), Do(kStartWorker, 1)));
  EXPECT_THAT(Ready(1), ElementsAre(Listens(1), Do(kStartWorker, 2)));
  EXPECT_THAT(Ready(2), ElementsAre(Listens(2), HasRestarted()));
}

}  // namespace
}  // namespace actioncluster

#include "server/supervisor/supervisor_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/time/time.h"
#include "tests/unit/server/supervisor_core_fixture.h"

namespace actioncluster {
namespace {

using enum SupervisorAction::Kind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SupervisorCoreTest : public SupervisorCoreFixture {};

TEST_F(SupervisorCoreTest, RedisComesFirstThenTheWorkersOneAfterTheOther) {
  EXPECT_THAT(core_.Start(now_), ElementsAre(Do(kStartRedis)));
  EXPECT_TRUE(core_.probing());
  EXPECT_THAT(core_.RedisReady(now_), ElementsAre(Do(kStartWorker, 1)));
  EXPECT_FALSE(core_.probing());
  EXPECT_THAT(core_.WorkerReady(1, "n-1", "127.0.0.1:7401", now_),
              ElementsAre(Says("n-1 listens on 127.0.0.1:7401"), Do(kStartWorker, 2)));
  EXPECT_THAT(
      core_.WorkerReady(2, "n-2", "127.0.0.1:7402", now_),
      ElementsAre(Says("n-2 listens on 127.0.0.1:7402"), Says("2 nodes are ready on 127.0.0.1:7400 (data in /d)")));
  EXPECT_EQ(core_.next_deadline(), absl::InfiniteFuture());
}

TEST_F(SupervisorCoreTest, WithARedisOfOthersTheWorkersComeAtOnce) {
  SupervisorCore core(Options(1, /*embedded_redis=*/false));
  EXPECT_THAT(core.Start(now_), ElementsAre(Do(kStartWorker, 1)));
  EXPECT_THAT(core.WorkerReady(1, "n-1", "a", now_),
              ElementsAre(Says("n-1 listens on a"), Says("1 node is ready on 127.0.0.1:7400 (data in /d)")));
  EXPECT_THAT(core.Stop(now_), ElementsAre(Do(kStopWorker, 1)));
  EXPECT_THAT(core.WorkerEnded(1, "exited with status 0", true, now_), IsEmpty());
  EXPECT_TRUE(core.done());
}

TEST_F(SupervisorCoreTest, RedisThatEndsBeforeItWasReadyStopsTheStart) {
  core_.Start(now_);
  EXPECT_THAT(core_.RedisEnded("exited with status 1", now_), IsEmpty());
  EXPECT_TRUE(core_.done());
  EXPECT_EQ(core_.result().message(),
            "the embedded redis-server exited with status 1 before it was ready; see /d/redis.log");
}

TEST_F(SupervisorCoreTest, RedisThatIsSilentForTooLongIsKilledAndItsEndStopsTheStart) {
  core_.Start(now_);
  EXPECT_THAT(core_.Tick(core_.next_deadline() - absl::Milliseconds(1)), IsEmpty());
  EXPECT_THAT(core_.Tick(core_.next_deadline()), ElementsAre(Logs("does not answer"), Do(kKillRedis)));
  core_.RedisEnded("was killed by signal 9 (Killed)", now_);
  EXPECT_TRUE(core_.done());
  EXPECT_FALSE(core_.result().ok());
}

TEST_F(SupervisorCoreTest, RedisThatLoadsItsDataIsGivenMoreTime) {
  core_.Start(now_);
  const absl::Time limit = core_.next_deadline();
  core_.RedisLoading(limit - absl::Seconds(1));
  EXPECT_THAT(core_.Tick(limit), IsEmpty());
  EXPECT_EQ(core_.next_deadline(), limit - absl::Seconds(1) + SupervisorCore::kStartLimit);
}

TEST_F(SupervisorCoreTest, AWorkerThatFailsToStartStopsEverythingForItsReason) {
  core_.Start(now_);
  core_.RedisReady(now_);
  core_.WorkerReady(1, "n-1", "a", now_);
  EXPECT_THAT(core_.WorkerFailed(2, "another token", now_), ElementsAre(Do(kStopWorker, 1), Do(kStopWorker, 2)));
  EXPECT_THAT(core_.WorkerEnded(2, "exited with status 1", false, now_), IsEmpty());
  EXPECT_THAT(core_.WorkerEnded(1, "exited with status 0", true, now_), ElementsAre(Do(kStopRedis)));
  EXPECT_THAT(core_.RedisEnded("exited with status 0", now_), IsEmpty());
  EXPECT_TRUE(core_.done());
  EXPECT_EQ(core_.result().message(), "worker 2: another token");
}

TEST_F(SupervisorCoreTest, AWorkerThatEndsWithoutAWordStopsTheStart) {
  core_.Start(now_);
  core_.RedisReady(now_);
  EXPECT_THAT(core_.WorkerEnded(1, "was killed by signal 11 (Segmentation fault)", false, now_),
              ElementsAre(Do(kStopRedis)));
  EXPECT_EQ(core_.result().message(), "worker 1 was killed by signal 11 (Segmentation fault) before it was ready");
}

TEST_F(SupervisorCoreTest, AWorkerThatIsNotReadyInTimeStopsTheStart) {
  core_.Start(now_);
  core_.RedisReady(now_);
  EXPECT_EQ(core_.next_deadline(), now_ + SupervisorCore::kStartLimit);
  EXPECT_THAT(core_.Tick(core_.next_deadline()), ElementsAre(Do(kStopWorker, 1)));
  EXPECT_EQ(core_.result().message(), "worker 1 was not ready within 30s");
}

TEST_F(SupervisorCoreTest, WhenTheLastWorkerWasToldToGoEverythingEndsAsAFailure) {
  Serve();
  core_.WorkerEnded(1, "exited with status 0", true, now_);
  EXPECT_THAT(core_.WorkerEnded(2, "exited with status 0", true, now_), ElementsAre(Logs("n-2"), Do(kStopRedis)));
  core_.RedisEnded("exited with status 0", now_);
  EXPECT_TRUE(core_.done());
  EXPECT_EQ(core_.result().message(), "no node is left");
}

TEST_F(SupervisorCoreTest, ASignalStopsTheWorkersThenRedisAndThatIsClean) {
  Serve();
  EXPECT_THAT(core_.Stop(now_), ElementsAre(Do(kStopWorker, 1), Do(kStopWorker, 2)));
  EXPECT_EQ(core_.next_deadline(), now_ + absl::Seconds(15));
  EXPECT_THAT(core_.WorkerEnded(2, "exited with status 0", true, now_), IsEmpty());
  EXPECT_THAT(core_.WorkerEnded(1, "exited with status 0", true, now_), ElementsAre(Do(kStopRedis)));
  EXPECT_FALSE(core_.done());
  core_.RedisEnded("exited with status 0", now_);
  EXPECT_TRUE(core_.done());
  EXPECT_TRUE(core_.result().ok());
}

TEST_F(SupervisorCoreTest, WorkersThatDoNotDrainInTimeAreKilled) {
  Serve();
  core_.Stop(now_);
  core_.WorkerEnded(1, "exited with status 0", true, now_);
  EXPECT_THAT(core_.Tick(core_.next_deadline()), ElementsAre(Logs("did not drain"), Do(kKillWorker, 2)));
  EXPECT_THAT(core_.WorkerEnded(2, "was killed by signal 9 (Killed)", false, now_), ElementsAre(Do(kStopRedis)));
}

TEST_F(SupervisorCoreTest, ASecondSignalKillsTheWorkersAtOnce) {
  Serve();
  core_.Stop(now_);
  EXPECT_THAT(core_.Stop(now_), ElementsAre(Do(kKillWorker, 1), Do(kKillWorker, 2)));
}

TEST_F(SupervisorCoreTest, RedisThatDoesNotStopIsKilledAfterItsLimitOrByAnotherSignal) {
  Serve();
  core_.Stop(now_);
  core_.WorkerEnded(1, "exited with status 0", true, now_);
  core_.WorkerEnded(2, "exited with status 0", true, now_);
  EXPECT_THAT(core_.Stop(now_), ElementsAre(Do(kKillRedis)));
  EXPECT_EQ(core_.next_deadline(), now_ + SupervisorCore::kRedisStopLimit);
  EXPECT_THAT(core_.Tick(core_.next_deadline()), ElementsAre(Logs("did not stop"), Do(kKillRedis)));
}

TEST_F(SupervisorCoreTest, ASignalWhileStartingStopsWhatRuns) {
  core_.Start(now_);
  EXPECT_THAT(core_.Stop(now_), ElementsAre(Do(kStopRedis)));
  EXPECT_THAT(core_.RedisReady(now_), IsEmpty());
  core_.RedisEnded("exited with status 0", now_);
  EXPECT_TRUE(core_.done());
  EXPECT_TRUE(core_.result().ok());
}

TEST_F(SupervisorCoreTest, AWorkerThatGetsReadyWhileEverythingStopsStartsNoOther) {
  core_.Start(now_);
  core_.RedisReady(now_);
  EXPECT_THAT(core_.Stop(now_), ElementsAre(Do(kStopWorker, 1)));
  EXPECT_THAT(core_.WorkerReady(1, "n-1", "a", now_), IsEmpty());
  EXPECT_THAT(core_.WorkerEnded(1, "exited with status 0", true, now_), ElementsAre(Do(kStopRedis)));
}

TEST_F(SupervisorCoreTest, RedisThatDiesIsStartedAgainAtOnceAndThenAfterPauses) {
  Serve();
  EXPECT_THAT(core_.RedisEnded("was killed by signal 9 (Killed)", now_), ElementsAre(Logs("died"), Do(kStartRedis)));
  EXPECT_TRUE(core_.probing());
  EXPECT_THAT(core_.RedisReady(now_), ElementsAre(Logs("ready again")));
  EXPECT_THAT(core_.RedisEnded("exited with status 1", now_), ElementsAre(Logs("died")));
  EXPECT_FALSE(core_.probing());
  EXPECT_EQ(core_.next_deadline(), now_ + absl::Milliseconds(100));
  EXPECT_THAT(core_.Tick(core_.next_deadline()), ElementsAre(Do(kStartRedis)));
  EXPECT_THAT(core_.RedisEnded("exited with status 1", now_), ElementsAre(Logs("died")));
  EXPECT_EQ(core_.next_deadline(), now_ + absl::Milliseconds(200));
}

TEST_F(SupervisorCoreTest, RedisThatDiesFiveTimesInHalfAMinuteEndsEverything) {
  Serve();
  for (int deaths = 1; deaths <= 4; ++deaths) {
    core_.RedisEnded("exited with status 1", now_);
    now_ += absl::Seconds(7);
    core_.Tick(now_);
    core_.RedisReady(now_);
  }
  EXPECT_THAT(core_.RedisEnded("exited with status 1", now_),
              ElementsAre(Logs("died"), Do(kStopWorker, 1), Do(kStopWorker, 2)));
  core_.WorkerEnded(1, "exited with status 0", true, now_);
  core_.WorkerEnded(2, "exited with status 0", true, now_);
  EXPECT_TRUE(core_.done());
  EXPECT_THAT(std::string(core_.result().message()), HasSubstr("died 5 times within 30s"));
}

TEST_F(SupervisorCoreTest, DeathsOfRedisLongAgoDoNotCount) {
  Serve();
  for (int deaths = 1; deaths <= 20; ++deaths) {
    EXPECT_THAT(core_.RedisEnded("exited with status 1", now_), ElementsAre(Logs("died"), Do(kStartRedis)));
    core_.RedisReady(now_);
    now_ += SupervisorCore::kManyDeathsWithin;
  }
}

TEST_F(SupervisorCoreTest, RedisThatDiesWhileTheWorkersDrainIsNotStartedAgain) {
  Serve();
  core_.Stop(now_);
  EXPECT_THAT(core_.RedisEnded("exited with status 1", now_), ElementsAre(Logs("died while stopping")));
  core_.WorkerEnded(1, "exited with status 0", true, now_);
  EXPECT_THAT(core_.WorkerEnded(2, "exited with status 0", true, now_), IsEmpty());
  EXPECT_TRUE(core_.done());
}

}  // namespace
}  // namespace actioncluster
